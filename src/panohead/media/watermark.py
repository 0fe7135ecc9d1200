"""An invisible watermark that says "synthetic, by this package": a known pattern of faint brightness, off by default.

Additive spread spectrum (Cox et al. 1997) with a periodic pattern (Kalker et al. 1999): a tile of 64 x 64 pixels of
band-limited noise, the same for everybody, is repeated over the image and added to its brightness, more where the image
has texture, and not at all where it is white or black. The detector whitens the brightness, folds it into one tile and
correlates it with the pattern at all 4,096 shifts, and at other scales where nothing is found. It carries no message
and no secret: it survives copies that drop metadata, and whoever wants to can remove or forge it.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

TILE_PX = 64
"""Side of the pattern's period in pixels."""
MIN_SIDE_PX = 96
"""Images with a shorter side are neither marked nor searched: too few pixels to tell the pattern from chance."""
THRESHOLD = 7.5
"""Height of the correlation's peak in standard deviations above which the pattern counts as found."""
_SEED = 20260101
_BAND = (0.09, 0.24)
"""Spatial frequencies of the pattern in cycles a pixel: below is the image's own structure, above what JPEG loses."""
_FLAT, _TEXTURED, _MOST = 0.9, 0.16, 4.0
"""Amplitude in gray levels on flat areas, growth with the local standard deviation, and the largest amplitude."""
_MARGIN = 12.0
"""Gray levels from black and from white over which the pattern fades out."""
_SEARCH_PX = 256
"""Side of the middle of an image in which scales are searched."""
_SCALES = 1.008 ** np.arange(-93, 94)
"""Scales that are searched: 0.48 to 2.1."""


@dataclass(frozen=True)
class Watermark:
    """Result of the detector.

    Attributes:
        score: height of the highest peak in standard deviations of the correlation.
        scale: size of the image relative to the one that was marked, about.
    """

    score: float
    scale: float = 1.0

    @property
    def found(self) -> bool:
        """The pattern is there."""
        return self.score >= THRESHOLD


_enabled = False


@contextmanager
def watermarked(enabled: bool = True) -> Iterator[None]:
    """Mark the generated color images and videos that are written inside this block, in every thread."""
    global _enabled
    before = _enabled
    _enabled = enabled
    try:
        yield
    finally:
        _enabled = before


def is_enabled() -> bool:
    """Return whether images that are written now get a watermark."""
    return _enabled


@functools.cache
def _pattern() -> Float[np.ndarray, "64 64"]:
    """Return the tile: noise of a band of frequencies, mean 0, standard deviation 1."""
    noise = np.random.default_rng(_SEED).standard_normal((TILE_PX, TILE_PX))
    spectrum = np.fft.fft2(noise)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE_PX), np.fft.fftfreq(TILE_PX)))
    spectrum[(frequency < _BAND[0]) | (frequency > _BAND[1])] = 0
    tile = np.fft.ifft2(spectrum).real
    return tile / tile.std()


def add_watermark(pixels: UInt8[np.ndarray, "height width channel"]) -> UInt8[np.ndarray, "height width channel"]:
    """Return an image with the pattern in its brightness; one with a side below MIN_SIDE_PX as it is.

    Args:
        pixels: RGB, or RGBA with straight alpha, which stays as it is.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        return pixels
    colors = pixels[..., :3].astype(np.float64)
    gray = _brightness(colors)
    from scipy import ndimage  # here: who writes unmarked images need not wait for it

    mean = ndimage.uniform_filter(gray, 7)
    deviation = np.sqrt(np.maximum(ndimage.uniform_filter(gray**2, 7) - mean**2, 0))
    room = np.minimum(gray, 255 - gray) / _MARGIN
    amplitude = np.minimum(_FLAT + _TEXTURED * deviation, _MOST) * np.clip(room, 0, 1)
    rows, columns = -(-height // TILE_PX), -(-width // TILE_PX)
    added = amplitude * np.tile(_pattern(), (rows, columns))[:height, :width]
    marked = np.rint(np.clip(colors + added[..., None], 0, 255)).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([marked, pixels[..., 3:]], axis=2))


def find_watermark(*images: UInt8[np.ndarray, "height width channel"]) -> Watermark:
    """Search for the pattern at all shifts, mirrored or not, and at sizes from half to double.

    Args:
        images: one image, or several frames of one video, whose evidence adds up. RGB or RGBA.

    Returns:
        The best match; a score of 0 for images with a side below half of MIN_SIDE_PX.
    """
    usable = [image for image in images if min(image.shape[:2]) >= MIN_SIDE_PX // 2]
    details = [_whitened(_brightness(image[..., :3].astype(np.float64))) for image in usable]
    if not details:
        return Watermark(0.0)
    best = _match(details)
    if best.found:
        return best
    middles = [_center(detail) for detail in details]
    # Coarse on the middle, then fine on more: far from the middle a wrong scale is a wrong shift.
    coarse = max((_match([_resized(one, 1 / s) for one in middles], s) for s in _SCALES), key=_score)
    larger = [_center(detail, 2 * _SEARCH_PX) for detail in details]
    fine = coarse.scale * 1.002 ** np.arange(-4, 5)
    return max([best, coarse, *(_match([_resized(one, 1 / s) for one in larger], s) for s in fine)], key=_score)


def _score(found: Watermark) -> float:
    return found.score


def _brightness(colors: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
    return colors @ np.array([0.299, 0.587, 0.114])


def _center(detail: Float[np.ndarray, "_ _"], side_px: int = _SEARCH_PX) -> Float[np.ndarray, "_ _"]:
    top, left = (max(0, (side - side_px) // 2) for side in detail.shape)
    return detail[top : top + side_px, left : left + side_px]


def _resized(detail: Float[np.ndarray, "_ _"], scale: float) -> Float[np.ndarray, "_ _"]:
    size = (max(8, round(detail.shape[1] * scale)), max(8, round(detail.shape[0] * scale)))
    return np.asarray(Image.fromarray(detail.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def _match(details: list[Float[np.ndarray, "_ _"]], scale: float = 1.0) -> Watermark:
    """Correlate with the pattern and its mirror image."""
    folded = sum(map(_folded, details))
    spectrum = np.fft.fft2(folded)
    best = 0.0
    for pattern in (_pattern(), _pattern()[:, ::-1]):
        correlation = np.fft.ifft2(spectrum * np.conj(np.fft.fft2(pattern))).real
        deviation = float(correlation.std())
        best = max(best, float(correlation.max()) / deviation if deviation > 0 else 0.0)
    return Watermark(best, float(scale))


def _whitened(gray: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """Return what is left without the image's own structure, of equal strength everywhere and limited."""
    from scipy import ndimage  # here: who writes unmarked images need not wait for it

    detail = gray - ndimage.gaussian_filter(gray, 2.5)
    strength = np.sqrt(np.maximum(ndimage.uniform_filter(detail**2, 9), 0)) + 1.0
    return np.clip(detail / strength, -2, 2)


def _folded(values: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "64 64"]:
    """Return the sum over all periods."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % TILE_PX), (0, -width % TILE_PX)))
    rows, columns = padded.shape[0] // TILE_PX, padded.shape[1] // TILE_PX
    return padded.reshape(rows, TILE_PX, columns, TILE_PX).sum(axis=(0, 2))
