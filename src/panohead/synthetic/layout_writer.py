"""Writer of the dataset's files; a kill at any moment loses at most the people being rendered.

::

    OUT/images/00000/000012_03.webp     person 12, image 3 over all shots and views (folders of a hundred people)
    OUT/images/dataset.json             {"labels": [[name, 25 floats], ...]}, the official layout
    OUT/masks/00000/000012_03.png       8-bit coverage of the same pixels
    OUT/depth/00000/000012_03.npz       float16 ``depth``: along the ray, world units; 0 where the pixel's center hits
    nothing
    OUT/normals/00000/000012_03.npz     float16 ``normals``: world space, height x width x 3; 0 where nothing is hit
    OUT/part_maps/00000/000012_03.png   part of every pixel (``--parts``), a palette's index: see
    :class:`panohead.synthetic.annotation.HeadPart`
    OUT/landmarks/00000/000012_03.npz   float32 ``landmarks`` (``--parts``): column, row (pixels), visible (0 or 1)
    OUT/people.jsonl                    one line per person: all parameters, expression and gaze of each shot, and
    shot, camera and light of each view
    OUT/synthesis.json                  the settings; resuming with others is refused

While a dataset grows, a finished person is one file in ``OUT/parts``; at the end these become ``people.jsonl`` and
``dataset.json``.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NotRequired, TypedDict, cast

import msgspec

from panohead.errors import PanoHeadError
from panohead.files.earlier_results import remove_earlier_results
from panohead.files.folder_lock import LOCK_NAME
from panohead.files.inside import refuse_linked_folders, relative_name
from panohead.files.read_json import parse_json, read_json
from panohead.files.regular import read_text
from panohead.synthetic.annotation.files import FOLDERS as ANNOTATION_FOLDERS
from panohead.synthetic.annotation.files import annotation_files
from panohead.synthetic.config import NEWEST_EDITION, SyntheticDatasetConfig
from panohead.system.atomic_write import LEFTOVERS, atomic_path, write_bytes, write_json

PersonRecord = dict[str, Any]
_FOLDERS = ("images", "masks", "depth", "normals", *ANNOTATION_FOLDERS, "parts")
DATASET_FILES = (*_FOLDERS, "people.jsonl", "preview.webp", "settings.json")
"""Everything but the settings that is written into the folder of a dataset."""
_REMEDY = "free the disk or repair the folder, then run the same command again to continue"


def image_stem(person: int, image: int) -> str:
    """Return the name of an image inside ``images``, without its suffix."""
    return f"{person // 100:05d}/{person:06d}_{image:02d}"


def edition_of(out: Path) -> int:
    """Return the edition of the dataset in a folder; the newest where there is none yet.

    Raises:
        PanoHeadError: its settings cannot be read.
    """
    settings = out / "synthesis.json"
    return int(_stored(settings).get("edition", 1)) if settings.is_file() else NEWEST_EDITION


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        PanoHeadError: when it cannot be written (full disk, no permission).
    """
    with atomic_path(path, _REMEDY) as temporary, temporary.open("wb") as file:
        write(file)


def open_dataset(config: SyntheticDatasetConfig, *, overwrite: bool = False) -> dict[int, PersonRecord]:
    """Start or resume: check the settings, delete files left half written by a kill, and return the records of the
    finished people. With ``overwrite`` a synthetic dataset in the folder is removed first."""
    settings = config.out / "synthesis.json"
    _check_free(config)
    if overwrite and settings.exists():
        remove_earlier_results(config.out, DATASET_FILES)
        write_json(settings, config.resume_key(), remedy=_REMEDY)
    refuse_linked_folders(config.out, _FOLDERS)
    if not settings.exists():
        write_json(settings, config.resume_key(), remedy=_REMEDY)
    _check_settings(settings, config)
    for leftover in config.out.rglob(LEFTOVERS):
        leftover.unlink(missing_ok=True)
    finished: dict[int, PersonRecord] = {}
    for line in _lines(config.out):
        # A damaged record is that of a person who is rendered again.
        with contextlib.suppress(PanoHeadError):
            record = cast(PersonRecord, parse_json(line.encode(), _StoredPerson, str(config.out)))
            if record["person"] < config.people and _is_whole(record, config):
                finished[record["person"]] = record
    return dict(sorted(finished.items()))


def is_annotated(record: PersonRecord, config: SyntheticDatasetConfig) -> bool:
    """Return True when all part maps and landmarks of a person are there."""
    return all(file.is_file() for view in record["views"] for file in annotation_files(config.out, view["image"]))


def _lines(out: Path) -> Iterator[str]:
    """Yield the records of all people, of ``people.jsonl`` first.

    Raises:
        PanoHeadError: when one of the files cannot be read.
    """
    whole = out / "people.jsonl"
    for path in [*([whole] if whole.exists() else []), *sorted((out / "parts").glob("*.json"))]:
        try:
            yield from read_text(path).splitlines()
        except UnicodeDecodeError:
            continue
        except OSError as error:
            raise PanoHeadError(f"cannot read {path} ({error.strerror}); {_REMEDY}") from error


def save_record(config: SyntheticDatasetConfig, record: PersonRecord) -> None:
    """Mark one person as finished."""
    write_json(config.out / "parts" / f"{record['person']:06d}.json", record, remedy=_REMEDY)


def close_dataset(config: SyntheticDatasetConfig, records: dict[int, PersonRecord]) -> Path:
    """Write ``people.jsonl`` and ``dataset.json`` in the order of people, then delete the parts. Return the path of
    ``dataset.json``."""
    ordered = [records[person] for person in sorted(records)]
    lines = "".join(json.dumps(record) + "\n" for record in ordered)
    write_bytes(config.out / "people.jsonl", lines.encode(), remedy=_REMEDY)
    labels = [[view["image"], view["label"]] for record in ordered for view in record["views"]]
    index = config.out / "images" / "dataset.json"
    write_json(index, {"labels": labels}, remedy=_REMEDY)
    shutil.rmtree(config.out / "parts", ignore_errors=True)
    return index


def _check_free(config: SyntheticDatasetConfig) -> None:
    """Refuse a folder that holds anything but a synthetic dataset."""
    out = config.out
    if out.exists() and not out.is_dir():
        raise PanoHeadError(f"{out} is a file; give a folder with --out")
    if (
        out.exists()
        and not (out / "synthesis.json").exists()
        and any(p.name not in ("preview.webp", LOCK_NAME) for p in out.iterdir())
    ):
        raise PanoHeadError(f"{out} is not empty and holds no synthetic dataset; give a new folder with --out")


def _check_settings(settings: Path, config: SyntheticDatasetConfig) -> None:
    stored = _stored(settings)
    if stored.get("edition", 1) != config.edition:
        raise PanoHeadError(
            f"{config.out} was begun with edition {stored.get('edition', 1)}; leave --edition away to continue it, "
            "give another --out, or --overwrite to remove it and start again"
        )
    different = [name for name, value in config.resume_key().items() if stored.get(name) != value]
    if different:
        was = ", ".join(f"{name} {stored.get(name)}" for name in different)
        raise PanoHeadError(
            f"{config.out} was begun with {was}; repeat those settings, give another --out, or --overwrite to remove "
            "it and start again"
        )


def _stored(settings: Path) -> PersonRecord:
    return cast(PersonRecord, read_json(settings, _StoredSettings, remedy="delete the folder or give another --out"))


class _StoredSettings(TypedDict):
    edition: NotRequired[int]


class _StoredView(TypedDict):
    image: str
    label: Annotated[list[float], msgspec.Meta(min_length=25, max_length=25)]


class _StoredPerson(TypedDict):
    person: Annotated[int, msgspec.Meta(ge=0)]
    views: list[_StoredView]


def _is_whole(record: PersonRecord, config: SyntheticDatasetConfig) -> bool:
    kinds = [("masks", ".png")] + [("depth", ".npz")] * config.depth + [("normals", ".npz")] * config.normals
    for view in record["views"]:
        image = relative_name(view["image"])
        if not (config.out / "images" / image).exists():
            return False
        if not all((config.out / folder / image.with_suffix(suffix)).exists() for folder, suffix in kinds):
            return False
    return True
