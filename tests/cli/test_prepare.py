"""Options of ``panohead prepare``: one declaration of each gate and model serves the command and the pipeline."""

import dataclasses
import json
from pathlib import Path

import pytest
import tyro

from panohead.alignment import DetectorModels, QualityGates
from panohead.cli.main import main
from panohead.cli.prepare import Prepare
from panohead.errors import UsageError
from panohead.preparation import PrepareSettings

STORED = Path(__file__).parents[1] / "stored" / "prepared"


def settings(*options: str) -> PrepareSettings:
    return tyro.cli(Prepare, args=["photos", "--out", "out", *options]).settings()


def test_without_options_the_settings_are_those_of_the_pipeline() -> None:
    assert settings() == PrepareSettings(out=Path("out"))


@pytest.mark.parametrize("gate", dataclasses.fields(QualityGates), ids=lambda field: field.name)
def test_every_gate_is_an_option(gate: "dataclasses.Field[float]") -> None:
    assert isinstance(gate.default, int | float)
    value = gate.default / 2 if isinstance(gate.default, float) else gate.default + 1
    changed = settings(f"--gates.{gate.name.replace('_', '-')}", str(value))
    assert changed.gates == dataclasses.replace(QualityGates(), **{gate.name: value})


def test_models_reach_the_settings(tmp_path: Path) -> None:
    options = []
    for name in ("pose_model", "head_model", "mask_model"):
        (tmp_path / name).write_bytes(b"")
        options += [f"--{name.replace('_', '-')}", str(tmp_path / name)]
    found = settings(*options, "--pose-kind", "6drepnet360")
    assert found.files == {name: tmp_path / name for name in ("pose_model", "head_model", "mask_model")}
    assert found.pose_kind == "6drepnet360"
    assert DetectorModels().files == {}


@pytest.mark.parametrize("option", ["--masks", "--pose-model", "--head-model", "--mask-model"])
def test_a_path_that_does_not_exist_is_named_with_its_option(option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} nowhere does not exist"):
        settings(option, "nowhere")


@pytest.mark.parametrize(("option", "value"), [("--size", "8"), ("--workers", "0")])
def test_numbers_out_of_range_are_wrong_usage(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", str(tmp_path), "--out", str(tmp_path / "out"), option, value]) == 2
    assert f"{option} is {value}; give a whole number from" in capsys.readouterr().err


def test_settings_are_stored_in_the_order_of_older_versions() -> None:
    key = PrepareSettings(out=Path("out"), size=64).resume_key()
    assert json.dumps(key) + "\n" == (STORED / "prepare.json").read_text()


def test_paths_are_stored_as_text() -> None:
    key = PrepareSettings(out=Path("out"), masks=Path("m"), pose_model=Path("p.onnx")).resume_key()
    assert (key["masks"], key["pose_model"], key["head_model"]) == ("m", "p.onnx", None)
    assert "out" not in key
    assert "poses" not in key
