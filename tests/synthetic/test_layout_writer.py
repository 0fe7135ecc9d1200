"""The dataset on disk: any number of workers, any interruption, the same bytes; one sentence when it cannot be
written."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from folder_digest import folder_digest
from panohead.errors import PanoHeadError
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.layout_writer import open_dataset, save_record, write_atomic
from panohead.synthetic.person_images import make_person
from panohead.synthetic.synthesize import dataset_index, synthesize


def config_for(out: Path, people: int = 2) -> SyntheticDatasetConfig:
    return SyntheticDatasetConfig(people=people, out=out, views=2, resolution=24, seed=8, depth=True, normals=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "whole"
    assert list(synthesize(config_for(out), workers=1)) == [0, 1, 2]
    return out


def test_layout_is_the_official_one_with_depth_and_normals(whole: Path) -> None:
    labels = json.loads((whole / "images" / "dataset.json").read_text())["labels"]
    assert [name for name, _ in labels] == sorted(name for name, _ in labels)
    assert len(labels) == 8  # people x shots x views
    for name, label in labels:
        assert len(label) == 25
        assert np.linalg.norm([label[3], label[7], label[11]]) == pytest.approx(2.7, abs=1e-5)
        with Image.open(whole / "images" / name) as image:
            assert image.size == (24, 24)
            assert image.mode == "RGB"
        with Image.open((whole / "masks" / name).with_suffix(".png")) as mask:
            assert mask.mode == "L"
            values = np.asarray(mask)
        with np.load((whole / "depth" / name).with_suffix(".npz")) as stored:
            depth = stored["depth"]
        with np.load((whole / "normals" / name).with_suffix(".npz")) as stored:
            normals = stored["normals"]
        assert depth.dtype == normals.dtype == np.float16
        assert normals.shape == (24, 24, 3)
        assert (depth[values == 0] == 0).all()
        assert ((depth[values == 255] > 2) & (depth[values == 255] < 3.5)).all()


def test_people_lines_hold_every_parameter(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "people.jsonl").read_text().splitlines()]
    assert [line["person"] for line in lines] == [0, 1]
    for key in ("seed", "age", "gender", "tone", "hair_style", "expression", "shots", "views"):
        assert key in lines[0]
    assert {"image", "shot", "yaw_deg", "pitch_deg", "lighting", "label"} == set(lines[0]["views"][0])
    assert not (whole / "parts").exists()


def test_two_workers_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    list(synthesize(config_for(out), workers=2))
    assert folder_digest(out) == folder_digest(whole)


def test_a_kill_in_the_middle_changes_nothing(whole: Path, tmp_path: Path) -> None:
    """Kill the run (and so its worker) after the first person, leave rubbish behind, and run again."""
    out = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from synthetic.test_layout_writer import config_for; "
        "from panohead.synthetic.synthesize import synthesize; list(synthesize(config_for(Path(sys.argv[1]))))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", code, str(out)], env=environment)
    deadline = time.monotonic() + 120
    while not list((out / "parts").glob("*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not dataset_index(config_for(out)).exists()
    (out / "images" / "00000" / ".000002_03.webp.123.tmp").write_bytes(b"half")
    finished = list(synthesize(config_for(out)))
    assert finished[0] >= 1
    assert folder_digest(out) == folder_digest(whole)


def test_a_lost_image_is_rendered_again(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "lost"
    make_person(config_for(out), 0, {})
    config = config_for(out, people=1)
    (out / "synthesis.json").write_text(json.dumps(config.resume_key()))
    assert set(open_dataset(config)) == {0}
    (out / "masks" / "00000" / "000000_01.png").unlink()
    assert set(open_dataset(config)) == set()


def test_a_finished_dataset_grows(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "grown"
    list(synthesize(config_for(out, people=1)))
    assert list(synthesize(config_for(out))) == [1, 2]
    assert folder_digest(out) == folder_digest(whole)
    assert list(synthesize(config_for(out))) == [2]


def test_other_settings_are_refused(whole: Path) -> None:
    other = dataclasses.replace(config_for(whole), seed=9)
    with pytest.raises(PanoHeadError, match=r"was begun with seed 8"):
        next(synthesize(other))


def test_foreign_folders_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(PanoHeadError, match="holds no synthetic dataset"):
        open_dataset(config_for(tmp_path))
    with pytest.raises(PanoHeadError, match="is a file"):
        open_dataset(config_for(tmp_path / "note.txt"))
    with pytest.raises(PanoHeadError, match=r"cannot make the folder .*Not a directory"):
        open_dataset(config_for(tmp_path / "note.txt" / "below"))


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(tmp_path: Path) -> None:
    target = tmp_path / "image.bin"
    disk_full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(file: BinaryIO) -> None:
        file.write(b"x" * 100_000)
        raise disk_full

    with pytest.raises(PanoHeadError, match=r"image\.bin .No space left on device.; free the disk") as caught:
        write_atomic(target, write)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_a_worker_reaches_the_caller(tmp_path: Path) -> None:
    config = config_for(tmp_path / "blocked", people=1)
    open_dataset(config)
    (config.out / "images").write_text("a file where a folder should be")
    with pytest.raises(PanoHeadError, match=r"cannot make the folder .*images"):
        list(synthesize(config))


@pytest.mark.parametrize(
    "changes", [{"people": 0}, {"views": 0}, {"resolution": 4}, {"seed": -1}, {"focal": 0.1}, {"pitch_std_deg": 80.0}]
)
def test_impossible_settings_are_one_sentence(tmp_path: Path, changes: dict[str, float]) -> None:
    with pytest.raises(PanoHeadError, match="give"):
        dataclasses.replace(config_for(tmp_path), **changes)


def test_records_survive_a_round_trip(tmp_path: Path) -> None:
    config = config_for(tmp_path / "records", people=1)
    open_dataset(config)
    save_record(config, {"person": 0, "views": []})
    assert open_dataset(config) == {0: {"person": 0, "views": []}}
