"""Conversion of datasets between layouts: folder or zip archives, with other sizes or the official numbering.

The official dataset tool takes images in the order of their names, leaves out those without label
or mask, numbers the others ``00000/img00000000.png``, resizes them (Lanczos) and stores them in a zip.
"""

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
    coarse_names,
    label_of,
    listed_corners,
    listed_labels,
    read_labels_file,
    readable_labels,
)
from panohead.data.layout import open_layout
from panohead.data.names import EXAMPLES, NameIndex, match_names
from panohead.data.sources import FileSource, image_names
from panohead.data.tools.room import make_room
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
    """Result of a conversion.

    Attributes:
        copied: number of images copied.
        left_out: names of those left out for lack of a label or mask.
        broken: a sentence for each that was left out because it, or its mask, cannot be copied.
    """

    copied: int
    left_out: tuple[str, ...]
    broken: tuple[str, ...] = ()


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
    overwrite: bool = False,
) -> Converted:
    """Copy a dataset to ``out/images`` and ``out/masks``, folders or stored zips.

    Args:
        root, masks: as in :func:`panohead.data.layout.open_layout`.
        size: side of the copies in pixels; None copies files byte for byte.
        renumber: names and PNG format of the official dataset tool.
        cameras_from: steps of the convention of the labels (:mod:`panohead.data.conventions`); none for this package's.
        overwrite: remove the copy of an earlier conversion in ``out``.

    Raises:
        PanoHeadError: when the dataset cannot be read, nothing of it is whole, a label is no camera even after its
            conversion, or ``out`` holds one already.
    """
    images, mask_files = open_layout(root, masks)
    file, content = images.describe(LABELS_FILE), read_labels_file(images)
    labels, coarse, corners = readable_labels(content, file), coarse_names(content), listed_corners(content, file)
    names = image_names(images)
    label_names, mask_names = NameIndex(labels), NameIndex(image_names(mask_files))
    found = {name: (label_names.find(name), mask_names.find(name)) for name in names}
    masks_of = {name: mask for name, (label, mask) in found.items() if label is not None and mask is not None}
    if not masks_of:
        raise PanoHeadError(
            f"no image of {root} has a label and a mask, so there is nothing to convert: {_examples('images', names)}, "
            f"{_examples('labels', label_names.names)}, {_examples('masks', mask_names.names)}"
        )
    own = dict(zip(masks_of, match_names(list(masks_of), labels, "label", file), strict=True))
    values = _checked_labels({name: labels[label] for name, label in own.items()}, file, root, cameras_from)
    make_room(out, overwrite=overwrite, inputs=(images.path, mask_files.path))
    corner_names = NameIndex(corners)
    origin: dict[str, str] = {}
    broken: list[str] = []
    again = size is not None or renumber
    with _writer(out / "images", layout) as write_image, _writer(out / "masks", layout) as write_mask:
        for number, (name, mask) in enumerate(masks_of.items()):
            image_name, mask_name = _official_names(len(origin)) if renumber else (name, mask)
            if again and not renumber:
                image_name, mask_name = (posixpath.splitext(n)[0] + ".png" for n in (name, mask))
            try:
                # Both, before either is written: one bad entry costs itself and nothing else.
                targets = _relative(image_name), _relative(mask_name)
                contents = _copied(images, name, "RGB", size, again), _copied(mask_files, mask, "L", size, again)
            except PanoHeadError as error:
                broken.append(str(error))
            else:
                write_image(targets[0], contents[0])
                write_mask(targets[1], contents[1])
                origin[image_name] = name
            if on_progress is not None:
                on_progress(number + 1, len(masks_of))
        if not origin:
            raise PanoHeadError(f"nothing of {root} can be copied; the first problem: {broken[0]}")
        index: dict[str, Any] = {"labels": [[new, values[old]] for new, old in origin.items()]}
        if renumber:
            index["fnames"] = [list(pair) for pair in origin.items()]
        if coarse:
            index["coarse"] = [new for new, old in origin.items() if old in coarse]
        known = {new: corner_names.find(old) for new, old in origin.items()}
        if any(known.values()):
            index[CORNERS_KEY] = {new: corners[other] for new, other in known.items() if other is not None}
        write_image(LABELS_FILE, json.dumps(index).encode())
    return Converted(len(origin), tuple(name for name in names if name not in masks_of), tuple(broken))


def convert_label_file(path: Path, out: Path, cameras_from: Sequence[Convention], *, overwrite: bool = False) -> int:
    """Convert the cameras of a file of labels alone, and write them to another file; everything else in it is kept.

    Args:
        path: JSON file in the format of ``dataset.json``.
        out: the new file; it must not exist.
        cameras_from: steps of the convention of the labels.
        overwrite: replace ``out``, unless it is the file that is read.

    Returns:
        Number of labels.

    Raises:
        PanoHeadError: when the file cannot be read, or a label is no camera even after its conversion.
    """
    if out.exists() and (not overwrite or not out.is_file() or out.samefile(path)):
        raise PanoHeadError(f"{out} exists already; give another --out" + ("" if overwrite else ", or --overwrite"))
    source = LabelFile(path)
    labels = listed_labels(source)
    if not labels:
        raise PanoHeadError(f"{path} holds no labels; give a file of labels")
    content = read_labels_file(source)
    content["labels"] = [list(pair) for pair in _checked_labels(labels, str(path), path, cameras_from).items()]
    write_bytes(out, json.dumps(content).encode(), remedy=_REMEDY)
    return len(labels)


def _checked_labels(
    labels: dict[str, Any], file: str, place: Path, cameras_from: Sequence[Convention]
) -> dict[str, Any]:
    """Return labels in this package's convention, by name: as they stand, or converted and rounded to 6 decimals."""
    names = list(labels)
    cameras = np.stack([label_of(values, name, file) for name, values in labels.items()])
    if not cameras_from:
        refuse_wrong_labels(names, cameras, file, str(place))
        return labels
    converted = convert_labels(cameras, cameras_from)
    refuse_wrong_labels(names, converted, f"{place} with --cameras-from {' '.join(cameras_from)}", str(place))
    return {
        name: [round(float(value), 6) + 0.0 for value in label] for name, label in zip(names, converted, strict=True)
    }


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
