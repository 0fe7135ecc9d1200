"""Snapshots: names that never collide, and averages that are not finite are not written."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.training.loop import Training
from panohead.training.nan_guard import first_nonfinite
from panohead.training.run.snapshots import snapshot_path

STORED = Path(__file__).parents[2] / "stored"
HEADS = Path(__file__).parents[1] / "heads"


def test_every_number_of_images_has_its_own_name_in_order() -> None:
    counts = [*range(0, 300), *range(999_900, 1_000_101), 25_000_000]
    names = [snapshot_path(Path("run"), nimg, ".webp").name for nimg in counts]
    assert len(set(names)) == len(counts)
    assert [float(name.removeprefix("kimg-").removesuffix(".webp")) for name in names] == [n / 1000 for n in counts]
    assert snapshot_path(Path("run"), 12_000, ".webp").name == "kimg-000012.0.webp", "the names of earlier versions"
    assert sorted(names) == names


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert first_nonfinite(network) is None
    assert first_nonfinite(nn.ReLU()) is None
    with torch.no_grad():
        network[1].running_var[2] = torch.inf
        assert first_nonfinite(network) == "1.running_var"
        network[0].bias[1] = torch.nan
        assert first_nonfinite(network) == "0.bias"
        network.half()
        assert first_nonfinite(network) == "0.bias"


def restarted(tmp_path: Path) -> Path:
    """A run that was killed after its first record and before its first state."""
    run = Path(shutil.copytree(STORED / "run", tmp_path / "run"))
    shutil.rmtree(run / "states")
    first = (run / "stats.jsonl").read_text().splitlines()[0]
    (run / "stats.jsonl").write_text(first + "\n")
    return run


ARGUMENTS = ["--data", str(HEADS), "--kimg", "0.008", "--device", "cpu", "--quiet"]


def test_a_run_killed_before_its_first_state_has_no_line_twice(tmp_path: Path) -> None:
    run = restarted(tmp_path)
    assert main(["train", "--resume", str(run), *ARGUMENTS]) == 0
    assert [json.loads(line)["nimg"] for line in (run / "stats.jsonl").read_text().splitlines()] == [0, 8]


def test_a_ruined_average_ends_the_run_before_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = restarted(tmp_path)
    step = Training._train_step

    def ruining(self: Training, photos: object) -> None:
        step(self, photos)  # type: ignore[arg-type]
        with torch.no_grad():
            next(self.networks.generator_ema.parameters()).fill_(torch.nan)

    monkeypatch.setattr(Training, "_train_step", ruining)
    assert main(["train", "--resume", str(run), *ARGUMENTS]) == 1
    assert "the moving average of the generator is not finite any more" in capsys.readouterr().err
    assert not list(run.glob("states/*.pt"))
    assert not list(run.glob("snapshots/*.safetensors"))


def test_a_snapshot_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    from panohead.system.atomic_write import prepare_folder

    (tmp_path / "snapshots").write_text("a file")
    with pytest.raises(PanoHeadError, match=r"cannot make the folder .*snapshots"):
        prepare_folder(snapshot_path(tmp_path, 0, ".webp"))
