"""``generate --set`` and ``--sweep``: heads with attributes, strips, and mistakes in one sentence."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import main
from panohead.media import is_marked_synthetic


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of the tiny generator with an untrained attribute encoder."""
    path = tmp_path_factory.mktemp("model") / "attributes.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator(), "attributes": tiny.attribute_encoder()})
    return str(path)


def generate(model: str, out: Path, *options: str) -> int:
    small = ["--checkpoint", model, "--yaws", "0", "90", "--cell-size", "32"]
    return main(["generate", "--out", str(out), "--seeds", "0-1", *small, *options])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_set_changes_every_head(model: str, tmp_path: Path) -> None:
    assert generate(model, tmp_path / "plain") == 0
    assert generate(model, tmp_path / "set", "--set", "age=80", "hair_style=bob") == 0
    names = {path.relative_to(tmp_path / "set") for path in (tmp_path / "set").rglob("*.png")}
    assert names == {path.relative_to(tmp_path / "plain") for path in (tmp_path / "plain").rglob("*.png")}
    for seed in ("seed0000", "seed0001"):
        view = Path(seed) / "yaw+000.png"
        assert not np.array_equal(pixels(tmp_path / "plain" / view), pixels(tmp_path / "set" / view))
    settings = json.loads((tmp_path / "set" / "settings.json").read_text())
    words = shlex.split(settings["command"])
    assert words[words.index("--set") + 1 : words.index("--set") + 3] == ["age=80", "hair_style=bob"]


def test_sweep_writes_a_strip_whose_heads_are_those_that_are_set(model: str, tmp_path: Path) -> None:
    assert generate(model, tmp_path / "strip", "--sweep", "age=20..80", "--sweep-steps", "3") == 0
    folders = {path.name for path in (tmp_path / "strip").iterdir() if path.is_dir()}
    assert folders == {f"seed000{seed}_age_{age}" for seed in (0, 1) for age in (20, 50, 80)}
    assert is_marked_synthetic(tmp_path / "strip" / "sweep_age.png")
    assert not (tmp_path / "strip" / "contact_sheet.png").exists()
    height, width = pixels(tmp_path / "strip" / "sweep_age.png").shape[:2]
    assert 4 * 40 <= height <= 4 * 40 + 60, "a row for every seed and view"
    assert width >= 3 * 40, "a column for every value"
    assert generate(model, tmp_path / "set", "--set", "age=50") == 0
    for view in ("yaw+000.png", "yaw+090.png"):
        one = pixels(tmp_path / "strip" / "seed0001_age_50" / view)
        assert np.array_equal(one, pixels(tmp_path / "set" / "seed0001" / view))


@pytest.mark.parametrize(
    ("sweep", "names"),
    [
        ("hair_color=black,blond", {"black", "blond"}),
        ("beard", {"none", "stubble", "short", "full", "goatee", "moustache"}),
        ("jawOpen=0,0.5,1", {"0", "0.5", "1"}),
    ],
)
def test_sweeps_through_words_and_lists(model: str, tmp_path: Path, sweep: str, names: set[str]) -> None:
    assert generate(model, tmp_path, "--seeds", "0", "--yaws", "0", "--sweep", sweep) == 0
    found = {path.name.rpartition("_")[2] for path in tmp_path.iterdir() if path.is_dir()}
    assert found == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "age"], "--set 'age' is not understood; give name=value"),
        (["--set", "age=20", "age=30"], "--set gives age twice"),
        (["--set", "age=200"], "age is 200; give a number from 5 to 85 years"),
        (["--set", "agee=20"], "there is no attribute 'agee'; did you mean age"),
        (["--set", "hair_style=mullet"], "hair_style is 'mullet'; give one of bald"),
        (["--sweep", "age=20"], "has one value; give a range"),
        (["--sweep", "age=a..b"], "age is 'a'"),
        (["--sweep", "beard=none..full"], "beard is no number"),
        (["--sweep", "age=10..80", "--set", "age=3"], "--set and --sweep both give age"),
        (["--sweep-steps", "4"], "--sweep-steps does nothing without --sweep"),
        (["--sweep", "age", "--sweep-steps", "1"], "--sweep-steps is 1"),
    ],
)
def test_mistakes_are_told_before_the_work(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert generate(model, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_models_without_an_encoder_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bare.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator()})
    assert generate(str(path), tmp_path / "out", "--set", "age=60") == 2
    assert "--set does nothing with this model, which has no attribute encoder" in capsys.readouterr().err
