"""Files of annotations, beside the images of a dataset."""

from pathlib import Path

import numpy as np
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.files.archive import read_arrays
from panohead.files.image import BrokenImage, decode_image
from panohead.files.inside import inside
from panohead.synthetic.annotation.annotate import Annotation
from panohead.synthetic.annotation.landmarks import LANDMARKS
from panohead.synthetic.annotation.parts import COLORS, HeadPart
from panohead.system.atomic_write import atomic_path

FOLDERS = ("part_maps", "landmarks")
"""Folders of annotations in a dataset: PNG files whose palette index is the part, and npz files of landmarks."""
_REMEDY = "free the disk or repair the folder, then run the same command again to continue"


def annotation_files(root: Path, image: str) -> tuple[Path, Path]:
    """Return the files of part map and landmarks of an image (its name in the dataset).

    Raises:
        PanoHeadError: for a name that leaves the dataset.
    """
    maps, landmarks = (inside(root / folder, image) for folder in FOLDERS)
    return maps.with_suffix(".png"), landmarks.with_suffix(".npz")


def write_annotation(root: Path, image: str, annotation: Annotation) -> None:
    """Write both files; each appears whole or not at all.

    Raises:
        PanoHeadError: when one cannot be written.
    """
    parts = Image.fromarray(annotation.parts)
    parts.putpalette([channel for color in COLORS for channel in color])
    maps, landmarks = annotation_files(root, image)
    with atomic_path(maps, _REMEDY) as temporary, temporary.open("wb") as file:
        parts.save(file, "PNG", optimize=False)
    with atomic_path(landmarks, _REMEDY) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, landmarks=annotation.landmarks)


def read_annotation(root: Path, image: str) -> Annotation:
    """Read the annotation of an image of a dataset.

    Raises:
        PanoHeadError: when a file is missing, broken or of something else.
    """
    maps, points = annotation_files(root, image)
    try:
        parts = np.array(decode_image(maps, colors=False).image)
        landmarks = read_arrays(points, ["landmarks"])["landmarks"]
    except (OSError, KeyError, ValueError, BrokenImage) as error:
        raise PanoHeadError(
            f"{root}: {image} has no readable part map and landmarks ({error}); write them with 'panohead synthesize "
            "--parts'"
        ) from error
    if parts.ndim != 2 or parts.dtype != np.uint8 or parts.max(initial=0) >= len(HeadPart):
        raise PanoHeadError(f"{maps} is no part map; write it with 'panohead synthesize --parts'")
    if landmarks.shape != (len(LANDMARKS), 3):
        raise PanoHeadError(f"{points} does not hold {len(LANDMARKS)} landmarks; remove it and write it again")
    return Annotation(parts, landmarks.astype(np.float32))
