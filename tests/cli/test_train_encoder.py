"""``panohead train-encoder`` on the smallest model."""

from pathlib import Path

import pytest

from panohead.checkpoint import load_checkpoint
from panohead.cli.main import main


def test_a_short_run_and_what_it_leaves(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    command = ["train-encoder", "--checkpoint", str(folder / "tiny.safetensors"), "--out", str(out)]
    command += ["--samples", "16", "--steps", "1", "--batch", "1"]
    assert main(command) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {
        "encoder.json",
        "samples",
        "metrics.jsonl",
        "sheets",
        "final.safetensors",
        "run.yaml",
        "settings.json",
    }
    assert load_checkpoint(out / "final.safetensors").photo_encoder() is not None
    assert main([*command[:-1], "2"]) == 1
    assert "holds a run with another batch; give the same options" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ([], 2, "a run needs --out RUN"),
        (["--out", "x", "--samples", "3"], 2, "--samples is 3; give a whole number from 16"),
        (["--out", "x", "--augmentation", "9"], 2, "--augmentation is 9"),
        (["--out", "x", "--data", "/nowhere"], 1, "--data /nowhere is no folder"),
        (["--out", "x", "--checkpoint", "/nowhere.safetensors"], 1, "there is no checkpoint"),
    ],
)
def test_one_sentence_for_every_mistake(
    capsys: pytest.CaptureFixture[str], options: list[str], code: int, sentence: str
) -> None:
    assert main(["train-encoder", *options]) == code
    assert sentence in capsys.readouterr().err
    assert not Path("x").exists()
