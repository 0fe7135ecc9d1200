"""``panohead reconstruct`` on the smallest model."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

import tiny
from panohead.cli.main import main
from panohead.media import is_marked_synthetic


def command(folder: Path, *more: str) -> int:
    arguments = ["reconstruct", str(folder / "me.png"), "--checkpoint", str(folder / "tiny.safetensors"), *more]
    return main(arguments)


@pytest.mark.usefixtures("short_search")
def test_writes_everything(folder: Path, tmp_path: Path) -> None:
    small = ["--frames", "2", "--mesh-resolution", "24", "--mesh-level", "1", "--steps", "2", "--tuning-steps", "2"]
    assert command(folder, "--aligned", "--out", str(tmp_path), *small) == 0
    names = {path.name for path in tmp_path.iterdir()}
    expected = {"turntable.mp4", "views.png", "head.glb", "mesh.ply", "latent.npz", "report.html", "views"}
    assert names == {*expected, "tuned.difference.safetensors", "run.yaml", "settings.json"}
    assert is_marked_synthetic(tmp_path / "views.png")
    assert b"property float seen" in (tmp_path / "mesh.ply").read_bytes()[:2000]
    assert len(trimesh.load(tmp_path / "head.glb", force="mesh").faces) > 0
    with np.load(tmp_path / "latent.npz") as latent:
        assert latent["ws"].shape == (1, tiny.generator().backbone.num_ws, tiny.CONFIG.w_dim)
        assert latent["labels"].shape == (1, 25)
    page = (tmp_path / "report.html").read_text()
    assert "no weights" in page
    assert "Seen or invented" in page
    assert page.count("data:image/png") == 10  # nine figures, and the front of the head to turn


def test_missing_packages_are_told_before_the_work(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("panohead.mesh.settings.importlib.util.find_spec", lambda _: None)
    assert command(folder, "--aligned", "--texture", "64", "--out", str(tmp_path / "out")) == 1
    assert "need the package xatlas; run: pip install" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("other", "options", "sentence"),
    [
        ("elsewhere/me.png", [], "two photos have the same file name"),
        ("you.png", ["--preset", "official"], "the preset official takes one photo"),
    ],
)
def test_photos_that_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str, options: list[str], sentence: str
) -> None:
    assert main(["reconstruct", "me.png", other, "--aligned", *options, "--out", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, 9])
def test_one_to_eight_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    assert main(["reconstruct", *["me.png"] * count, "--aligned", "--out", str(tmp_path / "out")]) == 2
    assert f"{count} photos were given; give 1 to 8 of one person" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--labels", "x.json"], 2, "--labels goes with --aligned"),
        (["--aligned", "--masks", "/nowhere"], 2, "--masks /nowhere does not exist"),
        (["--aligned", "--masks", str(Path(__file__).parents[1] / "stored")], 1, "there is no mask of me.png in"),
        (["--aligned", "--head", "2"], 2, "--head is for ordinary photos"),
        (["--head", "0"], 2, "--head counts from 1"),
        (["--head", "1", "2"], 2, "--head needs a number for each of the 1 photos"),
        (["--mask-model", "/nowhere/u2net.onnx"], 2, "--mask-model /nowhere/u2net.onnx does not exist"),
        (["--aligned", "--mask-model", "x.onnx"], 2, "--mask-model are for ordinary photos"),
        (["--aligned", "--seed", "-1"], 2, "--seed is -1; give a whole number"),
        (["--aligned", "--poses", "x.csv"], 2, "aligned crops have --labels"),
        (["--poses", "/nowhere/x.csv"], 1, "cannot read the poses in /nowhere/x.csv"),
        (["--aligned", "--labels", "/nowhere/x.json"], 1, "x.json is missing"),
        (["--aligned", "--tuning-steps", "-1"], 2, "--tuning-steps is -1; give a whole number"),
        (["--aligned", "--preset", "official", "--unseen-weight", "1"], 2, "has no unseen_weight"),
        (["--aligned", "--lpips", "/nowhere/vgg.pth"], 1, "no LPIPS weights"),
    ],
)
def test_one_sentence_for_every_mistake(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, sentence: str
) -> None:
    assert command(folder, "--out", str(tmp_path), *options) == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()
