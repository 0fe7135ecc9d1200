"""The user's own masks of whole photos: finding one by its photo's name, and cutting it like the photo."""

import contextlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.alignment.crop import FRAME, cut_frame, frame_to_core, is_inside
from panohead.alignment.head_alignment import Alignment


def cut_mask(
    mask: UInt8[np.ndarray, "rows columns *channel"], shape: tuple[int, ...], alignment: Alignment
) -> Float[np.ndarray, "563 563"]:
    """Cut the user's mask of a whole photo like the photo.

    Args:
        mask: 0 background, 255 person, of any size; the first channel counts.
        shape: height and width of the photo.

    Returns:
        The mask of the frame, 0 to 1; 0 beyond the photo.
    """
    whole = mask.reshape(*mask.shape[:2], -1)[..., 0]
    if whole.shape != shape[:2]:
        size = (shape[1], shape[0])
        whole = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BILINEAR))
    cut = cut_frame(whole[..., None], alignment.crop)[..., 0].astype(np.float64) / 255
    # Beyond the photo the cut shows its mirror image, which would be a second person.
    ends = np.arange(FRAME)
    places = alignment.crop.points(frame_to_core(np.stack(np.meshgrid(ends, ends), -1).astype(np.float64)))
    return cut * is_inside(places, whole.shape)


def read_own_mask(folder: Path, name: str) -> Path | None:
    """Find the user's mask of a photo in ``folder``: the same relative name with any image suffix; None without one."""
    parts = Path(name).parts
    # Names out of archives may be longer than the file system takes, or no names to it.
    with contextlib.suppress(OSError, ValueError):
        for start in range(len(parts)):
            stem = folder.joinpath(*parts[start:])
            # The mask must lie in the folder, whatever the photo is called.
            if not stem.resolve().is_relative_to(folder.resolve()):
                continue
            for suffix in (".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif"):
                candidate = stem.with_suffix(suffix)
                if candidate.is_file():
                    return candidate
    return None
