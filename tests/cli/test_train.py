"""``panohead train`` as a user meets it: what it prints, what it refuses, what it leaves."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.cli.main import main
from panohead.presets import tiny
from panohead.training.networks import make_networks
from training.runs import final_state, tensors

HEADS = Path(__file__).parents[1] / "training" / "heads"
STORED = Path(__file__).parents[1] / "stored"
SHORT = ["--preset", "tiny", "--data", str(HEADS), "--device", "cpu", "--quiet"]
SETTINGS = ["--set", "tick_kimg=0.008", "metric_images=8", "data.cache=memory"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["train", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def relabeled(folder: Path) -> Path:
    """A copy of the dataset in which the first two photos have changed their labels."""
    shutil.copytree(HEADS, folder)
    with zipfile.ZipFile(folder / "images.zip") as archive:
        archive.extractall(folder / "images")
    (folder / "images.zip").unlink()
    file = folder / "images" / "dataset.json"
    labels = json.loads(file.read_text())["labels"]
    labels[0][1], labels[1][1] = labels[1][1], labels[0][1]
    file.write_text(json.dumps({"labels": labels}))
    return folder


def test_dry_run_prints_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--preset", "panohead_512", "--dry-run", "--batch", "64", "--set", "loss.r1_gamma=2")
    config = json.loads(out)
    assert code == 0
    assert (config["batch"], config["loss"]["r1_gamma"], config["generator"]["trigrid_depth"]) == (64, 2.0, 3)


def test_estimate_tells_memory_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--preset", "tiny", "--estimate", "--device", "cpu")
    assert code == 0
    assert "images/s" in out
    assert "GB on cpu" in out
    assert "5 kimg take about" in out


def test_a_short_run_leaves_what_the_page_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Train, check every file, resume, generate from the snapshot."""
    folder = tmp_path / "run"
    code, out, err = run(capsys, *SHORT, "--out", str(folder), "--kimg", "0.016", *SETTINGS)
    assert code == 0, err
    assert out.splitlines() == [
        f"trained; the report is {folder}/report.html, weights and images are in {folder}/snapshots"
    ]
    assert "<svg" in (folder / "report.html").read_text()
    assert len(list((folder / "states").glob("*.pt"))) == 2
    assert [json.loads(line)["nimg"] for line in (folder / "stats.jsonl").read_text().splitlines()] == [0, 8, 16]
    assert list((folder / "snapshots").glob("*.webp"))

    code, _, err = run(capsys, *SHORT, "--out", str(folder), "--kimg", "0.016", *SETTINGS)
    assert (code, "holds a run already" in err) == (1, True)

    code, _, err = run(capsys, "--resume", str(folder), "--kimg", "0.024", "--device", "cpu", "--quiet")
    assert code == 0, err
    known = json.loads((folder / "config.json").read_text())
    assert known["training"]["total_kimg"] == 0.024, "a later --resume trains to the new end"
    code, _, err = run(capsys, "--resume", str(folder), "--kimg", "0.008", "--device", "cpu", "--quiet")
    assert (code, "at 0.024 kimg already" in err) == (1, True)

    other = relabeled(tmp_path / "other")
    elsewhere = ["--resume", str(folder), "--kimg", "9", "--device", "cpu", "--quiet", "--data", str(other)]
    code, _, err = run(capsys, *elsewhere)
    assert (code, f"{other} is not the dataset of {folder}" in err) == (1, True)
    assert json.loads((folder / "config.json").read_text()) == known, "a refusal changes nothing"

    code, out, _ = run(capsys, "--resume", str(folder), "--kimg", "9", "--dry-run")
    assert (code, json.loads(out)["total_kimg"]) == (0, 9.0)
    assert json.loads((folder / "config.json").read_text()) == known, "a dry run changes nothing"

    snapshot = max((folder / "snapshots").glob("*.safetensors"))
    assert snapshot.name == "kimg-000000.024.safetensors"
    assert main(["generate", "--checkpoint", str(snapshot), "--seeds", "0", "--out", str(tmp_path / "heads")]) == 0


def test_second_stage_starts_from_a_checkpoint(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Start from weights, with more rays, counting from the end of the fades."""
    checkpoint, folder = tmp_path / "first.safetensors", tmp_path / "run"
    networks = make_networks(tiny(), torch.device("cpu"))
    save_checkpoint(checkpoint, {"G_ema": networks.generator_ema, "G": networks.generator, "D": networks.discriminator})
    stage2 = ["start_kimg=2", "schedules.neural_resolution_final=24", "schedules.neural_resolution_fade_kimg=1"]
    stage2 += ["ema_ramp_up=null", "generator_adam.interval=2"]
    regularizer = 'density_regularizer={"kind": "monotonic-detach"}'
    arguments = [*SHORT, "--init", str(checkpoint), "--out", str(folder), "--kimg", "2.016", *SETTINGS]
    code, _, err = run(capsys, *arguments, *stage2, regularizer, 'augment={"probability": 0.5}')
    assert code == 0, err
    _, first, last = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert (last["nimg"], last["neural_resolution"], last["density_noise"]) == (2016, 24, 0)
    assert first["density_penalty"] > 0
    assert "density_penalty" not in last, "every second step"
    assert last["augment_probability"] == 0.5
    snapshot = max((folder / "snapshots").glob("*.safetensors"))
    assert load_checkpoint(snapshot).generator().config.neural_rendering_resolution == 24, "rays as trained with"


def test_a_run_remembers_where_its_weights_came_from(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Killed before its first state, it begins again from the checkpoint, not from random weights."""
    checkpoint, folder = tmp_path / "first.safetensors", tmp_path / "run"
    networks = make_networks(replace(tiny(), seed=5), torch.device("cpu"))
    save_checkpoint(checkpoint, {"G_ema": networks.generator_ema, "D": networks.discriminator})
    code, _, err = run(capsys, *SHORT, "--init", str(checkpoint), "--out", str(folder), "--kimg", "0.008", *SETTINGS)
    assert code == 0, err
    whole = tensors(final_state(folder))
    shutil.rmtree(folder / "states")
    code, _, err = run(capsys, "--resume", str(folder), "--device", "cpu", "--quiet")
    assert code == 0, err
    again = tensors(final_state(folder))
    assert [name for name in whole if not torch.equal(whole[name], again[name])] == []
    assert "no state yet" in (folder / "notes.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--data DATASET"),
        (["--data", "nowhere", "--out", "{tmp}/run"], 1, "nowhere does not exist"),
        (["--set", "loss.gamma=1", "--dry-run"], 2, "no setting 'loss.gamma'"),
        (["--set", "loss.r1_gamma=[1]", "--dry-run"], 2, "expected float, got array"),
        (["--set", "loss.r1_gamma", "--dry-run"], 2, "NAME=VALUE"),
        (["--batch", "7", "--data", str(HEADS), "--out", "{tmp}/run"], 2, "multiple of"),
        (["--resume", "{tmp}"], 1, "holds no run"),
        (["--resume", "{tmp}", "--seed", "0"], 2, "--seed cannot be changed"),
        (["--resume", "{tmp}", "--preset", "demo_64"], 2, "--preset cannot be changed"),
        (["--resume", "{tmp}", "--seed", "3", "--dry-run"], 2, "--seed cannot be changed"),
        (["--preset", "panohead_512_stage2", "--data", str(HEADS), "--out", "{tmp}/run"], 2, "--init"),
        (["--preset", "tiny", "--data", str(HEADS), "--out", "{tmp}/run", "--init", "none.safetensors"], 1, "none"),
    ],
)
def test_refusals_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    filled = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    found, _, err = run(capsys, *filled, "--device", "cpu", "--quiet")
    assert found == code
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("name", ["stats.jsonl", "notes.jsonl", "snapshots", "states", "tensorboard"])
def test_a_run_with_links_is_not_changed(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_folder, victim = tmp_path / "run", tmp_path / "victim"
    shutil.copytree(STORED / "run", run_folder)
    victim.mkdir() if "." not in name else victim.write_text("x")
    (run_folder / name).rename(tmp_path / "before") if (run_folder / name).exists() else None
    (run_folder / name).symlink_to(victim)
    before = (run_folder / "config.json").read_bytes()
    code, _, err = run(capsys, "--resume", str(run_folder), "--kimg", "1", "--data", str(HEADS), "--device", "cpu")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "is a link" in err
    assert name in err
    assert (run_folder / "config.json").read_bytes() == before
    assert list(victim.iterdir()) == [] if victim.is_dir() else victim.read_text() == "x"


def test_divergence_names_the_module_and_keeps_the_state(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    wild = [*SETTINGS, "generator_adam.learning_rate=1e9"]
    code, _, err = run(capsys, *SHORT, "--out", str(folder), "--kimg", "0.1", *wild)
    assert code == 1
    assert "training diverged" in err
    assert "generator." in err
