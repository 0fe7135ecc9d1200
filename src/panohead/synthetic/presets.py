"""Published recipes of the synthetic dataset, and hashes by which anyone can tell that a copy is the same."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panohead.errors import PanoHeadError
from panohead.files.archive import open_zip, read_member
from panohead.files.image import decode_image
from panohead.files.regular import MAX_TEXT_BYTES, read_regular


@dataclass(frozen=True)
class DatasetPreset:
    """A recipe.

    Attributes:
        options: options of ``panohead synthesize`` that decide the images.
        labels_sha256: SHA-256 of ``images/dataset.json``.
        sample_sha256: :func:`sample_sha256` of the first two people.
    """

    options: dict[str, Any]
    labels_sha256: str | None
    sample_sha256: str


_HEADS = {"edition": 2, "expressions": 2, "views": 6, "resolution": 128, "depth": True, "seed": 20}
_SAMPLE_PEOPLE = 2
_HEADS_SAMPLE = "7f3271cf87dc52c516c4c6c1e378d5abd12e5be80696ce1763cdc80670578756"
DATASET_PRESETS = {
    "heads": DatasetPreset(
        {**_HEADS, "people": 3000},
        "552fc36ccb1fd06341311945adba12c1974a48be7c66b07c669ab0b3562ebcc9",
        _HEADS_SAMPLE,
    ),
    "heads_sample": DatasetPreset({**_HEADS, "people": _SAMPLE_PEOPLE}, None, _HEADS_SAMPLE),
}
"""Recipes by name: 36,000 images of 3,000 people, and the first 24 of them."""


def sample_sha256(folder: Path) -> str:
    """Return the SHA-256 of masks and depth of the first two people, as numbers.

    Those are what the renderer computes; the bytes of image files also depend on the version of their encoder.

    Raises:
        PanoHeadError: when a file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for person in range(_SAMPLE_PEOPLE):
        names = sorted(path.stem for path in (folder / "masks" / "00000").glob(f"{person:06d}_*.png"))
        if not names:
            raise PanoHeadError(f"{folder} holds no masks of person {person}; render it again")
        for name in names:
            try:
                pixels = np.asarray(decode_image(folder / "masks" / "00000" / f"{name}.png", colors=False).image)
                with open_zip(folder / "depth" / "00000" / f"{name}.npz") as archive:
                    stored = read_member(archive, archive.getinfo("depth.npy"))
                depth = np.lib.format.read_array(io.BytesIO(stored), allow_pickle=False)
            except (OSError, ValueError, KeyError) as error:
                raise PanoHeadError(
                    f"cannot read mask and depth of {name} in {folder} ({error}); render it again"
                ) from error
            digest.update(f"{name} {pixels.shape} {depth.shape} {depth.dtype}".encode())
            digest.update(np.ascontiguousarray(pixels).tobytes())
            digest.update(np.ascontiguousarray(depth).tobytes())
    return digest.hexdigest()


def compared(folder: Path, preset: DatasetPreset) -> list[str]:
    """Return sentences that say whether a rendered folder is the published dataset.

    Raises:
        PanoHeadError: when a file is missing or cannot be read.
    """
    checks = [("masks and depth of the first two people", sample_sha256(folder), preset.sample_sha256)]
    if preset.labels_sha256 is not None:
        labels = hashlib.sha256(read_regular(folder / "images" / "dataset.json", MAX_TEXT_BYTES)).hexdigest()
        checks.append(("labels", labels, preset.labels_sha256))
    return [
        f"{what}: {'the published ones' if found == published else 'NOT the published ones'} (SHA-256 {found[:16]})"
        for what, found, published in checks
    ]
