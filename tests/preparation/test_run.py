"""A whole run without MediaPipe: poses and masks are given. Resuming, kills, duplicates, reports."""

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import Command, forked
from drawn import DrawnFaces, DrawnMask, drawn_photo
from panohead.alignment.detectors import Detectors
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.quality import QualityGates
from panohead.cli.main import main
from panohead.data.dataset import open_dataset
from panohead.errors import PanoHeadError, UsageError
from panohead.geometry.camera import Camera
from panohead.preparation import process_photo, worker_pool
from panohead.preparation.files import RESUME_LOG
from panohead.preparation.records import PhotoRecord
from panohead.preparation.report import write_report
from panohead.preparation.run import finish, prepare, prepare_steps
from panohead.preparation.settings import PrepareSettings
from panohead.preparation.sources import PhotoRef, list_photos

from .conftest import BOX

Folder = Callable[[int], Path]
Settings = Callable[..., PrepareSettings]


def tree(out: Path) -> dict[str, str]:
    """Every file of a dataset but the logs and the command's settings, by its content's hash."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("journal.jsonl", "workers.log", "settings.json", "run.yaml")
    }


def records_of(out: Path) -> dict[str, PhotoRecord]:
    lines = (out / "prepare.jsonl").read_text().splitlines()
    records = [PhotoRecord.from_json(json.loads(line)) for line in lines]
    return {record.photo: record for record in records}


def test_photos_become_a_dataset(photo_folder: Folder, settings_for: Settings) -> None:
    photos, settings = photo_folder(4), settings_for()
    summary = prepare([str(photos)], settings, workers=0)
    assert (summary.photos, summary.accepted, summary.rejected) == (4, 4, 0)
    dataset = open_dataset(settings.out)
    assert len(dataset) == 4
    records = records_of(settings.out).values()
    by_name = {crop.image: record.photo for record in records for crop in record.crops}
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
    monkeypatch.setattr(worker_pool, "process_photo", lambda *_: pytest.fail("done again"))
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
    yaw = next(c.yaw_deg for c in records_of(settings.out)["photos/p02.png"].crops)
    assert yaw == pytest.approx(170.0, abs=0.01)


def test_a_box_beside_its_photo_leaves_only_that_photo_out(photo_folder: Folder, settings_for: Settings) -> None:
    photos, settings = photo_folder(2), settings_for()
    poses = {**settings.poses, "p01.png": GivenPose(0.0, 0.0, 0.0, (9000.0, 0.0, 9100.0, 100.0))}
    summary = prepare([str(photos)], settings_for(poses=poses), workers=0)
    assert (summary.accepted, summary.rejected) == (1, 1)
    assert records_of(settings.out)["photos/p01.png"].reason.startswith("box beside the photo: it is 9000 0 9100 100")


def test_other_settings_are_refused(photo_folder: Folder, settings_for: Settings) -> None:
    photos = photo_folder(1)
    prepare([str(photos)], settings_for(), workers=0)
    with pytest.raises(PanoHeadError, match="size"):
        prepare([str(photos)], settings_for(size=32), workers=0)
    with pytest.raises(PanoHeadError, match="another folder"):
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
        with (parts.out / RESUME_LOG).open("ab") as file:
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
    command = ["prepare", str(photos), "--out", str(out), "--size", "64"]
    command += ["--poses", str(poses), "--masks", str(tmp_path / "own"), "--workers", "1"]
    for lines in (1, 4):
        process = Command(*command, output=tmp_path / "output.txt")
        deadline = time.monotonic() + 90
        log = out / RESUME_LOG
        while time.monotonic() < deadline and process.poll() is None:
            if log.exists() and log.read_bytes().count(b"\n") >= lines:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.end(90)
    last = Command(*command, output=tmp_path / "output.txt")
    output = last.end(90)
    assert last.poll() == 0, output
    (whole.out / "report.html").unlink(missing_ok=True)
    write_report(whole.out)
    assert tree(out) == tree(whole.out)


def test_duplicates_are_set_aside(photo_folder: Folder, settings_for: Settings) -> None:
    photos, settings = photo_folder(3), settings_for()
    Image.open(photos / "p01.png").save(photos / "a copy of p01.jpg", quality=90)
    poses = {**settings.poses, "a copy of p01.jpg": settings.poses["p01.png"]}
    drawn_photo(1)[1].save(photos.parent / "own" / "a copy of p01.png")
    settings = settings_for(poses=poses)
    summary = prepare([str(photos)], settings, workers=0)
    assert summary.accepted == 3
    assert summary.reasons == {"duplicate": 1}
    (crop,) = records_of(settings.out)["photos/p01.png"].crops
    assert "a copy" in crop.reason
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


def test_a_head_is_taken_by_its_number(photo_folder: Folder, settings_for: Settings) -> None:
    """As in reconstruct: 1 is the most prominent; a photo without a head of that number is left out and says so."""
    (ref,) = list_photos([str(photo_folder(1))])
    two = Detectors(faces=DrawnFaces(middles=((0.75, 0.5), (0.4, 0.5)), scale=4.0), body=None, masker=DrawnMask())
    records = {}
    for number in (1, 2, 3):
        settings = settings_for(f"out{number}", poses={}, masks=None, head=number)
        assert settings.resume_key().get("head", 1) == number
        records[number] = process_photo.process_photo(ref, settings, two)
    (first,), (second,) = records[1].crops, records[2].crops
    assert first.center[0] < 160 < second.center[0]
    assert "head 2 of 2 in the photo" in second.flags
    assert records[3].reason == "no head of that number: 2 found, head 3 was asked for"
    assert not records[3].crops
    for wrong in ({"head": 0}, {"head": 2, "all_faces": True}):
        with pytest.raises(UsageError):
            settings_for(**wrong)


def _dies(ref: PhotoRef, settings: PrepareSettings, detectors: Any) -> PhotoRecord:
    if "p01" in ref.name:
        os._exit(3)
    if "p02" in ref.name:
        raise ValueError("odd <file>")
    return process_photo.process_photo(ref, settings, detectors)


def test_unexpected_errors_are_the_photos_reason(
    photo_folder: Folder, settings_for: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, settings = photo_folder(4), settings_for()
    (photos / "p01.png").unlink()
    monkeypatch.setattr(worker_pool, "process_photo", _dies)
    assert prepare([str(photos)], settings, workers=0).accepted == 2
    assert "ValueError: odd <file>" in records_of(settings.out)["photos/p02.png"].reason
    assert "odd &lt;file&gt;" in write_report(settings.out).read_text()


@pytest.mark.slow
def test_kills_at_random_moments(photo_folder: Folder, settings_for: Settings) -> None:
    """SIGKILL of a whole run again and again, whatever it is doing; the last run is left alone."""
    photos, whole, killed = photo_folder(8), settings_for("whole"), settings_for("killed")
    prepare([str(photos)], whole, workers=0)
    rng, kills = random.Random(0), 0
    for _ in range(12):
        process = forked(prepare, [str(photos)], killed, 0)
        process.join(timeout=rng.uniform(0.1, 0.6))
        kills += process.is_alive()
        process.kill()
        process.join()
    assert kills >= 3
    prepare([str(photos)], killed, workers=0)
    assert tree(killed.out) == tree(whole.out)


def test_rows_without_photos_get_a_note(photo_folder: Folder, settings_for: Settings) -> None:
    photos = photo_folder(2)
    poses = {"p00.png": GivenPose(0.0, 0.0, 0.0, BOX), "p01.png": GivenPose(9.0, 0.0, 0.0, BOX)}
    poses["<gone>.png"] = GivenPose(0.0, 0.0, 0.0, BOX)
    settings = settings_for(poses=poses)
    summary = prepare([str(photos)], settings, workers=0)
    assert summary.notes == ("the pose of <gone>.png matches no photo",)
    assert "the pose of &lt;gone&gt;.png matches no photo" in write_report(settings.out, summary.notes).read_text()


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


def test_no_photos_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--out", str(tmp_path / "out")]) == 2
    assert "no photos were given; give files, folders" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_works_without_mediapipe_but_says_so(photo_folder: Folder, settings_for: Settings) -> None:
    try:
        import mediapipe  # noqa: F401
    except ImportError:
        with pytest.raises(PanoHeadError, match=r"panohead\[face\]"):
            prepare([str(photo_folder(1))], settings_for(poses={}), workers=0)
