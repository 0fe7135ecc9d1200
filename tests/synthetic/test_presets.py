"""Published recipes: what they render is what is published, and a changed file is noticed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.synthetic.presets import DATASET_PRESETS, compared, sample_sha256

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_sample_is_the_published_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sample"
    assert main(["synthesize", "--preset", "heads_sample", "--workers", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "masks and depth of the first two people: the published ones" in said
    assert len(list((out / "images" / "00000").iterdir())) == 24
    assert "--preset heads_sample" in (out / "settings.json").read_text()
    mask = next((out / "masks" / "00000").glob("000001_*.png"))
    pixels = np.array(Image.open(mask))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(mask)
    (sentence,) = compared(out, DATASET_PRESETS["heads_sample"])
    assert "NOT the published ones" in sentence
    next((out / "depth" / "00000").iterdir()).unlink()
    with pytest.raises(PanoHeadError, match="render it again"):
        sample_sha256(out)


def test_a_preset_decides_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--people", "3"], ["--seed", "4"], ["--format", "png"], ["--normals"]):
        assert main(["synthesize", "--preset", "heads", *words, "--out", str(tmp_path / "out")]) == 2
        assert f"{words[0]} does not go with --preset heads" in capsys.readouterr().err
    assert main(["synthesize", "--out", str(tmp_path / "out")]) == 2
    assert "say how many people with --people" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_card_has_these_numbers() -> None:
    card = (ROOT / "docs" / "heads-dataset.md").read_text()
    preset = DATASET_PRESETS["heads"]
    assert preset.sample_sha256 in card
    assert str(preset.labels_sha256) in card
    assert str(preset.labels_sha256) in (ROOT / "docs" / "synthetic-heads.md").read_text()
    options = preset.options
    for name in ("edition", "people", "expressions", "views", "resolution", "seed"):
        assert f"--{name} {options[name]}" in card
