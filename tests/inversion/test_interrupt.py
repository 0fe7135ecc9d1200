"""``panohead reconstruct`` ended in the middle, by Ctrl-C and by force, and resumed: the end is the same."""

import functools
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from commands import Command
from inversion.interruption import SAVE_EVERY, TUNING_STEPS, prepare

_PATIENCE_S = 250.0
_SMALL = ["--frames", "1", "--mesh", "ply", "--mesh-resolution", "16", "--mesh-level", "2", "--steps", "1"]


def reconstruct(folder: Path, out: Path, code: int, *more: str, interrupt: signal.Signals | None = None) -> str:
    """Run the command in a process of its own, which a signal ends in its tuning if asked for; return its output."""
    inputs = [str(folder / "me.png"), "--checkpoint", str(folder / "tiny.safetensors"), "--aligned"]
    steps = ["--tuning-steps", str(TUNING_STEPS), "--out", str(out)]
    words = ("reconstruct", *inputs, *_SMALL, *steps, *more)
    output_file = out.parent / f"{out.name}.txt"
    command = Command(*words, output=output_file, prepare=functools.partial(prepare, interrupt))
    output = command.end(_PATIENCE_S)
    assert command.poll() == code, output
    return output


def state(out: Path) -> dict[str, Any]:
    """Stored state; empty before there is one."""
    path = out / "reconstruct.state"
    return torch.load(path, weights_only=True) if path.is_file() else {"states": {}, "steps": []}


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


def tuned_steps(out: Path) -> int:
    """Number of tuning steps in the stored state."""
    return sum(step[0] == "tune" for step in state(out)["steps"])


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """Folder of an unbroken run."""
    reconstruct(folder, folder / "whole", 0)
    return folder / "whole"


def test_ctrl_c_keeps_the_best_so_far_and_the_run_resumes_to_the_same_end(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    output = reconstruct(folder, out, 130, interrupt=signal.SIGINT)
    assert SAVE_EVERY < tuned_steps(out) < TUNING_STEPS, "what was done when the signal came is kept"
    assert "stopped early: the best so far is in" in output
    assert "--resume continues" in output
    assert "Traceback" not in output
    assert "stopped early" in (out / "report.html").read_text()
    with np.load(out / "latent.npz") as latent:
        assert np.isfinite(latent["ws"]).all()
    reconstruct(folder, out, 0, "--resume")
    assert not (out / "reconstruct.state").exists()
    assert_same_end(out, whole)


def test_a_killed_run_resumes_to_the_same_end(folder: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    reconstruct(folder, out, -signal.SIGKILL, interrupt=signal.SIGKILL)
    assert tuned_steps(out) == SAVE_EVERY
    assert not (out / "latent.npz").exists()
    reconstruct(folder, out, 0, "--resume")
    assert_same_end(out, whole)
