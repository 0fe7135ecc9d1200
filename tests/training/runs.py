"""Running ``panohead train`` in processes of its own, as a user does, on the 64 images beside this file."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from panohead.training.run.checkpoint import load_latest_state

HEADS = Path(__file__).parent / "heads"
MAX_SECONDS = 800
"""Time limit of a run; one takes half a minute on a free machine."""

SMALL = ("--preset", "tiny", "--data", str(HEADS), "--quiet", "--device", "cpu", "--set")
SETTINGS = ("tick_kimg=0.016", "snapshot_ticks=1000", "metric_ticks=1000", "metric_images=8", "data.cache=memory")
"""Settings with a tick, and so a state, every second step; nothing else is written before the end."""


def environment() -> dict[str, str]:
    """One thread, so that sums are done in one order."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def start(*arguments: str, processes: int = 1) -> "subprocess.Popen[str]":
    """``panohead train`` with these arguments, under torchrun for several processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "panohead.cli.main", "train", *arguments]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def train(*arguments: str, processes: int = 1) -> str:
    """Train to the end; returns what was printed."""
    process = start(*arguments, processes=processes)
    try:
        output, _ = process.communicate(timeout=MAX_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, output
    return output


def final_state(run: Path) -> dict[str, Any]:
    """The newest state of a run."""
    loaded = load_latest_state(run)
    assert loaded is not None
    return loaded.state


def tensors(state: Any, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a nested state by their path."""
    if isinstance(state, torch.Tensor):
        return {name: state}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else ()
    found: dict[str, torch.Tensor] = {}
    for key, value in items:
        found |= tensors(value, f"{name}/{key}")
    return found
