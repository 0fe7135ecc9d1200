"""Conversion of datasets between layouts: folder or zip archives, with other sizes or the official numbering.

The official dataset tool takes images in the order of their names, leaves out those without label
or mask, numbers the others ``00000/img00000000.png``, resizes them (Lanczos) and stores them in a zip.
"""

import contextlib
import io
import json
import posixpath
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from panohead.data.decode import check_pixels
from panohead.data.labels import LABELS_FILE, label_of, read_labels_file
from panohead.data.layout import open_layout
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
    on_progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Copy a dataset to ``out/images`` and ``out/masks``, folders or stored zips.

    Args:
        root, masks: as in :func:`panohead.data.layout.open_layout`.
        size: side of the copies in pixels; None copies files byte for byte.
        renumber: names and PNG format of the official dataset tool.

    Raises:
        PanoHeadError: when the dataset cannot be read, nothing of it is whole, or ``out`` holds one already.
    """
    images, mask_files = open_layout(root, masks)
    labels, coarse = _labels(images)
    by_stem = {posixpath.splitext(name)[0]: name for name in image_names(mask_files)}
    names = image_names(images)
    whole = [name for name in names if name in labels and posixpath.splitext(name)[0] in by_stem]
    if not whole:
        raise PanoHeadError(f"no image of {root} has a label and a mask; nothing to convert")
    if any((out / f"{folder}{suffix}").exists() for folder in ("images", "masks") for suffix in ("", ".zip")):
        raise PanoHeadError(f"{out} holds a dataset already; give another folder or remove it")
    rows: list[list[Any]] = []
    origin: list[list[str]] = []
    again = size is not None or renumber
    with _writer(out / "images", layout) as write_image, _writer(out / "masks", layout) as write_mask:
        for number, name in enumerate(whole):
            mask = by_stem[posixpath.splitext(name)[0]]
            image_name, mask_name = _official_names(number) if renumber else (name, mask)
            if again and not renumber:
                image_name, mask_name = (posixpath.splitext(n)[0] + ".png" for n in (name, mask))
            write_image(image_name, _copied(images, name, "RGB", size, again))
            write_mask(mask_name, _copied(mask_files, mask, "L", size, again))
            rows.append([image_name, labels[name]])
            origin.append([image_name, name])
            if on_progress is not None:
                on_progress(number + 1, len(whole))
        index: dict[str, Any] = {"labels": rows}
        if renumber:
            index["fnames"] = origin
        if coarse:
            index["coarse"] = [new for new, old in origin if old in coarse]
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
