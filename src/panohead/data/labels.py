"""The cameras of a dataset: ``dataset.json`` in the official layout (docs/reference.md 1.1 and 6.1)."""

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np
from jaxtyping import Float

from panohead.data.conventions import refuse_wrong_labels
from panohead.data.names import match_names
from panohead.data.sources import FileSource, FolderSource
from panohead.errors import PanoHeadError
from panohead.files.read_json import from_plain, parse_json
from panohead.files.regular import MAX_TEXT_BYTES, read_regular

LABELS_FILE = "dataset.json"
CORNERS_KEY = "photo_corners"
"""Key of the corners of photos that do not fill their crops, by the image's name: shares of the crop's side."""
LABEL_DIM = 25
MIN_DETERMINANT = 1e-3
"""Determinant of the 3 x 3 block below which a label is no camera; a rotation's is 1."""


class LabelsFile(TypedDict):
    """Content of ``dataset.json``.

    Attributes:
        labels: pairs of file name and 25 numbers (or numeric strings), one for every photo; see :func:`listed_labels`.
        coarse: names of coarsely aligned photos.
        photo_corners: see :func:`listed_corners`.
    """

    labels: list[Any]
    coarse: NotRequired[Any]
    photo_corners: NotRequired[dict[str, Any]]


class LabelFile(FolderSource):
    """One file of labels of any name, as a source that has nothing but ``dataset.json``."""

    def has(self, name: str) -> bool:
        """Return True if the file exists."""
        return self.path.is_file()

    def read(self, name: str) -> bytes:
        """Return its content. Raises PanoHeadError when it cannot be read."""
        try:
            return read_regular(self.path, MAX_TEXT_BYTES)
        except OSError as error:
            raise PanoHeadError(f"cannot read {self.path} ({error.strerror}); give a file of labels") from error

    def describe(self, name: str) -> str:
        """Return its path."""
        return str(self.path)


def read_labels_file(source: FileSource) -> LabelsFile:
    """Read ``dataset.json`` as it stands.

    Raises:
        PanoHeadError: when the file is missing or not of that form.
    """
    file = source.describe(LABELS_FILE)
    if not source.has(LABELS_FILE):
        raise PanoHeadError(f"{file} is missing; it must lie beside the images and hold {_FORM}")
    return parse_json(source.read(LABELS_FILE), LabelsFile, file, remedy=_REMEDY)


def read_labels(source: FileSource, names: Sequence[str], *, check: bool = True) -> Float[np.ndarray, "photo 25"]:
    """Read the labels of the named photos.

    Args:
        source: files with ``dataset.json``.
        names: photos, matched to the labels by :mod:`panohead.data.names`.
        check: refuse labels that are no cameras as the networks expect them; only tools that report or convert these
            read them unchecked.

    Raises:
        PanoHeadError: when the file is missing or not of that form, a photo has no label of 25 finite numbers, or a
            label is no camera (:mod:`panohead.data.label_check`).
    """
    file, by_name = source.describe(LABELS_FILE), listed_labels(source)
    found = match_names(names, by_name, "label", file)
    labels = np.stack([label_of(by_name[other], name, file) for name, other in zip(names, found, strict=True)])
    if check:
        refuse_wrong_labels(names, labels, file, _argument(source))
    return labels


def listed_labels(source: FileSource) -> dict[str, Any]:
    """Return the labels as they stand in the file, unchecked, by name (with "/" in all names).

    Raises:
        PanoHeadError: when the file is missing or not of the form that :func:`read_labels` reads.
    """
    file, entries = source.describe(LABELS_FILE), read_labels_file(source)["labels"]
    try:
        pairs = from_plain(list[tuple[str, Any]], entries)
    except ValueError as error:
        raise PanoHeadError(f"{file} is not of the form that it must have (labels{error}); {_REMEDY}") from error
    return {name.replace("\\", "/"): values for name, values in pairs}


def readable_labels(content: LabelsFile, file: str) -> dict[str, Any]:
    """Return those labels, as they stand in the file, that are 25 numbers of a camera, by name; others are left out."""
    found: dict[str, Any] = {}
    for entry in content["labels"]:
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str):
            with contextlib.suppress(PanoHeadError):
                label_of(entry[1], entry[0], file)
                found[entry[0].replace("\\", "/")] = entry[1]
    return found


def coarse_names(content: LabelsFile) -> set[str]:
    """Return the names that the file marks as coarsely aligned."""
    names: Any = content.get("coarse", [])
    return {name.replace("\\", "/") for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def listed_corners(content: LabelsFile, file: str) -> dict[str, list[list[float]]]:
    """Return the photos' corners in their crops, by name of the image; empty where the file has none.

    Raises:
        PanoHeadError: when it holds other corners than four pairs of finite numbers; names ``file``.
    """
    corners = content.get("photo_corners", {})
    for name, values in corners.items():
        try:
            from_plain(_Corners, values)
        except ValueError as error:
            raise PanoHeadError(
                f"the {CORNERS_KEY} of {name} in {file} must be four pairs of numbers; correct them"
            ) from error
    return corners


_FORM = '{"labels": [[file name, 25 numbers], ...]}'
_REMEDY = f"it must hold {_FORM}; write it again"
_Corners = Annotated[list[tuple[float, float]], msgspec.Meta(min_length=4, max_length=4)]


def _argument(source: FileSource) -> str:
    """Return what the user gives to ``panohead dataset convert``: the dataset's folder, or the file of the labels."""
    return str(source.path if source.path.name != "images" or not source.path.is_dir() else source.path.parent)


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
