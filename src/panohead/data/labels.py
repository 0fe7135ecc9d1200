"""The cameras of a dataset: ``dataset.json`` in the official layout (docs/reference.md 1.1 and 6.1)."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
from jaxtyping import Float

from panohead.data.sources import FileSource
from panohead.errors import PanoHeadError
from panohead.files.read_json import parse_json

LABELS_FILE = "dataset.json"
LABEL_DIM = 25
MIN_DETERMINANT = 1e-3
"""Determinant of the 3 x 3 block below which a label is no camera; a rotation's is 1."""


class LabelsFile(TypedDict):
    """Content of ``dataset.json``: a name and 25 numbers (or numeric strings) for every photo.

    Attributes:
        labels: pairs of file name and numbers, which :func:`label_of` checks.
        coarse: names of coarsely aligned photos.
    """

    labels: list[tuple[str, Any]]
    coarse: NotRequired[list[str]]


def read_labels_file(source: FileSource) -> LabelsFile:
    """Read ``dataset.json`` as it stands, with "/" in all names.

    Raises:
        PanoHeadError: when the file is missing or not of that form.
    """
    file, form = source.describe(LABELS_FILE), '{"labels": [[file name, 25 numbers], ...]}'
    if not source.has(LABELS_FILE):
        raise PanoHeadError(f"{file} is missing; it must lie beside the images and hold {form}")
    remedy = f"it must hold {form}; write it again"
    content = parse_json(source.read(LABELS_FILE), LabelsFile, file, remedy=remedy)
    content["labels"] = [(name.replace("\\", "/"), values) for name, values in content["labels"]]
    return content


def read_labels(source: FileSource, names: Sequence[str]) -> Float[np.ndarray, "photo 25"]:
    """Read the labels of the named photos.

    Raises:
        PanoHeadError: when the file is missing or wrong, or a photo has no label of 25 finite numbers.
    """
    file, by_name = source.describe(LABELS_FILE), dict(read_labels_file(source)["labels"])
    missing = [name for name in names if name not in by_name]
    if missing:
        raise PanoHeadError(f"{file} has no label for {_some(missing)}; add labels or remove those photos")
    return np.stack([label_of(by_name[name], name, file) for name in names])


def jittered(labels: Float[np.ndarray, "photo 25"], std: float, seed: int) -> Float[np.ndarray, "photo 25"]:
    """Return labels whose camera positions have normally distributed errors, the same ones at every call.

    Args:
        std: standard deviation of the errors along x, y and z of the world, world units.
        seed: seed of the errors. A photo's error depends on it and on the photo's place in the dataset alone.

    Raises:
        PanoHeadError: when ``std`` is negative or no number.
    """
    if not 0 <= std < float("inf"):
        raise PanoHeadError(f"a camera jitter of {std} cannot be; give 0 or a positive number of world units")
    moved = labels.copy()
    moved[:, [3, 7, 11]] += (std * np.random.RandomState(seed).standard_normal((len(labels), 3))).astype(np.float32)
    return moved


def label_of(values: Any, name: str, file: str) -> Float[np.ndarray, "25"]:
    """Check and convert the numbers of one label.

    Args:
        values: the value in the file.
        name, file: the photo and the labels' file, for the error.

    Raises:
        PanoHeadError: when they are not 25 finite numbers that describe a camera.
    """
    what = f"the label of {name} in {file}"
    try:
        # Numbers beyond float32 become infinite here and are refused below.
        with np.errstate(over="ignore"):
            label = np.asarray([float(value) for value in values]).astype(np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise PanoHeadError(f"{what} is not a list of numbers; correct it") from error
    if label.shape != (LABEL_DIM,) or not np.isfinite(label).all():
        raise PanoHeadError(f"{what} must be {LABEL_DIM} finite numbers; correct it")
    if abs(np.linalg.det(label[:16].reshape(4, 4)[:3, :3].astype(np.float64))) < MIN_DETERMINANT:
        raise PanoHeadError(f"{what} is no camera: its first 16 numbers must be a cam2world matrix, row by row")
    return label


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"
