"""Writing of a dataset as WebDataset shards, which :mod:`panohead.data.shards` describes."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from panohead.data.labels import CORNERS_KEY, LABELS_FILE, listed_corners, read_labels, read_labels_file
from panohead.data.layout import open_layout
from panohead.data.names import NameIndex
from panohead.data.shards import BLOCK
from panohead.data.sources import FileSource, image_names, match_masks
from panohead.data.tools.room import make_room
from panohead.errors import PanoHeadError
from panohead.files.inside import OutsideFolder, relative_name
from panohead.system.atomic_write import atomic_path


@dataclass(frozen=True)
class _ShardSample:
    key: str
    photo: str
    mask: str
    label: bytes
    size: int


def write_shards(
    dataset_root: Path,
    out: Path,
    *,
    masks: Path | None = None,
    shard_mb: float = 64,
    on_progress: Callable[[int, int], None] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Copy a dataset into shards, images byte for byte. Equal datasets give equal bytes.

    Each shard appears whole or not at all, and says in its name how many there are: a folder that an interruption left
    incomplete is refused when it is read. Dots in the names of images become underscores, since a key ends at its
    first dot.

    Args:
        dataset_root, masks: as in :func:`panohead.data.layout.open_layout`.
        out: folder of the shards; it must hold none yet.
        shard_mb: size of a shard in millions of bytes. A single sample may be larger.
        on_progress: called with samples written and all samples, after each shard.
        overwrite: remove the copy of an earlier conversion in ``out``.

    Returns:
        The shards.

    Raises:
        PanoHeadError: when the dataset cannot be read, two keys coincide, shards are there already or the disk is full.
    """
    samples, photos, mask_files = _samples(dataset_root, masks)
    make_room(out, overwrite=overwrite, inputs=(photos.path, mask_files.path))
    groups = _groups(samples, round(shard_mb * 1e6))
    paths, done = [], 0
    for number, group in enumerate(groups):
        path = out / f"photos-{number:06d}-of-{len(groups):06d}.tar"
        _write_shard(path, group, photos, mask_files)
        paths.append(path)
        done += len(group)
        if on_progress is not None:
            on_progress(done, len(samples))
    return paths


def _samples(root: Path, masks: Path | None) -> tuple[list[_ShardSample], FileSource, FileSource]:
    photos, mask_files = open_layout(root, masks)
    names = image_names(photos)
    if not names:
        raise PanoHeadError(f"{photos.path} holds no images; give the folder of a dataset")
    samples, taken = [], dict[str, str]()
    corners = listed_corners(read_labels_file(photos), photos.describe(LABELS_FILE))
    corner_names = NameIndex(corners)
    for name, mask, label in zip(names, match_masks(names, mask_files), read_labels(photos, names), strict=True):
        try:
            path = relative_name(name)
        except OutsideFolder as error:
            raise PanoHeadError(f"{photos.path} holds a file that cannot be copied: {error}; rename it") from error
        key = path.with_name(path.stem.replace(".", "_")).as_posix()
        if taken.setdefault(key, name) != name:
            raise PanoHeadError(f"{taken[key]} and {name} of {photos.path} would both get the key {key}; rename one")
        known = corner_names.find(name)
        content = _label_content(label, None if known is None else corners[known])
        size = sum(BLOCK + -(-x // BLOCK) * BLOCK for x in (photos.size(name), mask_files.size(mask), len(content)))
        samples.append(_ShardSample(key, name, mask, content, size))
    return samples, photos, mask_files


def _label_content(label: Float[np.ndarray, "25"], corners: list[list[float]] | None) -> bytes:
    # str of a 32-bit number has the shortest digits that give the same number again.
    content: dict[str, Any] = {"label": [float(str(value)) for value in label]}
    if corners is not None:
        content[CORNERS_KEY] = corners
    return json.dumps(content).encode()


def _groups(samples: Sequence[_ShardSample], limit: int) -> list[list[_ShardSample]]:
    groups: list[list[_ShardSample]] = []
    filled = 0
    for sample in samples:
        if not groups or filled + sample.size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(sample)
        filled += sample.size
    return groups


def _write_shard(path: Path, samples: Sequence[_ShardSample], photos: FileSource, masks: FileSource) -> None:
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as archive:
        for sample in samples:
            _add(archive, sample, photos, masks)


def _add(archive: tarfile.TarFile, sample: _ShardSample, photos: FileSource, masks: FileSource) -> None:
    members = {
        PurePosixPath(sample.photo).suffix: photos.read(sample.photo),
        f".mask{PurePosixPath(sample.mask).suffix}": masks.read(sample.mask),
        ".json": sample.label,
    }
    for suffix, content in members.items():
        info = tarfile.TarInfo(f"{sample.key}{suffix}")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
