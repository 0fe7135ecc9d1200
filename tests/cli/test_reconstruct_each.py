"""``panohead reconstruct FOLDER --each``: one head a photo, whatever some of the photos are."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import tiny
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import main
from panohead.models.photo_encoder import PhotoEncoder, PhotoEncoderConfig

SMALL = ["--aligned", "--each", "--quick", "--frames", "2", "--mesh-resolution", "24", "--mesh-level", "2"]


@pytest.fixture(scope="module")
def photos(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with an encoder, and a folder of two crops and a file that is no photo."""
    root = tmp_path_factory.mktemp("each")
    encoder = PhotoEncoder(PhotoEncoderConfig(w_dim=16, resolution=16, channels=(8, 8), blocks=(0, 0), hidden=8))
    torch.nn.init.zeros_(encoder.hidden.weight)
    network = tiny.generator()
    encoder.mean.copy_(network.mapping_network.w_avg)
    save_checkpoint(root / "c.safetensors", {"G_ema": network, "encoder": encoder})
    people = root / "people"
    people.mkdir()
    label = json.loads((folder / "dataset.json").read_text())["labels"][0][1]
    for name in ("ann.png", "bob b.png"):
        shutil.copy(folder / "me.png", people / name)
    (people / "broken.png").write_bytes(b"no photo at all")
    labels = [[name, label] for name in ("ann.png", "bob b.png", "broken.png")]
    (people / "dataset.json").write_text(json.dumps({"labels": labels}))
    return root


def command(photos: Path, out: Path, *more: str) -> int:
    where = [str(photos / "people"), "--checkpoint", str(photos / "c.safetensors"), "--out", str(out)]
    return main(["reconstruct", *where, *SMALL, *more])


def test_a_bad_photo_stops_nothing_and_what_is_done_stays(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(photos, out) == 0
    said = capsys.readouterr().out
    assert "2 of 3 photos gave a head" in said
    assert "no head: broken.png is no usable photo" in said
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"ann", "bob_b", "broken"}
    page = (out / "index.html").read_text()
    assert "Photos without a head" in page
    assert "bob_b/report.html" in page
    assert (out / "contact_sheet.png").is_file()
    report = out / "ann" / "report.html"
    assert "photo encoder" in report.read_text()
    before = report.stat().st_mtime_ns
    assert command(photos, out) == 0  # nothing to do but the broken one
    assert report.stat().st_mtime_ns == before
    assert command(photos, out, "--frames", "3") == 0  # another turntable
    assert report.stat().st_mtime_ns > before


def test_no_photo_gives_a_head(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(photos, tmp_path / "out", "--masks", str(photos)) == 1
    assert "none of the 3 photos gave a head" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["reconstruct", str(tmp_path / "empty"), "--each", "--out", str(tmp_path / "out2")]) == 2
    assert "there are no photos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--each", "--resume"], "--each continues by itself"),
        (["--each", "--head", "1"], "--each takes the most prominent head"),
        (["--quick", "--resume"], "--quick leaves nothing to resume"),
        (["--quick", "--preset", "official"], "does not go with --preset official"),
        (["--quick", "--tuning-steps", "3"], "the preset quick has no tuning_steps"),
        (["--quick", "--start", "mean"], "the preset quick has the start encoder"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["reconstruct", "me.png", *options, "--out", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_encoder_is_asked_for_and_there_is_none(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [str(folder / "me.png"), "--checkpoint", str(folder / "tiny.safetensors"), "--out", str(tmp_path / "out")]
    assert main(["reconstruct", *where, "--aligned", "--quick"]) == 1
    assert "has no photo encoder; train one with 'panohead train-encoder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
