"""The files of a prepared dataset.

::

    OUT/images/3f/portrait-3fa9c0....png    the aligned crops; named after the photo and a hash of its whole name
    OUT/images/dataset.json                 {"labels": [[name, 25 numbers], ...], "coarse": [names]}, official layout
    OUT/masks/3f/portrait-3fa9c0....png     8-bit soft masks
    OUT/prepare.jsonl                       a line per photo: accepted or rejected, why, and all measurements
    OUT/prepare.json                        the settings; continuing with others is refused
    OUT/report.html, OUT/report/...         an overlay per photo
    OUT/.prepare/                           log of finished photos, and crops set aside as duplicates
"""

import contextlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from panohead.errors import PanoHeadError
from panohead.files.earlier_results import remove_earlier_results
from panohead.files.folder_lock import LOCK_NAME
from panohead.files.inside import inside, refuse_linked_folders
from panohead.files.read_json import parse_json, read_json
from panohead.files.regular import MAX_TEXT_BYTES, open_to_append, read_regular
from panohead.preparation.records import CropRecord, PhotoJson, PhotoRecord
from panohead.preparation.sources import PhotoRef
from panohead.system.atomic_write import unwritable, write_json
from panohead.system.text import printable

RESUME_LOG = ".prepare/journal.jsonl"
SET_ASIDE = ".prepare/duplicates"
SETTINGS = "prepare.json"
"""Paths in a prepared dataset; they are part of its format."""
DATASET_FILES = ("images", "masks", "report", ".prepare", "report.html", "prepare.jsonl", "settings.json")
"""Everything else that is written into the folder of a dataset."""
REMEDY = "free the disk, then run the same command again"


def stem_of(ref: PhotoRef, face: int) -> str:
    """Return the path of a photo's crop in ``images``, without suffix.

    Args:
        face: number of the head in the photo.
    """
    word = re.sub(r"[^A-Za-z0-9]+", "-", Path(printable(ref.name)).stem).strip("-")[:40]
    number = f"_{face}" if face else ""
    return f"{ref.key[:2]}/{word or 'photo'}-{ref.key[:12]}{number}"


def encode(image: Image.Image, suffix: str) -> bytes:
    """Encode an image as a file: ``.png``, ``.webp`` (lossless) or ``.jpg`` (quality 95)."""
    options: dict[str, Any] = {
        ".png": {"compress_level": 3},
        ".webp": {"lossless": True, "quality": 30, "method": 2},
        ".jpg": {"quality": 95, "subsampling": 0},
    }[suffix]
    buffer = io.BytesIO()
    image.save(buffer, {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG"}[suffix], **options)
    return buffer.getvalue()


def open_out(out: Path, resume_key: dict[str, Any], *, overwrite: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Start or continue a dataset.

    Args:
        resume_key: the settings that must be those of the dataset, if there is one.
        overwrite: remove a prepared dataset that the folder holds, and start again.
        inputs: files and folders that are read; they are never removed.

    Raises:
        PanoHeadError: when the folder holds something else, or a dataset with other settings.
    """
    settings = out / SETTINGS
    if out.exists() and not out.is_dir():
        raise PanoHeadError(f"{out} is a file; give a folder with --out")
    refuse_linked_folders(out, ("images", "masks", ".prepare", SET_ASIDE))
    if overwrite and settings.exists():
        remove_earlier_results(out, DATASET_FILES, inputs)
        # In one step: a folder without it would be taken for one of the user's.
        write_json(settings, resume_key, remedy=REMEDY)
    if not settings.exists():
        if out.exists() and any(path.name != LOCK_NAME for path in out.iterdir()):
            raise PanoHeadError(f"{out} is not empty and holds no prepared dataset; give a new folder with --out")
        write_json(settings, resume_key, remedy=REMEDY)
    stored = read_json(settings, dict[str, Any], remedy=f"delete {out} or give another --out")
    plain = json.loads(json.dumps(resume_key))
    different = sorted(key for key in {*plain, *stored} if plain.get(key) != stored.get(key))
    if different:
        names = ", ".join(different)
        raise PanoHeadError(
            f"{out} was started with another {names}; repeat the old settings, give another --out, or --overwrite to "
            "remove it and start again"
        )


class ResumeLog:
    """Log of finished photos, a line each, appended one by one; a line cut short by a kill is dropped.

    Attributes:
        records: the latest record of each photo, by its name.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / RESUME_LOG
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            open_to_append(self._path).close()
        except OSError as error:
            raise unwritable(self._path, error, "put it right or remove it, and run again") from error
        self.records: dict[str, PhotoRecord] = dict(self._read())

    def _read(self) -> Iterator[tuple[str, PhotoRecord]]:
        content = read_regular(self._path, MAX_TEXT_BYTES)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with open_to_append(self._path) as file:
                file.truncate(whole)
        for line in content[:whole].splitlines():
            # A photo whose line is damaged is prepared again.
            with contextlib.suppress(PanoHeadError):
                record = PhotoRecord.from_json(parse_json(line, PhotoJson, str(self._path)))
                yield record.photo, record

    def add(self, record: PhotoRecord) -> None:
        """Mark one photo as finished.

        Raises:
            PanoHeadError: when the log cannot be written.
        """
        try:
            with open_to_append(self._path) as file:
                file.write((json.dumps(record.to_json()) + "\n").encode())
        except OSError as error:
            raise PanoHeadError(f"cannot write {self._path} ({error.strerror}); free the disk and run again") from error
        self.records[record.photo] = record

    def is_finished(self, out: Path, name: str, stamp: str) -> bool:
        """Return True for a photo that is known, unchanged, not to be tried again, and whose files are there."""
        record = self.records.get(name)
        if record is None or record.stamp != stamp or record.again:
            return False
        return all(crop.reason or _is_there(out, crop) for crop in record.crops)


def _is_there(out: Path, crop: CropRecord) -> bool:
    for folder, name in (("images", crop.image), ("masks", crop.mask)):
        if not inside(out / folder, name).is_file() and not inside(out / SET_ASIDE / folder, name).is_file():
            return False
    return True
