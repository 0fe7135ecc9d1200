"""Files written by an earlier version still open and resume; what users type and store keeps its names.

``tests/stored/README.md`` says how the files were made.
"""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tiny
from panohead import load
from panohead.alignment.quality import QualityGates
from panohead.cli.main import main
from panohead.cli.running.old_spellings import OLD_SPELLINGS
from panohead.data.dataset import open_dataset
from panohead.evaluation.settings import EvaluationSettings
from panohead.geometry import Camera
from panohead.inversion import FastConfig, OfficialConfig, open_reconstruction
from panohead.preparation.files import ResumeLog, open_out
from panohead.preparation.settings import PrepareSettings
from panohead.presets import PRESETS
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.training.augmentation.config import AugmentConfig
from panohead.training.regularizers import DensityRegularizerConfig
from panohead.training.warm_start.fit import WarmStartConfig

STORED = Path(__file__).with_name("stored")
HEADS = Path(__file__).parent / "training" / "heads"
CONFIGS: list[Any] = [
    FastConfig,
    OfficialConfig,
    PrepareSettings,
    QualityGates,
    SyntheticDatasetConfig,
    EvaluationSettings,
    WarmStartConfig,
    AugmentConfig,
    DensityRegularizerConfig,
]


def stored_json(name: str) -> Any:
    return json.loads((STORED / name).read_text())


def copied(name: str, tmp_path: Path) -> Path:
    """A copy of a stored folder that may be written to."""
    return Path(shutil.copytree(STORED / name, tmp_path / name))


def test_a_checkpoint_opens() -> None:
    generator = load(str(STORED / "tiny.safetensors")).generator
    expected = tiny.generator().state_dict()
    assert generator.state_dict().keys() == expected.keys()
    for name, value in generator.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_a_training_run_resumes_to_the_same_losses(tmp_path: Path) -> None:
    """The state holds networks, optimizers, augmentation and counters; a part that is lost changes the losses."""
    run = copied("run", tmp_path)
    arguments = ["--data", str(HEADS), "--kimg", "0.032", "--device", "cpu", "--quiet"]
    assert main(["train", "--resume", str(run), *arguments]) == 0
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    expected = stored_json("run_continued.json")
    assert [line["nimg"] for line in lines] == [0, 8, 16, *(line["nimg"] for line in expected)]
    for line, known in zip(lines[3:], expected, strict=True):
        assert set(known) <= set(line), "keys of stats.jsonl"
        for name in ("loss_generator", "loss_real", "loss_fake", "camera_offset", "gradient_norm_generator"):
            assert line[name] == pytest.approx(known[name], rel=2e-3, abs=1e-5), name


def test_a_reconstruction_opens() -> None:
    predictor = load(str(STORED / "tiny.safetensors"))
    head = open_reconstruction(STORED / "reconstruction", predictor.generator)
    image = head.render(Camera.orbit(10)).image
    untuned = predictor.from_w(head.ws).render(Camera.orbit(10)).image
    assert torch.isfinite(image).all()
    assert (image - untuned).abs().max() > 0.05, "the tuned difference is applied"


def test_an_interrupted_reconstruction_resumes_to_the_same_end(tmp_path: Path) -> None:
    out = copied("interrupted", tmp_path)
    arguments = [str(STORED / "photo" / "me.png"), "--checkpoint", str(STORED / "tiny.safetensors"), "--aligned"]
    arguments += ["--steps", "1", "--tuning-steps", "24", "--seed", "3", "--frames", "1", "--mesh", "ply"]
    arguments += ["--mesh-resolution", "16", "--mesh-level", "2", "--out", str(out), "--resume"]
    assert main(["reconstruct", *arguments]) == 0
    assert not (out / "reconstruct.state").exists()
    with np.load(out / "latent.npz") as found, np.load(STORED / "reconstruction" / "latent.npz") as known:
        assert set(found) == set(known)
        for name in found:
            if found[name].dtype.kind == "f":
                np.testing.assert_allclose(found[name], known[name], atol=1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(found[name], known[name], err_msg=name)
    found, known = (load_file(folder / "tuned.difference.safetensors") for folder in (out, STORED / "reconstruction"))
    assert found.keys() == known.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, known[name], atol=2e-4, rtol=0, msg=name)


def test_an_interrupted_official_reconstruction_resumes_to_the_same_end(tmp_path: Path) -> None:
    out = copied("interrupted_official", tmp_path)
    with np.load(out / "end.npz") as stored:
        known = stored["ws"]
    arguments = [str(STORED / "photo" / "me.png"), "--checkpoint", str(STORED / "tiny.safetensors"), "--aligned"]
    arguments += ["--preset", "official", "--steps", "3", "--tuning-steps", "4", "--seed", "3", "--frames", "1"]
    arguments += ["--mesh", "ply", "--mesh-resolution", "16", "--mesh-level", "2", "--out", str(out), "--resume"]
    assert main(["reconstruct", *arguments]) == 0
    with np.load(out / "latent.npz") as found:
        np.testing.assert_allclose(found["ws"], known, atol=1e-5)
    found_weights = load_file(out / "tuned.difference.safetensors")
    known_weights = load_file(out / "end.safetensors")
    assert found_weights.keys() == known_weights.keys()
    for name, value in found_weights.items():
        torch.testing.assert_close(value, known_weights[name], atol=2e-4, rtol=0, msg=name)


def test_a_synthetic_dataset_opens_and_is_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = copied("synthetic", tmp_path)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    arguments = ["--people", "2", "--views", "2", "--resolution", "32", "--seed", "5", "--depth"]
    assert main(["synthesize", *arguments, "--out", str(out)]) == 0
    capsys.readouterr()
    # Written by today's command; datasets of earlier versions do not have it.
    new = {out / "preview.webp", out / "settings.json", out / "run.yaml"}
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path not in new}
    assert after == before
    assert len(open_dataset(out)) == 4


def test_a_prepared_dataset_opens_and_goes_on(tmp_path: Path) -> None:
    out = copied("prepared", tmp_path)
    item = open_dataset(out)[0]
    assert (item.image.shape, item.label.shape) == ((3, 64, 64), (25,))
    open_out(out, PrepareSettings(out=out, size=64).resume_key())
    log = ResumeLog(out)
    assert sorted(log.records) == ["photos/p00.png", "photos/p01.png"]
    assert all(log.is_finished(out, name, record.stamp) for name, record in log.records.items())


@pytest.mark.parametrize("command", stored_json("help.json"))
def test_no_option_is_gone(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")  # wide enough for names of options, too narrow for two columns of boxes
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    # An option begins its line, with or without a frame; descriptions are indented further.
    rows = [line for line in capsys.readouterr().out.splitlines() if re.match(r"[│ ] {0,2}-", line)]
    options = {option for row in rows for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", row)}
    options |= OLD_SPELLINGS.get(command, {}).keys()
    assert set(stored_json("help.json")[command]) <= options


def test_no_setting_of_a_training_run_is_gone() -> None:
    found = dataclasses.asdict(PRESETS["panohead_512"]())

    def compare(known: dict[str, Any], found: dict[str, Any], path: str) -> None:
        for name, value in known.items():
            assert name in found, path + name
            if isinstance(value, dict):
                compare(value, found[name], f"{path}{name}.")
            else:
                assert json.loads(json.dumps(found[name])) == value, path + name

    compare(stored_json("config_fields.json")["TrainConfig"], found, "")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_no_field_of_a_stored_configuration_is_gone(config: Any) -> None:
    known = stored_json("config_fields.json")["fields"][config.__name__]
    assert set(known) <= {field.name for field in dataclasses.fields(config)}
