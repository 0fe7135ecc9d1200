"""A run that is killed and resumed ends with the weights of an uninterrupted one."""

import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from panohead.presets import tiny
from panohead.training.warm_start.fit import WarmStart, WarmStartConfig
from panohead.training.warm_start.multiview import MultiViewData, load_multiview
from panohead.training.warm_start_stage import fit
from training.runs import HEADS, SETTINGS, SMALL, final_state, start, tensors, train

KIMG = 0.24
KILLS = 3


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    train(*SMALL, *SETTINGS, "--out", str(run), "--kimg", str(KIMG))
    return run


def assert_equal(run: Path, other: Path) -> None:
    ours, theirs = tensors(final_state(run)), tensors(final_state(other))
    assert ours.keys() == theirs.keys()
    assert len(ours) > 100
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def newest(run: Path) -> Path | None:
    """The state file of the most photos."""
    return max((run / "states").glob("state-*.pt"), default=None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_random_moments(uninterrupted: Path, tmp_path: Path) -> None:
    """SIGKILL to the whole process group at random moments after the first state; then ``--resume``."""
    run, chance = tmp_path / "run", random.Random(0)
    arguments = [*SMALL, *SETTINGS, "--out", str(run), "--kimg", str(KIMG)]
    killed = 0
    while killed < KILLS:
        process = start(*arguments)
        before = newest(run)
        while process.poll() is None and newest(run) == before:
            time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 1.0))
        if process.poll() is not None:
            process.communicate()
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
        arguments = ["--resume", str(run), "--quiet", "--device", "cpu"]
    assert killed >= 2, "the run was over before it could be killed; make it longer"
    train(*arguments)
    assert_equal(run, uninterrupted)


@pytest.mark.timeout(1800)
def test_interrupted_and_resumed(uninterrupted: Path, tmp_path: Path) -> None:
    """Ctrl-C ends the step, saves, prints how to resume, and loses nothing."""
    run = tmp_path / "run"
    process = start(*SMALL, *SETTINGS, "--out", str(run), "--kimg", str(KIMG))
    while process.poll() is None and not list((run / "states").glob("*.pt")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert f"--resume {run}" in output
    train("--resume", str(run), "--quiet", "--device", "cpu")
    assert_equal(run, uninterrupted)


def test_interrupted_warm_start_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the fit's step and saves; resumed, it ends with the weights of an uninterrupted one."""
    config = replace(tiny(), noise_mode="const", warm_start=WarmStartConfig(steps=3, patch=16, coarse_steps=0))
    people = load_multiview(HEADS, config.resolution)
    whole = fit(config, people, tmp_path / "whole", quiet=True)
    step = WarmStart.step

    def interrupted(stage: WarmStart, data: MultiViewData) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return step(stage, data)

    with monkeypatch.context() as patched:
        patched.setattr(WarmStart, "step", interrupted)
        assert fit(config, people, tmp_path / "run", quiet=True) is None
    assert [file.name for file in (tmp_path / "run" / "states").iterdir()] == ["state-000000000001.pt"]
    again = fit(config, people, tmp_path / "run", quiet=True)
    assert whole is not None
    assert again is not None
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.timeout(1800)
def test_two_processes_equal_one(uninterrupted: Path, tmp_path: Path) -> None:
    """Two gloo processes and one with the doubled batch: the same losses and, up to the order of sums, weights."""
    run = tmp_path / "run"
    train(*SMALL, *SETTINGS, "--out", str(run), "--kimg", str(KIMG), processes=2)
    first, second = (
        [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
        for folder in (uninterrupted, run)
    )
    assert len(first) == len(second) > 10
    for one, two in zip(first[1:4], second[1:4], strict=True):
        for name in ("loss_generator", "loss_fake", "loss_real", "logits_real", "camera_offset"):
            assert one[name] == pytest.approx(two[name], rel=1e-3, abs=1e-4), name
