"""The only opening of image files: by a list of formats, bounded in bytes and pixels, upright and in sRGB.

Pillow tells formats by content and starts other programs for some of them (Ghostscript for PostScript), whatever a
file is called. So ``Image.open`` stands here alone (tests/test_code_rules.py), and whatever a decoder raises means a
broken image.
"""

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from panohead.errors import PanoHeadError
from panohead.files.color_profile import profile_of, to_srgb
from panohead.files.image_limits import MAX_EXIF_BYTES, BrokenImage, check_chunks, check_cost, check_tags
from panohead.files.regular import read_regular

__all__ = [
    "BrokenImage",
    "DecodedImage",
    "UnknownFormat",
    "decode_image",
    "open_image",
    "register_heif",
    "standardized",
    "to_rgb",
]

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO")
"""Formats that Pillow may open here; those that start other programs (EPS) or fetch things are left out."""
HEIF_FORMATS = ("HEIF", "AVIF")
_PILLOW = r"PIL\."
_ORIENTATION = 0x0112
"""Number of the EXIF tag."""
_WHITE = (255, 255, 255)


class UnknownFormat(BrokenImage):
    """Error for a file that is no image in a known format."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image.

    Attributes:
        image: upright and, unless asked otherwise, in sRGB.
        stored_mode: Pillow's mode of the file.
        notes: changes made in decoding, such as "first frame" or "shrunk by 1.5".
        shrink: factor by which it is smaller than the image of the file.
    """

    image: Image.Image
    stored_mode: str
    notes: tuple[str, ...]
    shrink: float


def register_heif() -> bool:
    """Let Pillow read HEIC where pillow-heif is installed; return True when it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


@contextlib.contextmanager
def open_image(source: bytes | Path) -> Iterator[Image.Image]:
    """Open an image file without decoding its pixels yet: format, size and texts are there.

    Args:
        source: path of a regular file, or the content of one.

    Raises:
        BrokenImage: when it is no image, damaged or too large; for anything that a decoder raises in the block too.
        OSError: when a path cannot be read.
    """
    content = source if isinstance(source, bytes) else read_regular(source)
    if not content:
        raise BrokenImage("the file is empty")
    _ignore_warnings_of_pillow()
    try:
        check_chunks(content)
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            exif = image.info.get("exif")
            if isinstance(exif, bytes):
                check_tags(exif.removeprefix(b"Exif\0\0"), MAX_EXIF_BYTES)
            yield image
    except PanoHeadError:
        raise
    except MemoryError as error:
        raise BrokenImage("there is not enough memory to decode it") from error
    except Image.UnidentifiedImageError as error:
        raise UnknownFormat("it is not an image in a known format") from error
    except Image.DecompressionBombError as error:
        raise BrokenImage("it is larger than any photo (a decompression bomb)") from error
    except Exception as error:
        # Damaged files make Pillow's readers raise nearly anything.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BrokenImage(f"it is damaged ({reason})") from error


def decode_image(
    source: bytes | Path,
    *,
    colors: bool = True,
    max_side_px: int | None = None,
    check: Callable[[Image.Image], None] = lambda image: None,
) -> DecodedImage:
    """Decode an image file: EXIF orientation and color profile honored, first frame of animations.

    Args:
        source: path of a regular file, or the content of one.
        colors: False for what is no color (masks, depth): values stay as they are stored, whatever profile is given.
        max_side_px: longer side to which larger images are shrunk; None keeps them.
        check: called with the opened image before its pixels are decoded; may raise PanoHeadError.

    Raises:
        BrokenImage, OSError: as :func:`open_image`.
    """
    notes: list[str] = []
    with open_image(source) as image:
        check(image)
        mode = image.mode
        # Not n_frames: counting the frames of a GIF file takes minutes where there are millions.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            notes.append("first frame")
        whole = image.size
        shrink = max(1.0, max(whole) / max_side_px) if max_side_px else 1.0
        # JPEG can be decoded at a half, quarter or eighth directly.
        image.draft("RGB", (max(1, int(whole[0] / shrink)), max(1, int(whole[1] / shrink))))
        check_cost(image, whole)
        image.load()
        check_cost(image, whole)  # an icon's directory need not tell the truth
        decoded, changes = _standardized(image, colors, max_side_px)
    if shrink > 1.0:
        notes.append(f"shrunk by {shrink:.2f}")
    return DecodedImage(decoded, mode, (*notes, *changes), shrink)


def decode_levels(source: bytes | Path, *, check: Callable[[Image.Image], None] = lambda image: None) -> Image.Image:
    """Decode an image of levels, such as a mask: in the mode of its file, alpha channel included, and upright.

    Args:
        source, check: as for :func:`decode_image`.

    Raises:
        BrokenImage, OSError: as :func:`open_image`.
    """
    with open_image(source) as image:
        check(image)
        check_cost(image, image.size)
        image.load()
        check_cost(image, image.size)
        return ImageOps.exif_transpose(image)


def standardized(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return an opened image upright and in sRGB, with notes on what was done: a Pillow image of the user's own.

    Raises:
        BrokenImage: when its file is damaged.
    """
    try:
        _ignore_warnings_of_pillow()
        return _standardized(image, True, None)
    except Exception as error:  # as in open_image
        raise BrokenImage(f"it is damaged ({' '.join(str(error).split())})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image in any of Pillow's modes to 8-bit RGB; transparent parts become white."""
    if _is_wide(image):
        return _from_wide(image).convert("RGB")
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layer = image.convert("RGBA")
        background = Image.new("RGBA", layer.size, (*_WHITE, 255))
        return Image.alpha_composite(background, layer).convert("RGB")
    return image.convert("RGB")


def _standardized(image: Image.Image, colors: bool, max_side_px: int | None) -> tuple[Image.Image, tuple[str, ...]]:
    if max_side_px and max(image.size) > max_side_px:
        # First, so that everything after it takes little memory. Of the EXIF data nothing but the orientation is left.
        profile = profile_of(image) if colors else b""
        image = _shrunk(image, max_side_px)
        if profile:
            image.info["icc_profile"] = profile
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if not colors:
        return image, ()
    if _is_wide(image) and "icc_profile" in image.info:
        info = dict(image.info)
        image = _from_wide(image)
        image.info = info
    return to_srgb(image)


def _shrunk(image: Image.Image, max_side_px: int) -> Image.Image:
    info, exif = image.info, Image.Exif()
    exif[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    if image.mode in ("P", "PA", "1") or "transparency" in info:
        alpha = image.mode == "PA" or "transparency" in info
        image = image.convert("L" if image.mode == "1" else "RGBA" if alpha else "RGB")
    elif _is_wide(image):
        image = _from_wide(image)
    scale = max_side_px / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=1.0)
    small.info = {name: value for name, value in info.items() if name != "transparency"}
    small.info["exif"] = exif.tobytes()
    return small


def _is_wide(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def _from_wide(image: Image.Image) -> Image.Image:
    """Convert 16 and 32 bits per sample: by their format's range where one is meant, else by the brightest value."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0))
    if image.mode == "F" and top <= 1.0:
        scale = 255.0
    elif top <= 255.0:
        scale = 1.0
    else:
        scale = 255.0 / (65535.0 if top <= 65535.0 else top)
    gray = np.empty(values.shape, np.uint8)
    for row, line in zip(gray, values, strict=True):  # row by row: no second copy in double precision
        row[:] = np.clip(np.rint(line.astype(np.float64) * scale), 0, 255)
    return Image.fromarray(gray)


@functools.cache
def _formats() -> tuple[str, ...]:
    heif = HEIF_FORMATS if register_heif() else ("AVIF",)
    Image.init()
    return tuple(name for name in FORMATS + heif if name in Image.OPEN)


def _ignore_warnings_of_pillow() -> None:
    """Ignore what Pillow's modules warn of in damaged files.

    ``warnings.catch_warnings`` would do so for a while only, but is not safe where threads decode. Tests and programs
    may have set other filters meanwhile, so this is asked for every image; it costs a look at a short list.
    """
    if not any(getattr(module, "pattern", None) == _PILLOW for _, _, _, module, _ in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW)
