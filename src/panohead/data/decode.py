"""Decoding of images and masks to pixels: reading, compositing on white, reducing."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt, UInt8
from PIL import Image, UnidentifiedImageError

from panohead.data.broken import BrokenFile
from panohead.data.sources import FileSource
from panohead.errors import PanoHeadError, UsageError
from panohead.limits import DATASET_SIDE

PHOTO_MODES = ("RGB", "RGBA", "L", "LA", "P")
MASK_MODES = ("L", "1", "P", "RGB")
"""Pillow modes that files of photos and masks may have."""

BackgroundMode = Literal["keep", "white"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Preprocessing of photos and masks when they are decoded.

    Attributes:
        background: "white" puts the person on white, by the mask and before reducing.
        resolution: side in pixels to reduce to, the original one divided by a whole number; None for the original.

    Raises:
        UsageError: for another mode, or a resolution that is no number of pixels.
    """

    background: BackgroundMode = "keep"
    resolution: int | None = None

    def __post_init__(self) -> None:
        if self.background not in get_args(BackgroundMode):
            modes = ", ".join(get_args(BackgroundMode))
            raise UsageError(f"there is no background {self.background!r} for datasets; give one of {modes}")
        if self.resolution is not None:
            DATASET_SIDE.whole(self.resolution, "resolution")

    def factor(self, side: int, place: str) -> int:
        """Return the factor by which images of ``side`` pixels are reduced.

        Args:
            place: path of the images, for the error.

        Raises:
            PanoHeadError: when the factor is no whole number.
        """
        resolution = side if self.resolution is None else self.resolution
        if side % resolution:
            fitting = [side // n for n in (1, 2, 4, 8) if side % n == 0]
            raise PanoHeadError(
                f"the images of {place} have {side} pixels a side, which is no whole multiple of the resolution "
                f"{resolution}; choose {', '.join(map(str, fitting))} or another divisor"
            )
        return side // resolution


def decode(
    source: FileSource, name: str, mode: Literal["RGB", "L"], accepted: Sequence[str], side: int = 0
) -> UInt8[np.ndarray, "height width channel"]:
    """Read one image of a source.

    Args:
        mode: Pillow's name for three channels or one.
        accepted: Pillow modes that the file may have.
        side: height and width that it must have, in pixels; 0 asks only for a square.

    Raises:
        BrokenFile: when it cannot be read, or is not of that kind and size.
    """
    file = source.describe(name)
    try:
        with Image.open(io.BytesIO(source.read(name))) as image:
            found, size = image.mode, image.size
            pixels = np.array(image.convert(mode)) if found in accepted else None
    except PanoHeadError as error:
        raise BrokenFile(file, str(error)) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        # Pillow's own words for this name an object in memory.
        reason = "of no known type" if isinstance(error, UnidentifiedImageError) else error
        raise BrokenFile(file, f"cannot read {file} as an image ({reason}); repair or remove it") from error
    if pixels is None:
        raise BrokenFile(file, f"{file} is of Pillow mode {found}, not one of {', '.join(accepted)}; convert it")
    expected = (side or size[0],) * 2
    if size != expected:
        raise BrokenFile(
            file,
            f"{file} has {size[0]} x {size[1]} pixels instead of {expected[0]} x {expected[1]}; "
            "a dataset's images and masks must all be square and of one size",
        )
    return pixels.reshape(*pixels.shape[:2], -1)


def preprocess(
    image: UInt8[np.ndarray, "height width 3"],
    mask: UInt8[np.ndarray, "height width 1"],
    *,
    background: BackgroundMode = "keep",
    factor: int = 1,
) -> tuple[UInt8[np.ndarray, "3 out_height out_width"], UInt8[np.ndarray, "1 out_height out_width"]]:
    """Composite the image over the background, reduce image and mask by a whole factor, put channels first.

    Args:
        background: "keep", or "white" for mask * image + (1 - mask) * white.
        factor: side of the blocks of pixels that are averaged.
    """
    reduced = box_reduced(mask, factor)
    if background == "white":
        weight = mask.astype(np.uint32)
        # mask and 255 - mask weigh image and white: 255 times the composite, divided after reducing (one rounding).
        image = box_reduced(image * weight + 255 * (255 - weight), factor, scale=255)
    else:
        image = box_reduced(image, factor)
    return np.ascontiguousarray(image.transpose(2, 0, 1)), np.ascontiguousarray(reduced.transpose(2, 0, 1))


def box_reduced(
    pixels: UInt[np.ndarray, "height width channel"], factor: int, *, scale: int = 1
) -> UInt8[np.ndarray, "out_height out_width channel"]:
    """Average blocks of ``factor`` x ``factor`` pixels in whole numbers; divide by ``scale`` and round (halves up)."""
    if factor == 1 and scale == 1:
        return pixels.astype(np.uint8, copy=False)
    height, width, channels = pixels.shape
    rows = pixels.reshape(height // factor, factor, width * channels).sum(axis=1, dtype=np.uint32)
    columns = rows.reshape(height // factor, width // factor, factor, channels)
    # Adding slices is several times faster than numpy's sum over a short inner axis.
    total = sum((columns[:, :, i] for i in range(1, factor)), columns[:, :, 0])
    count = factor * factor * scale
    return ((total + count // 2) // count).astype(np.uint8)
