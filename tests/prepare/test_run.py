"""A whole run without MediaPipe: poses and masks are given. Resuming, kills, hostile inputs, duplicates, reports."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from panohead.cli.prepare_report import write_report
from panohead.data import prepare_one, prepare_pool
from panohead.data.dataset import open_dataset
from panohead.data.pose_sidecar import GivenPose
from panohead.data.prepare_files import JOURNAL, Journal, Record
from panohead.data.prepare_pool import prepare_many
from panohead.data.prepare_run import finish, prepare, prepare_steps
from panohead.data.prepare_settings import PrepareSettings
from panohead.data.prepare_sources import PhotoRef, list_photos
from panohead.data.quality import QualityGates
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera

from .conftest import BOX, drawn_photo

Folder = Callable[[int], Path]
Settings = Callable[..., PrepareSettings]


def tree(out: Path) -> dict[str, str]:
    """Every file of a dataset but the logs, by its content's hash."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("journal.jsonl", "workers.log")
    }


def records_of(out: Path) -> dict[str, Record]:
    records = [json.loads(line) for line in (out / "prepare.jsonl").read_text().splitlines()]
    return {record["photo"]: record for record in records}


def test_photos_become_a_dataset(photo_folder: Folder, settings_for: Settings) -> None:
    photos, settings = photo_folder(4), settings_for()
    summary = prepare([str(photos)], settings, workers=0)
    assert (summary.photos, summary.accepted, summary.rejected) == (4, 4, 0)
    dataset = open_dataset(settings.out)
    assert len(dataset) == 4
    records = records_of(settings.out).values()
    by_name = {crop["image"]: record["photo"] for record in records for crop in record["crops"]}
    for index in range(4):
        item = dataset[index]
        number = int(by_name[dataset.names[index]][-6:-4])
        assert item.image.shape == (3, 64, 64)
        expected = Camera.orbit(20.0 * number - 90.0, 5.0).to_label()
        np.testing.assert_allclose(item.label.numpy(), expected.numpy(), atol=2e-6)
        mask = item.mask[0].numpy().astype(float)
        assert mask[32, 32] == 255
        assert mask[0, 0] == 0
        assert 0 < np.mean((mask > 10) & (mask < 245)) < 0.2, "the mask's edge is soft"


def test_rerun_changes_nothing_and_does_nothing(
    photo_folder: Folder, settings_for: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, settings = photo_folder(3), settings_for()
    prepare([str(photos)], settings, workers=0)
    before = tree(settings.out)
    monkeypatch.setattr(prepare_pool, "prepare_photo", lambda *_: pytest.fail("done again"))
    prepare([str(photos)], settings, workers=0)
    assert tree(settings.out) == before


def test_a_changed_photo_pose_or_mask_is_done_again(photo_folder: Folder, settings_for: Settings) -> None:
    photos, settings = photo_folder(3), settings_for()
    prepare([str(photos)], settings, workers=0)
    before = tree(settings.out)
    drawn_photo(50)[0].save(photos / "p00.png")
    drawn_photo(51)[1].rotate(20).save(photos.parent / "own" / "p01.png")
    poses = {**settings.poses, "p02.png": GivenPose(170.0, 0.0, 0.0, BOX)}
    prepare([str(photos)], settings_for(poses=poses), workers=0)
    after = tree(settings.out)
    different = [name for name in after if before.get(name) != after[name]]
    changed = {name.split("/")[-1][:3] for name in different if name.startswith(("images/", "masks/"))}
    assert changed == {"p00", "p01", "dat"}
    yaw = next(c["yaw_deg"] for c in records_of(settings.out)["photos/p02.png"]["crops"])
    assert yaw == pytest.approx(170.0, abs=0.01)


def test_other_settings_are_refused(photo_folder: Folder, settings_for: Settings) -> None:
    photos = photo_folder(1)
    prepare([str(photos)], settings_for(), workers=0)
    with pytest.raises(PanoHeadError, match="size"):
        prepare([str(photos)], settings_for(size=32), workers=0)
    with pytest.raises(PanoHeadError, match="not empty"):
        prepare([str(photos)], settings_for(out="photos"), workers=0)


def test_interrupted_runs_end_like_whole_ones(photo_folder: Folder, settings_for: Settings) -> None:
    photos, whole, parts = photo_folder(4), settings_for("whole"), settings_for("parts")
    prepare([str(photos)], whole, workers=0)
    for steps in (1, 2):
        running = prepare_steps([str(photos)], parts, workers=0)
        for _ in range(steps):
            next(running)
        running.close()
        # What a kill leaves: half a line, a half-written file, a crop without record.
        with (parts.out / JOURNAL).open("ab") as file:
            file.write(b'{"photo": "photos/p03.png", "cr')
        (parts.out / "images" / "zz").mkdir(parents=True, exist_ok=True)
        (parts.out / "images" / "zz" / "stray.png").write_bytes(b"half")
        (parts.out / "images" / ".123.tmp").write_bytes(b"half")
    prepare([str(photos)], parts, workers=0)
    assert tree(parts.out) == tree(whole.out)


@pytest.mark.slow
def test_killed_processes_end_like_whole_ones(photo_folder: Folder, settings_for: Settings, tmp_path: Path) -> None:
    photos, whole = photo_folder(6), settings_for("whole")
    prepare([str(photos)], whole, workers=0)
    poses = tmp_path / "poses.csv"
    rows = [f"p{i:02d}.png,{20.0 * i - 90.0},5,0,{' '.join(str(v) for v in BOX)}" for i in range(6)]
    poses.write_text("file,yaw_deg,pitch_deg,roll_deg,box\n" + "\n".join(rows) + "\n")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "panohead.cli.main", "prepare", str(photos), "--out", str(out), "--size", "64"]
    command += ["--poses", str(poses), "--masks", str(tmp_path / "own"), "--workers", "1"]
    for lines in (1, 4):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 90
        journal = out / JOURNAL
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (whole.out / "report.html").unlink(missing_ok=True)
    write_report(whole.out)
    assert tree(out) == tree(whole.out)


def hostile(folder: Path) -> int:
    """Odd files; returns how many of them must be named in the report."""
    photo, _ = drawn_photo(99)
    photo.save(folder / "cut.jpg")
    content = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 3])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a photo")
    photo.save(folder / "really.png", "JPEG")
    photo.quantize(32).save(folder / "palette.gif")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.resize((1, 1)).save(folder / "one.png")
    photo.save(folder / "line\nbreak \u00e4\u6f22.png")
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    (folder / "bomb.png").write_bytes(header + (30_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
    os.symlink("/etc/hostname", folder / "link.jpg")
    os.symlink(folder, folder / "loop")
    os.mkfifo(folder / "pipe.png")
    with open(os.fsencode(folder) + b"/broken\xff.png", "wb") as file:
        file.write(b"x")
    with zipfile.ZipFile(folder / "escape.zip", "w") as archive:
        archive.writestr("../../../escaped.png", content)
    (folder / "bad.zip").write_bytes(b"PK nothing")
    return 15


def test_hostile_inputs_are_named_and_stop_nothing(
    photo_folder: Folder, settings_for: Settings, tmp_path: Path
) -> None:
    photos = photo_folder(2)
    count = hostile(photos)
    names = ["really.png", "palette.gif", "cmyk.jpg", "one.png", "line\nbreak \u00e4\u6f22.png", "p00.png", "p01.png"]
    names += ["cut.jpg", "escaped.png"]
    poses = {name: GivenPose(10.0, 0.0, 0.0, BOX) for name in names}
    settings = settings_for(poses=poses, gates=QualityGates(duplicate_bits=-1))
    for name in names:
        drawn_photo(0)[1].save((settings.masks / name).with_suffix(".png"))  # type: ignore[operator]
    before = {path for path in tmp_path.rglob("*") if "out" not in path.relative_to(tmp_path).parts}
    # Everything else has no pose, so that MediaPipe would be asked; it must not be.
    settings.out.mkdir()
    (settings.out / "prepare.json").write_text(json.dumps(settings.decisive()))
    journal = Journal(settings.out)
    for record in prepare_many(list_photos([str(photos)]), settings, 0):
        journal.add(record)
    finish(settings)
    records = records_of(settings.out)
    assert len(records) == count + 2
    reasons = {name.split("/", 1)[1]: r["reason"] or [c["reason"] for c in r["crops"]] for name, r in records.items()}
    for name in ("cut.jpg", "empty.png", "text.jpg", "bomb.png", "link.jpg", "loop", "pipe.png", "bad.zip"):
        assert isinstance(reasons[name], str), name
    assert reasons["line\nbreak \u00e4\u6f22.png"] == [""]
    assert reasons["cmyk.jpg"] == reasons["palette.gif"] == reasons["really.png"] == [""]
    assert "outside" in str(reasons["one.png"])
    page = write_report(settings.out).read_text()
    for name in ("cut.jpg", "line\\nbreak", "broken\\udcff.png", "escape.zip/../../../escaped.png"):
        assert name in page
    after = {path for path in tmp_path.rglob("*") if "out" not in path.relative_to(tmp_path).parts}
    assert after == before


def test_duplicates_are_set_aside(photo_folder: Folder, settings_for: Settings) -> None:
    photos, settings = photo_folder(3), settings_for()
    Image.open(photos / "p01.png").save(photos / "a copy of p01.jpg", quality=90)
    poses = {**settings.poses, "a copy of p01.jpg": settings.poses["p01.png"]}
    drawn_photo(1)[1].save(photos.parent / "own" / "a copy of p01.png")
    settings = settings_for(poses=poses)
    summary = prepare([str(photos)], settings, workers=0)
    assert summary.accepted == 3
    assert summary.reasons == {"duplicate": 1}
    (crop,) = records_of(settings.out)["photos/p01.png"]["crops"]
    assert "a copy" in crop["reason"]
    assert len(open_dataset(settings.out)) == 3
    before = tree(settings.out)
    prepare([str(photos)], settings, workers=0)
    assert tree(settings.out) == before


def test_gates_can_be_changed(photo_folder: Folder, settings_for: Settings) -> None:
    photos = photo_folder(2)
    strict = settings_for("strict", gates=QualityGates(min_core_px=256.0))
    assert prepare([str(photos)], strict, workers=0).reasons == {"too small": 2}
    assert not list((strict.out / "images").glob("*/*"))
    lax = settings_for("lax", gates=QualityGates(min_core_px=10.0, duplicate_bits=-1))
    assert prepare([str(photos)], lax, workers=0).accepted == 2


def _dies(ref: PhotoRef, settings: PrepareSettings, tools: Any) -> Record:
    if "p01" in ref.name:
        os._exit(3)
    if "p02" in ref.name:
        raise ValueError("odd <file>")
    return prepare_one.prepare_photo(ref, settings, tools)


def test_unexpected_errors_are_the_photos_reason(
    photo_folder: Folder, settings_for: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, settings = photo_folder(4), settings_for()
    (photos / "p01.png").unlink()
    monkeypatch.setattr(prepare_pool, "prepare_photo", _dies)
    assert prepare([str(photos)], settings, workers=0).accepted == 2
    assert "ValueError: odd <file>" in records_of(settings.out)["photos/p02.png"]["reason"]
    assert "odd &lt;file&gt;" in write_report(settings.out).read_text()


@pytest.mark.slow
def test_processes_give_what_one_gives(photo_folder: Folder, settings_for: Settings) -> None:
    photos, one, two = photo_folder(3), settings_for("one"), settings_for("two")
    prepare([str(photos)], one, workers=0)
    prepare([str(photos)], two, workers=2)
    assert tree(one.out) == tree(two.out)


@pytest.mark.slow
def test_a_dead_worker_is_replaced(photo_folder: Folder, settings_for: Settings, tmp_path: Path) -> None:
    """A photo that kills its process gets the reason, and the others are done."""
    photos, settings = photo_folder(4), settings_for()
    running = prepare_steps([str(photos)], settings, workers=1)
    next(running)
    next(running)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for child in children:
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
    for _ in running:
        pass
    summary = finish(settings)
    assert summary.photos == 4
    assert summary.accepted >= 3
    assert all("ended the process" in reason for reason in summary.reasons)


def test_nothing_works_without_mediapipe_but_says_so(photo_folder: Folder, settings_for: Settings) -> None:
    try:
        import mediapipe  # noqa: F401
    except ImportError:
        with pytest.raises(PanoHeadError, match=r"panohead\[face\]"):
            prepare([str(photo_folder(1))], settings_for(poses={}), workers=0)
