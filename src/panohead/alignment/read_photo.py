"""Decoding of any photo to upright 8-bit RGB, with one sentence of refusal for anything else."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from panohead.errors import PanoHeadError, UsageError
from panohead.files.image import UnknownFormat, decode_image, register_heif, standardized, to_rgb
from panohead.files.regular import read_regular

MAX_SIDE_PX = 6000
"""Longer side to which larger photos are shrunk: it leaves any head that fills a tenth of them above 512 pixels."""
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

PhotoInput = str | Path | Image.Image | np.ndarray
"""A photo as users have it: path, Pillow image, or uint8 array (gray, RGB or RGBA)."""


class TemporarilyUnreadable(PanoHeadError):
    """Error for a photo that cannot be read for now; another run tries it again."""


@dataclass(frozen=True)
class DecodedPhoto:
    """A decoded photo.

    Attributes:
        pixels: upright RGB.
        notes: changes made in decoding, such as "first frame" or "shrunk by 1.5".
        shrink: factor by which it is smaller than the image of the file.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    notes: tuple[str, ...]
    shrink: float


def is_heif(content: bytes) -> bool:
    """Return True for a file that says it is HEIC or a relative of it (not AVIF, which Pillow reads itself)."""
    size = int.from_bytes(content[:4], "big")
    brands = {content[8:12], *(content[at : at + 4] for at in range(16, min(size, 64), 4))}
    return content[4:8] == b"ftyp" and b"avif" not in brands and bool(brands & _HEIF_BRANDS)


def read_photo(content: bytes) -> DecodedPhoto:
    """Decode a file's content: orientation and color profile honored, transparency on white, first frame of animations.

    Raises:
        TemporarilyUnreadable: when it is HEIC and pillow-heif is not installed.
        PanoHeadError: when it is no image, damaged, or too large. The sentences are stored in datasets.
    """
    try:
        decoded = decode_image(content, max_side_px=MAX_SIDE_PX)
    except UnknownFormat as error:
        if is_heif(content) and not register_heif():
            raise TemporarilyUnreadable(
                "it is HEIC, which needs pillow-heif: pip install pillow-heif, then run again"
            ) from error
        raise
    return DecodedPhoto(np.array(to_rgb(decoded.image)), decoded.notes, decoded.shrink)


def load_photo(photo: PhotoInput, name: str = "") -> DecodedPhoto:
    """Return the upright RGB pixels of a file, a Pillow image or an array.

    Args:
        photo: path; Pillow image of any mode; or uint8 array of shape (height, width), (height, width, 3) or
            (height, width, 4).
        name: name of the photo in messages; "" for the path's last part.

    Raises:
        PanoHeadError: when it cannot be read, or an array is of another shape or type.
    """
    if isinstance(photo, np.ndarray):
        name = name or "the photo"
        if photo.dtype != np.uint8 or photo.shape[2:] not in ((), (3,), (4,)) or photo.ndim < 2:
            shape = " x ".join(map(str, photo.shape))
            raise PanoHeadError(f"{name} is an array of {photo.dtype}, {shape}; give height x width x 3 of uint8")
        if not photo.size:
            raise PanoHeadError(f"{name} has {photo.shape[1]} x {photo.shape[0]} pixels; give one that shows something")
        return DecodedPhoto(np.array(to_rgb(Image.fromarray(photo))), (), 1.0)
    if isinstance(photo, Image.Image):
        return from_pillow(photo)
    if not isinstance(photo, str | Path):
        kind = type(photo).__name__
        raise UsageError(f"a photo of type {kind} cannot be read; give a path, a Pillow image or an array of uint8")
    try:
        return read_photo(read_regular(photo))
    except OSError as error:
        raise PanoHeadError(f"{photo} cannot be read ({error.strerror}); check the path") from error
    except PanoHeadError as error:
        raise PanoHeadError(f"{name or Path(photo).name} is no usable photo: {error}") from error


def from_pillow(image: Image.Image) -> DecodedPhoto:
    """Return the upright sRGB pixels of a Pillow image of any mode; it keeps its own.

    Raises:
        PanoHeadError: for an image without pixels.
    """
    if not (image.width and image.height):
        raise PanoHeadError(f"the photo has {image.width} x {image.height} pixels; give one that shows something")
    upright, notes = standardized(image)
    return DecodedPhoto(np.array(to_rgb(upright)), notes, 1.0)
