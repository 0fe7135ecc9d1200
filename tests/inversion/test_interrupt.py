"""``panohead reconstruct`` ended in the middle, by Ctrl-C and by force, and resumed: the end is the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

TUNING_STEPS = 40
"""Number of tuning steps; the state is saved every 10 steps here, so there is one in the middle of the tuning."""
_PATIENCE_S = 600.0
_SMALL = ["--frames", "1", "--mesh", "ply", "--mesh-resolution", "16", "--mesh-level", "2", "--steps", "1"]


def start(folder: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """The command, in a process of its own; one thread, so that sums are added in the same order every time."""
    inputs = [str(folder / "me.png"), "--checkpoint", str(folder / "tiny.safetensors"), "--aligned"]
    command = [sys.executable, "-m", "panohead.cli.main", "reconstruct", *inputs, *_SMALL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--tuning-steps", str(TUNING_STEPS), "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen[str], code: int) -> str:
    """Wait for the end; return all output."""
    output, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == code, output
    return output


def state(out: Path) -> dict[str, Any]:
    """Stored state; empty before there is one."""
    path = out / "reconstruct.state"
    return torch.load(path, weights_only=True) if path.is_file() else {"states": {}, "steps": []}


def wait_for_tuning(process: subprocess.Popen[str], out: Path) -> None:
    """Return once the state in the middle of the tuning is on disk."""
    ends = time.monotonic() + _PATIENCE_S
    while "tune" not in state(out)["states"]:
        assert process.poll() is None, "the command ended before its tuning could be interrupted"
        assert time.monotonic() < ends, "the tuning did not begin"
        time.sleep(0.05)


def assert_same_end(a: Path, b: Path) -> None:
    """Latent and tuned difference are equal, bit for bit."""
    with np.load(a / "latent.npz") as left, np.load(b / "latent.npz") as right:
        assert set(left) == set(right)
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)
    left, right = (load_file(out / "tuned.difference.safetensors") for out in (a, b))
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """Folder of an unbroken run."""
    finish(start(folder, folder / "whole"), 0)
    return folder / "whole"


def test_ctrl_c_keeps_the_best_so_far_and_the_run_resumes_to_the_same_end(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    process = start(folder, tmp_path)
    try:
        wait_for_tuning(process, tmp_path)
        process.send_signal(signal.SIGINT)
        output = finish(process, 130)
    finally:
        process.kill()
    tuned = [step for step in state(tmp_path)["steps"] if step[0] == "tune"]
    assert 10 <= len(tuned) < TUNING_STEPS, "the signal did not land in the middle of the tuning"
    assert "stopped early: the best so far is in" in output
    assert "--resume continues" in output
    assert "Traceback" not in output
    assert "stopped early" in (tmp_path / "report.html").read_text()
    with np.load(tmp_path / "latent.npz") as latent:
        assert np.isfinite(latent["ws"]).all()
    finish(start(folder, tmp_path, "--resume"), 0)
    assert not (tmp_path / "reconstruct.state").exists()
    assert_same_end(tmp_path, whole)


def test_a_killed_run_resumes_to_the_same_end(folder: Path, whole: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path)
    try:
        wait_for_tuning(process, tmp_path)
    finally:
        process.kill()
    finish(process, -signal.SIGKILL)
    tuned = [step for step in state(tmp_path)["steps"] if step[0] == "tune"]
    assert 10 <= len(tuned) < TUNING_STEPS, "it was not killed in the middle of the tuning"
    assert not (tmp_path / "latent.npz").exists()
    finish(start(folder, tmp_path, "--resume"), 0)
    assert_same_end(tmp_path, whole)
