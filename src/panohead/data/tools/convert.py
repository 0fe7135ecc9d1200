"""Conversion of datasets between layouts: folder or zip archives, with other sizes or the official numbering.

The official dataset tool takes images in the order of their names, leaves out those without label
or mask, numbers the others ``00000/img00000000.png``, resizes them (Lanczos) and stores them in a zip.
"""

import contextlib
import io
import json
import posixpath
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from panohead.data.conventions import Convention, convert_labels, refuse_wrong_labels
from panohead.data.decode import check_pixels
from panohead.data.labels import (
    CORNERS_KEY,
    LABELS_FILE,
    LabelFile,
    label_of,
    listed_corners,
    listed_labels,
    read_labels,
    read_labels_file,
)
from panohead.data.layout import open_layout
from panohead.data.names import EXAMPLES, NameIndex
from panohead.data.sources import FileSource, image_names
from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage, decode_image
from panohead.files.inside import OutsideFolder, inside, relative_name
from panohead.system.atomic_write import atomic_path, write_bytes

_REMEDY = "free the disk, then run the same command again"
Layout = Literal["folder", "zip"]
Write = Callable[[str, bytes], None]
"""Function that writes one named file of a dataset."""


@dataclass(frozen=True)
class Converted:
    """Result of a conversion: number of images copied, and names of those left out for lack of a label or mask."""

    copied: int
    left_out: tuple[str, ...]


def convert_dataset(
    root: Path,
    out: Path,
    layout: Layout,
    *,
    masks: Path | None = None,
    size: int | None = None,
    renumber: bool = False,
    cameras_from: Sequence[Convention] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Copy a dataset to ``out/images`` and ``out/masks``, folders or stored zips.

    Args:
        root, masks: as in :func:`panohead.data.layout.open_layout`.
        size: side of the copies in pixels; None copies files byte for byte.
        renumber: names and PNG format of the official dataset tool.
        cameras_from: steps of the convention of the labels (:mod:`panohead.data.conventions`); none for this package's.

    Raises:
        PanoHeadError: when the dataset cannot be read, nothing of it is whole, a label is no camera even after its
            conversion, or ``out`` holds one already.
    """
    images, mask_files = open_layout(root, masks)
    labels, coarse = _labels(images)
    names = image_names(images)
    label_names, mask_names = NameIndex(labels), NameIndex(image_names(mask_files))
    label_of, mask_of = ({name: index.find(name) for name in names} for index in (label_names, mask_names))
    whole = [name for name in names if label_of[name] is not None and mask_of[name] is not None]
    if not whole:
        raise PanoHeadError(
            f"no image of {root} has a label and a mask, so there is nothing to convert: {_examples('images', names)}, "
            f"{_examples('labels', label_names.names)}, {_examples('masks', mask_names.names)}"
        )
    rewritten = dict(zip(whole, _rewritten(images, root, whole, cameras_from), strict=True)) if cameras_from else None
    if rewritten is None:
        read_labels(images, whole)
    corners = listed_corners(images)
    corner_names = NameIndex(corners)
    if any((out / f"{folder}{suffix}").exists() for folder in ("images", "masks") for suffix in ("", ".zip")):
        raise PanoHeadError(f"{out} holds a dataset already; give another folder or remove it")
    rows: list[list[Any]] = []
    origin: list[list[str]] = []
    kept_corners: dict[str, Any] = {}
    again = size is not None or renumber
    with _writer(out / "images", layout) as write_image, _writer(out / "masks", layout) as write_mask:
        for number, name in enumerate(whole):
            mask, label = mask_of[name], label_of[name]
            assert mask is not None
            assert label is not None
            image_name, mask_name = _official_names(number) if renumber else (name, mask)
            if again and not renumber:
                image_name, mask_name = (posixpath.splitext(n)[0] + ".png" for n in (name, mask))
            write_image(image_name, _copied(images, name, "RGB", size, again))
            write_mask(mask_name, _copied(mask_files, mask, "L", size, again))
            rows.append([image_name, labels[label] if rewritten is None else rewritten[name]])
            origin.append([image_name, name])
            if (known := corner_names.find(name)) is not None:
                kept_corners[image_name] = corners[known]
            if on_progress is not None:
                on_progress(number + 1, len(whole))
        index: dict[str, Any] = {"labels": rows}
        if renumber:
            index["fnames"] = origin
        if coarse:
            index["coarse"] = [new for new, old in origin if old in coarse]
        if kept_corners:
            index[CORNERS_KEY] = kept_corners
        write_image(LABELS_FILE, json.dumps(index).encode())
    return Converted(len(whole), tuple(name for name in names if name not in set(whole)))


def _labels(images: FileSource) -> tuple[dict[str, Any], set[str]]:
    """Return the labels as they stand in the file, unrounded, and the names marked coarse.

    Labels that are no cameras are left out, and with them their images.
    """
    content, file = read_labels_file(images), images.describe(LABELS_FILE)
    found: dict[str, Any] = {}
    for name, values in content["labels"]:
        with contextlib.suppress(PanoHeadError):
            label_of(values, name, file)
            found[name] = values
    return found, set(content.get("coarse", []))


def convert_label_file(path: Path, out: Path, cameras_from: Sequence[Convention]) -> int:
    """Convert the cameras of a file of labels alone, and write them to another file; coarse names and corners are kept.

    Args:
        path: JSON file in the format of ``dataset.json``.
        out: the new file; it must not exist.
        cameras_from: steps of the convention of the labels.

    Returns:
        Number of labels.

    Raises:
        PanoHeadError: when the file cannot be read, or a label is no camera even after its conversion.
    """
    if out.exists():
        raise PanoHeadError(f"{out} exists already; give another --out")
    source = LabelFile(path)
    names = list(listed_labels(source))
    if not names:
        raise PanoHeadError(f"{path} holds no labels; give a file of labels")
    content = read_labels_file(source)
    content["labels"] = list(zip(names, _rewritten(source, path, names, cameras_from), strict=True))
    write_bytes(out, json.dumps(content).encode(), remedy=_REMEDY)
    return len(names)


def _rewritten(
    source: FileSource, place: Path, names: Sequence[str], cameras_from: Sequence[Convention]
) -> list[list[float]]:
    """Return the labels of the named photos in this package's convention, as the files hold them (6 decimals)."""
    converted = convert_labels(read_labels(source, names, check=False), cameras_from)
    refuse_wrong_labels(names, converted, f"{place} with --cameras-from {' '.join(cameras_from)}", str(place))
    return [[round(float(value), 6) + 0.0 for value in label] for label in converted]


def _examples(what: str, names: Sequence[str]) -> str:
    return f"its {what} are called {', '.join(names[:EXAMPLES])}" if names else f"it has no {what}"


def _official_names(number: int) -> tuple[str, str]:
    digits = f"{number:08d}"
    name = f"{digits[:5]}/img{digits}.png"
    return name, name


def _copied(source: FileSource, name: str, mode: str, size: int | None, again: bool) -> bytes:
    content = source.read(name)
    if not again:
        return content
    try:
        pixels = decode_image(content, colors=mode == "RGB", check=check_pixels).image.convert(mode)
    except BrokenImage as error:
        raise PanoHeadError(f"cannot read {source.describe(name)} as an image ({error}); remove it") from error
    if size is not None and pixels.size != (size, size):
        pixels = pixels.resize((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@contextmanager
def _writer(target: Path, layout: Layout) -> Iterator[Write]:
    """Yield a writer of named files: into a folder, or into a stored zip that appears when it is complete."""
    if layout == "folder":
        yield lambda name, content: write_bytes(_within(target, name), content, remedy=_REMEDY)
        return
    whole = atomic_path(target.with_suffix(".zip"), "free the disk")
    with whole as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        # A fixed date: equal datasets give equal bytes.
        yield lambda name, content: archive.writestr(zipfile.ZipInfo(_relative(name)), content)


def _within(folder: Path, name: str) -> Path:
    try:
        return inside(folder, name)
    except OutsideFolder as error:
        raise PanoHeadError(f"the dataset holds a file that cannot be copied: {error}; rename it") from error


def _relative(name: str) -> str:
    try:
        return relative_name(name).as_posix()
    except OutsideFolder as error:
        raise PanoHeadError(f"the dataset holds a file that cannot be copied: {error}; rename it") from error
