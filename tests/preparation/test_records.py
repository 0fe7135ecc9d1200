"""Records of photos and the JSON objects that hold them: a file format, read back from a stored dataset."""

import dataclasses
import json
from pathlib import Path

import pytest

from panohead.preparation.files import RESUME_LOG, ResumeLog
from panohead.preparation.records import CropRecord, PhotoRecord

STORED = Path(__file__).parents[1] / "stored" / "prepared"
PHOTO_KEYS = ["photo", "stamp", "reason", "remarks", "crops"]
CROP_KEYS = [
    "reason", "image", "mask", "kind", "method", "confidence", "yaw_deg", "pitch_deg", "roll_deg", "residual", "crop",
    "flags", "core_px", "sharpness", "outside", "face_visible", "mask_coverage", "mask_pieces", "mask_largest", "hash",
    "label", "overlay",
]  # fmt: skip


def stored_lines() -> list[str]:
    return [*(STORED / RESUME_LOG).read_text().splitlines(), *(STORED / "prepare.jsonl").read_text().splitlines()]


def a_crop() -> CropRecord:
    return PhotoRecord.from_json(json.loads(stored_lines()[0])).crops[0]


@pytest.mark.parametrize("line", stored_lines())
def test_stored_lines_come_back_byte_for_byte(line: str) -> None:
    record = PhotoRecord.from_json(json.loads(line))
    assert json.dumps(record.to_json()) == line
    assert list(record.crops[0].to_json()) == CROP_KEYS


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, []),
        ({"again": True, "reason": "it took too long"}, ["again"]),
        ({"photo_px": (3, 4), "overlay": "report/a.jpg"}, ["photo_px", "overlay"]),
        ({"photo_px": (3, 4), "heads_found": 0, "notes": ("first frame",)}, ["photo_px", "heads_found"]),
    ],
)
def test_optional_keys_are_written_only_where_they_say_something(changes: dict[str, object], more: list[str]) -> None:
    record = dataclasses.replace(PhotoRecord(photo="a.png", stamp="1-2"), **changes)  # type: ignore[arg-type]
    values = json.loads(json.dumps(record.to_json()))
    assert list(values) == PHOTO_KEYS + more
    assert PhotoRecord.from_json(values) == record


def test_a_duplicate_says_so_in_its_last_key() -> None:
    crop = dataclasses.replace(a_crop(), reason="duplicate: of b.png", duplicate=True, residual=0.03, face_visible=1.0)
    values = json.loads(json.dumps(crop.to_json()))
    assert list(values) == [*CROP_KEYS, "duplicate"]
    assert CropRecord.from_json(values) == crop


def test_reasons_of_a_photo_and_of_its_crops() -> None:
    good, bad = a_crop(), dataclasses.replace(a_crop(), reason="too small: 3 px, needs 128")
    record = PhotoRecord(photo="a.png", stamp="1-2", crops=(good, bad))
    assert (record.has_crop, record.reasons) == (True, ["too small: 3 px, needs 128"])
    unread = PhotoRecord(photo="a.png", stamp="1-2", reason="the file is empty")
    assert (unread.has_crop, unread.reasons) == (False, ["the file is empty"])


def test_lines_of_another_form_are_dropped(tmp_path: Path) -> None:
    """A photo whose line makes no sense is prepared again."""
    lines = (STORED / RESUME_LOG).read_text().splitlines()
    strange = json.loads(lines[0])
    strange["crops"][0].pop("label")
    odd = [json.dumps(strange), "[]", "3", '{"photo": "x"}', "not JSON"]
    (tmp_path / RESUME_LOG).parent.mkdir()
    (tmp_path / RESUME_LOG).write_text("\n".join([lines[1], *odd]) + "\n")
    assert list(ResumeLog(tmp_path).records) == [json.loads(lines[1])["photo"]]
