"""Decoding of images and masks to pixels: reading, compositing on white, reducing."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt, UInt8
from PIL import Image

from panohead.data.broken import BrokenFile
from panohead.data.masks import mask_of_image, values_problem
from panohead.data.sources import FileSource
from panohead.errors import PanoHeadError, UsageError
from panohead.files.image import BrokenImage, decode_image, decode_levels
from panohead.limits import DATASET_SIDE

PHOTO_MODES = ("RGB", "RGBA", "L", "LA", "P")
"""Pillow modes that files of photos may have."""

MAX_PIXELS = 64_000_000
"""Pixels of one image of a dataset."""

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
    source: FileSource, name: str, mode: Literal["RGB", "L"], side: int = 0
) -> UInt8[np.ndarray, "height width channel"]:
    """Read one image of a source.

    Args:
        mode: Pillow's name for three channels, of a photo, or one, of a mask in any kind of file
            (:mod:`panohead.data.masks`).
        side: height and width that it must have, in pixels; 0 asks only for a square.

    Raises:
        BrokenFile: when it cannot be read, or is not of that kind and size.
    """
    file = source.describe(name)

    def check(image: Image.Image) -> None:
        """Refuse by the header what decoding would only make more expensive."""
        if mode == "RGB" and image.mode not in PHOTO_MODES:
            raise BrokenFile(
                file, f"{file} is of Pillow mode {image.mode}, not one of {', '.join(PHOTO_MODES)}; convert it"
            )
        expected = (side or image.width,) * 2
        if image.size != expected:
            raise BrokenFile(
                file,
                f"{file} has {image.width} x {image.height} pixels instead of {expected[0]} x {expected[1]}; "
                "a dataset's images and masks must all be square and of one size",
            )
        check_pixels(image)

    try:
        content = source.read(name)
        if mode == "L":
            pixels = mask_of_image(decode_levels(content, check=check), file)
            if problem := values_problem(pixels):
                raise BrokenFile(file, f"the mask {file} cannot be used: {problem}")
        else:
            pixels = np.array(decode_image(content, check=check).image.convert(mode))
    except BrokenFile:
        raise
    except BrokenImage as error:
        raise BrokenFile(file, f"cannot read {file} as an image ({error}); repair or remove it") from error
    except PanoHeadError as error:
        raise BrokenFile(file, str(error)) from error
    return pixels.reshape(*pixels.shape[:2], -1)


def check_pixels(image: Image.Image) -> None:
    """Refuse an image that is larger than any of a dataset, before it is decoded. Raises BrokenImage."""
    if image.width * image.height > MAX_PIXELS:
        raise BrokenImage(f"it has {image.width} x {image.height} pixels, more than any image of a dataset")


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
