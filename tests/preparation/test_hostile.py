"""More than a hundred hostile or odd inputs at once, and a user without rights: each gets its line, none stops the run.

Faces are drawn in place of found, so that the test needs no MediaPipe; all else is the whole of ``panohead prepare``.
"""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drawn import drawn_photo
from pages import ParsedPage, parse_page
from panohead.alignment.quality import QualityGates
from panohead.alignment.read_photo import read_photo
from panohead.data.dataset import open_dataset
from panohead.errors import PanoHeadError
from panohead.preparation import run as preparation_run
from panohead.preparation.records import PhotoRecord
from panohead.preparation.report import write_report
from panohead.preparation.run import PrepareSummary, prepare
from panohead.preparation.sources import list_photos
from panohead.system.text import printable

from .conftest import DrawnSettings
from .odd_files import ACCEPTED, Odd, broken_photos, encoded, odd_names, whole_photos, write_archives, write_specials

NOBODY = 65534


class Writes:
    """Paths that this process opens for writing, makes, moves or deletes while it is switched on."""

    def __init__(self) -> None:
        self.on, self.paths = False, set[str]()
        sys.addaudithook(self)

    def __call__(self, event: str, values: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in (
            "os.mkdir",
            "os.rename",
            "os.remove",
            "os.rmdir",
            "os.link",
            "os.symlink",
            "os.truncate",
        ):
            self.paths.update(
                os.fsdecode(value)
                for value in values[: 1 if event == "open" else 2]
                if isinstance(value, str | bytes | Path)
            )

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False


WRITES = Writes()
"""One for all: the interpreter never lets go of an audit hook."""


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Drop the rights of root, who can read all files; other users keep their own."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture(scope="module", autouse=True)
def everything_imported() -> None:
    """Import what is imported late, before a user comes who may not be allowed to."""
    for content in whole_photos().values():
        read_photo(content)
    printable("\n\udcff")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter and write to; pytest's are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    folder.chmod(0o777)
    yield folder
    for closed in folder.rglob("*"):
        if closed.name == "closed":
            closed.chmod(0o700)
    shutil.rmtree(folder)


def write_all(folder: Path) -> list[Odd]:
    """Everything hostile and odd into one folder; what should become of it."""
    folder.mkdir()
    odd: list[Odd] = []
    for name, content in whole_photos().items():
        (folder / name).write_bytes(content)
        odd.append(Odd(name, ACCEPTED))
    for name, (content, outcome) in broken_photos().items():
        (folder / name).write_bytes(content)
        odd.append(Odd(name, outcome))
    photo = encoded(drawn_photo(6)[0], "PNG")
    for name in odd_names():
        (folder / name).write_bytes(photo)
        odd.append(Odd(name, ACCEPTED))
    outside = folder.parent / "outside.png"
    outside.write_bytes(photo)
    return odd + list(write_specials(folder, outside)) + list(write_archives(folder))


def facts_of(place: Path) -> dict[str, tuple[int, ...]]:
    """Everything beside the output, without following links."""
    found = (p for p in place.rglob("*") if p.relative_to(place).parts[0] != "out")
    return {str(p): (p.lstat().st_mode, p.lstat().st_size, p.lstat().st_mtime_ns) for p in found if p != place / "out"}


@contextlib.contextmanager
def prepared(place: Path, arguments: list[str]) -> Iterator[tuple[DrawnSettings, PrepareSummary, ParsedPage]]:
    """The whole run as nobody, with the first page of the report."""
    settings = DrawnSettings(out=place / "out", size=64, gates=QualityGates(duplicate_bits=-1))
    list_photos(arguments)  # imports codecs, which nobody may not be allowed to
    with nobody(), WRITES.watched():
        summary = prepare(arguments, settings, workers=0)
        page = parse_page(write_report(settings.out, summary.notes).read_text(encoding="utf-8"))
        yield settings, summary, page


def records_of(out: Path) -> dict[str, PhotoRecord]:
    lines = (out / "prepare.jsonl").read_text().splitlines()
    records = [PhotoRecord.from_json(json.loads(line)) for line in lines]
    return {record.photo: record for record in records}


def test_hostile_inputs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation_run, "import_mediapipe", lambda: None)
    odd = write_all(place / "photos")
    assert len(odd) > 100
    before = facts_of(place)
    WRITES.paths.clear()
    with prepared(place, [str(place / "photos")]) as (settings, summary, page):
        records = records_of(settings.out)
    assert set(records) == {f"photos/{one.name}" for one in odd}, "each is named, and nothing else"
    wrong = []
    for one in odd:
        record = records[f"photos/{one.name}"]
        reason = next(iter(record.reasons), "")
        if not (re.search(one.outcome, reason) if one.outcome else reason == "" and len(record.crops) == 1):
            wrong.append((one, reason))
        if printable(record.photo) not in page.texts["b"]:
            wrong.append((one, "not in the report"))
    assert not wrong
    assert summary.photos == len(odd)
    assert summary.accepted == sum(one.outcome == ACCEPTED for one in odd) == len(open_dataset(settings.out))
    assert facts_of(place) == before, "nothing beside the output has changed"
    inside = {path for path in WRITES.paths if not Path(path).resolve().is_relative_to(settings.out)}
    assert not {path for path in inside if "__pycache__" not in path and path != os.devnull}


def test_what_cannot_be_read_is_tried_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation_run, "import_mediapipe", lambda: None)
    photo = place / "photo.png"
    photo.write_bytes(encoded(drawn_photo(6)[0], "PNG"))
    photo.chmod(0)
    with prepared(place, [str(photo)]) as (_, summary, _), pytest.raises(PermissionError):
        photo.read_bytes()
    assert summary.reasons == {"it cannot be read (Permission denied)": 1}
    photo.chmod(0o644)
    with prepared(place, [str(photo)]) as (_, summary, _):
        assert (summary.accepted, summary.reasons) == (1, {})


def test_a_mask_of_a_long_name_is_not_found(tmp_path: Path) -> None:
    from panohead.alignment.photo_mask import find_own_mask

    assert find_own_mask(tmp_path, "a.zip/" + "n" * 5000 + ".png") is None
    assert find_own_mask(tmp_path, "a.zip/x\0y.png") is None


def test_links_in_arguments_are_followed_and_none_is_an_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links that the user names are meant."""
    monkeypatch.setattr(preparation_run, "import_mediapipe", lambda: None)
    (place / "photo.png").write_bytes(encoded(drawn_photo(6)[0], "PNG"))
    os.symlink(place / "photo.png", place / "link.png")
    with prepared(place, [str(place / "link.png")]) as (_, summary, _):
        assert summary.accepted == 1
    with pytest.raises(PanoHeadError, match="matches none"):
        prepare([str(place / "gone.png")], DrawnSettings(out=place / "other"), workers=0)
