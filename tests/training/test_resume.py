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
from training.distributed.places import places
from training.runs import HEADS, MAX_SECONDS, SETTINGS, SMALL, final_state, start, tensors, train

KIMG = 0.128
KILLS = 2


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    train(*SMALL, *SETTINGS, "--out", str(run), "--kimg", str(KIMG), output=run.with_suffix(".txt"))
    return run


def assert_equal(run: Path, other: Path) -> None:
    ours, theirs = tensors(final_state(run)), tensors(final_state(other))
    assert ours.keys() == theirs.keys()
    assert len(ours) > 100
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def newest(run: Path) -> Path | None:
    """The state file of the most photos."""
    return max((run / "states").glob("state-*.pt"), default=None)


def test_killed_at_random_moments(uninterrupted: Path, tmp_path: Path) -> None:
    """SIGKILL to the whole process group at random moments after the first state; then ``--resume``."""
    run, output, chance = tmp_path / "run", tmp_path / "output.txt", random.Random(0)
    arguments = [*SMALL, *SETTINGS, "--out", str(run), "--kimg", str(KIMG)]
    for _ in range(KILLS):
        process = start(*arguments, output=output)
        before = newest(run)
        while process.poll() is None and newest(run) == before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.2))
        assert process.poll() is None, f"the run was over before it could be killed; make it longer: {process.output}"
        process.kill()
        arguments = ["--resume", str(run), "--quiet", "--device", "cpu"]
    train(*arguments, output=output)
    assert_equal(run, uninterrupted)


def test_interrupted_and_resumed(uninterrupted: Path, tmp_path: Path) -> None:
    """Ctrl-C ends the step, saves, prints how to resume, and loses nothing."""
    run, output = tmp_path / "run", tmp_path / "output.txt"
    said = [word for word in SMALL if word != "--quiet"]
    process = start(*said, *SETTINGS, "--out", str(run), "--kimg", str(KIMG), output=output)
    while process.poll() is None and not list((run / "states").glob("*.pt")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    printed = process.end(MAX_SECONDS)
    assert process.poll() == 0, printed
    assert f"--resume {run}" in printed
    train("--resume", str(run), "--quiet", "--device", "cpu", output=output)
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


def test_two_processes_equal_one(uninterrupted: Path, tmp_path: Path) -> None:
    """Two gloo processes and one with the doubled batch: the same losses and, up to the order of sums, weights."""
    run = tmp_path / "run"
    arguments = (*SMALL, *SETTINGS, "--out", str(run), "--kimg", str(KIMG))
    ranks = [
        start(*arguments, output=tmp_path / f"{number}.txt", place=place) for number, place in enumerate(places(2))
    ]
    printed = [rank.end(MAX_SECONDS) for rank in ranks]
    assert [rank.poll() for rank in ranks] == [0, 0], printed
    first, second = (
        [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
        for folder in (uninterrupted, run)
    )
    assert len(first) == len(second) > 5
    for one, two in zip(first[1:4], second[1:4], strict=True):
        for name in ("loss_generator", "loss_fake", "loss_real", "logits_real", "camera_offset"):
            assert one[name] == pytest.approx(two[name], rel=1e-3, abs=1e-4), name
