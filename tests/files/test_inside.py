"""Names out of files lead nowhere but into their folder."""

import contextlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.small_photos import write_photos, zipped
from panohead.attributes.vocabulary import Vocabulary, expression_names
from panohead.data.tools.convert import convert_dataset
from panohead.data.tools.write_shards import write_shards
from panohead.errors import PanoHeadError
from panohead.evaluation.ground_truth.depth_baseline import depth_baseline
from panohead.files.inside import OutsideFolder, inside, refuse_linked_folders, relative_name
from panohead.preparation.run import finish, prepare
from panohead.preparation.settings import PrepareSettings
from panohead.training.attribute_fit.dataset import GrowingDataset

LEADING_OUT = [
    "../victim.png", "a/../../victim.png", "/etc/passwd", "..", "a/..", "..\\victim.png", "a\\..\\..\\x", "C:\\x.png",
    "C:x.png", "c:/x", "\\\\server\\share\\x", "//server/x", "", ".", "a\0b", "n" * 5000, "/", "./../x",
]  # fmt: skip
NO_NAMES = [None, 3, ["a"], {"a": 1}, True, b"a"]


@pytest.mark.parametrize("name", LEADING_OUT + NO_NAMES, ids=lambda name: repr(name)[:20])
def test_names_that_lead_out(name: object, tmp_path: Path) -> None:
    with pytest.raises(OutsideFolder) as caught:
        inside(tmp_path, name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "..a/b..png", "a/.../b", "a b/\u00e4.png", "-rf", "./a.png"])
def test_names_within(name: str, tmp_path: Path) -> None:
    assert inside(tmp_path, name) == tmp_path / name
    assert relative_name(name).parts


def test_links_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "folder" / "own").mkdir(parents=True)
    (tmp_path / "folder" / "out").symlink_to(tmp_path)
    (tmp_path / "folder" / "within").symlink_to(tmp_path / "folder" / "own")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert inside(tmp_path / "link", "own/x.png") == tmp_path / "link" / "own" / "x.png"
    assert inside(tmp_path / "folder", "within/x.png").name == "x.png"
    with pytest.raises(OutsideFolder, match="link"):
        inside(tmp_path / "folder", "out/x.png")


def prepared(folder: Path) -> PrepareSettings:
    """A dataset whose log holds no photo yet."""
    (folder / "photos").mkdir()
    (folder / "photos" / "no photo.png").write_bytes(b"x")
    settings = PrepareSettings(out=folder / "out", mask_model=None)
    return settings


def log_line(image: str, mask: str, *, overlay: str = "report/a.jpg", duplicate: bool = True) -> str:
    crop = {
        "reason": "duplicate: of x", "image": image, "mask": mask, "kind": "face", "method": "x", "confidence": 1.0,
        "yaw_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0, "residual": None,
        "crop": {"centre": [1, 1], "half_px": 1, "angle_deg": 0}, "flags": [], "core_px": 1, "sharpness": 1,
        "outside": 0, "face_visible": None, "mask_coverage": 1, "mask_pieces": 1, "mask_largest": 1, "hash": "0" * 16,
        "label": [0.0] * 25, "overlay": overlay, "duplicate": duplicate,
    }  # fmt: skip
    return json.dumps({"photo": "p", "stamp": "s", "reason": "", "remarks": [], "crops": [crop]}) + "\n"


@pytest.mark.parametrize("name", ["../../victim.png", "{absolute}", "ab/../../../victim.png", "linked/victim.png"])
def test_an_edited_log_of_prepare_moves_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.preparation.run.import_mediapipe", lambda: None)
    settings = prepared(tmp_path)
    prepare([str(tmp_path / "photos")], settings, workers=0)
    victim = tmp_path / "victim.png"
    victim.write_bytes(b"mine")
    (tmp_path / "out" / "images").mkdir(exist_ok=True)
    (tmp_path / "out" / "images" / "linked").symlink_to(tmp_path)
    written = name.format(absolute=victim)
    (tmp_path / "out" / ".prepare" / "journal.jsonl").write_text(log_line(written, "a/b.png"))
    for again in (lambda: finish(settings), lambda: prepare([str(tmp_path / "photos")], settings, workers=0)):
        with contextlib.suppress(PanoHeadError):
            again()
        assert victim.read_bytes() == b"mine"
        assert list((tmp_path / "out" / ".prepare").rglob("victim.png")) == []


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_prepare_works_through_no_link(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.preparation.run.import_mediapipe", lambda: None)
    settings = prepared(tmp_path)
    prepare([str(tmp_path / "photos")], settings, workers=0)
    (tmp_path / "elsewhere" / "ab").mkdir(parents=True)
    (tmp_path / "elsewhere" / "ab" / "victim.png").write_bytes(b"mine")
    shutil.rmtree(tmp_path / "out" / folder, ignore_errors=True)
    os.symlink(tmp_path / "elsewhere", tmp_path / "out" / folder)
    with pytest.raises(PanoHeadError, match="is a link"):
        prepare([str(tmp_path / "photos")], settings, workers=0)
    assert (tmp_path / "elsewhere" / "ab" / "victim.png").read_bytes() == b"mine"


def renamed_in_zip(archive: Path, old: str, new: str) -> None:
    with zipfile.ZipFile(archive) as source:
        members = {info.filename: source.read(info) for info in source.infolist()}
    with zipfile.ZipFile(archive, "w") as target:
        for name, content in members.items():
            target.writestr(zipfile.ZipInfo(new if name == old else name), content.replace(old.encode(), new.encode()))


@pytest.mark.parametrize("copy", ["folder", "zip", "shards"])
def test_names_in_zips_are_not_written_elsewhere(copy: Any, tmp_path: Path) -> None:
    root = write_photos(tmp_path / "data", count=2)
    for name in ("images", "masks"):
        renamed_in_zip(zipped(root, name), "00000/000.png", str(tmp_path / "victim.png"))
        for path in sorted((root / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (root / name).rmdir()
    out = tmp_path / "deep" / "out"
    if copy == "shards":
        with pytest.raises(PanoHeadError, match="lead out"):
            write_shards(root, out)
    else:
        done = convert_dataset(root, out, copy)
        assert (done.copied, len(done.broken)) == (1, 1)
        assert "lead out" in done.broken[0]
    assert not list(tmp_path.rglob("victim.png"))
    for path in out.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            assert not [name for name in archive.namelist() if "victim" in name]


def test_names_in_lists_of_people(tmp_path: Path) -> None:
    root = write_photos(tmp_path / "data", count=2)
    (root / "depth").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "victim.png")
    view = {"image": "../../victim.png", "shot": 0, "label": [0.0] * 25, "lighting": {}}
    record = {"person": 0, "views": [view, view], "shots": [{"expression": {}, "gaze": [0, 0]}]}
    (root / "people.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(PanoHeadError, match="lead out"):
        GrowingDataset(root, Vocabulary(expression_names(), np.zeros(0), np.zeros((0, 0)))).refresh()
    assert depth_baseline(root, 3) == []  # only images of the dataset are taken


def test_tar_members_stay_in_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("../victim.png", "../victim.mask.png", "../victim.json"):
            content = buffer.getvalue() if name.endswith("png") else json.dumps({"label": [1.0] * 25}).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(PanoHeadError):
        convert_dataset(tmp_path / "a.tar", tmp_path / "deep" / "out", "folder")
    assert not list(tmp_path.rglob("victim*"))


@pytest.mark.parametrize("name", ["images", "images/00001"])
def test_links_in_place_of_folders_that_are_written_to_are_refused(name: str, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / name).parent.mkdir(parents=True)
    (tmp_path / "named").symlink_to(out)
    (out / "image.png").symlink_to("missing")  # a file is replaced, link or not
    refuse_linked_folders(tmp_path / "named", ("images", "masks"))
    (out / name).symlink_to(elsewhere)
    with pytest.raises(PanoHeadError, match=f"{name} is a link"):
        refuse_linked_folders(tmp_path / "named", ("images", "masks"))
