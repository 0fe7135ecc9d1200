"""The user's own masks of whole photos: finding one by its photo's name, and cutting it like the photo."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.alignment.crop import HeadCrop, cut_frame
from panohead.data.masks import read_mask, values_problem
from panohead.data.names import NameIndex
from panohead.data.sources import FileSource, image_names, open_source
from panohead.errors import PanoHeadError


def cut_mask(
    mask: UInt8[np.ndarray, "rows columns"], shape: tuple[int, ...], crop: HeadCrop
) -> Float[np.ndarray, "563 563"]:
    """Cut the user's mask of a whole photo like the photo.

    Args:
        mask: 0 background, 255 person, of any size.
        shape: height and width of the photo.
        crop: place of the head in the photo.

    Returns:
        The mask of the frame, 0 to 1; beyond the photo its mirror image.
    """
    if mask.shape != shape[:2]:
        size = (shape[1], shape[0])
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))
    return cut_frame(mask[..., None], crop)[..., 0].astype(np.float64) / 255


@dataclass(frozen=True)
class OwnMask:
    """The user's mask of one photo: a file in a folder or a zip archive."""

    source: FileSource
    name: str

    def __str__(self) -> str:
        return self.source.describe(self.name)

    def read(self) -> UInt8[np.ndarray, "rows columns"]:
        """Return the mask, 0..255.

        Raises:
            PanoHeadError: when it cannot be read, or its values are no mask's.
        """
        mask = read_mask(self.source.read(self.name), str(self))
        if problem := values_problem(mask):
            raise PanoHeadError(f"the mask {self} cannot be used: {problem}")
        return mask

    @property
    def stamp(self) -> str:
        """Size and time of change (checksum in an archive), by which a rerun recognizes it."""
        return self.source.stamp(self.name)


def find_own_mask(place: Path, name: str) -> OwnMask | None:
    """Find the user's mask of a photo in a folder or zip archive, by :mod:`panohead.data.names`; None without one.

    Raises:
        PanoHeadError: when there is no such folder or archive.
    """
    source, index = _opened(place)
    found = index.find(name)
    return None if found is None else OwnMask(source, found)


def own_mask_names(place: Path) -> list[str]:
    """Return the names of all masks in a folder or zip archive, for messages."""
    return _opened(place)[1].names


def forget_own_masks() -> None:
    """Forget what is in the folders of masks: called at the start of a run, since files may have been added."""
    _opened.cache_clear()


@functools.lru_cache(maxsize=4)
def _opened(place: Path) -> tuple[FileSource, NameIndex]:
    source = open_source(place)
    return source, NameIndex(image_names(source))
