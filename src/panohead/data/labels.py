"""The cameras of a dataset: ``dataset.json`` in the official layout (docs/reference.md 1.1 and 6.1)."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from panohead.data.sources import FileSource
from panohead.errors import PanoHeadError

LABELS_FILE = "dataset.json"
LABEL_DIM = 25
MIN_DETERMINANT = 1e-3
"""Determinant of the 3 x 3 block below which a label is no camera; a rotation's is 1."""


def read_labels(source: FileSource, names: Sequence[str]) -> Float[np.ndarray, "photo 25"]:
    """Read the labels of the named photos from ``{"labels": [[name, [25 numbers or numeric strings]], ...]}``.

    Raises:
        PanoHeadError: when the file is missing or not of that form, or a photo has no label of 25 finite numbers.
    """
    file, form = source.describe(LABELS_FILE), '{"labels": [[file name, 25 numbers], ...]}'
    if not source.has(LABELS_FILE):
        raise PanoHeadError(f"{file} is missing; it must lie beside the images and hold {form}")
    try:
        listed = json.loads(source.read(LABELS_FILE))["labels"]
        by_name = {str(name).replace("\\", "/"): values for name, values in listed}
    except (ValueError, TypeError, KeyError) as error:
        raise PanoHeadError(f"{file} is not of the form {form}; write it again") from error
    missing = [name for name in names if name not in by_name]
    if missing:
        raise PanoHeadError(f"{file} has no label for {_some(missing)}; add labels or remove those photos")
    return np.stack([_label(by_name[name], name, file) for name in names])


def readable_labels(source: FileSource, names: Sequence[str]) -> dict[str, Float[np.ndarray, "25"]]:
    """Return the labels of those of the named photos that have a right one; empty where there is no list of labels."""
    try:
        entries = list(json.loads(source.read(LABELS_FILE))["labels"])
    except (ValueError, TypeError, KeyError, RecursionError, PanoHeadError):
        return {}
    by_name: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, list) and len(entry) == 2:
            by_name[str(entry[0]).replace("\\", "/")] = entry[1]
    found: dict[str, np.ndarray] = {}
    for name in names:
        if name in by_name:
            with contextlib.suppress(PanoHeadError):
                found[name] = _label(by_name[name], name, "")
    return found


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


def _label(values: Any, name: str, file: str) -> np.ndarray:
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
