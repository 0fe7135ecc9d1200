"""Running ``panohead train`` in processes of its own, as a user does, on the 64 images beside this file."""

from pathlib import Path
from typing import Any

import torch

from commands import Command
from panohead.training import loop
from panohead.training.run.checkpoint import load_latest_state

HEADS = Path(__file__).parent / "heads"
MAX_SECONDS = 280
"""Time limit of a run; one takes a few seconds on a free machine."""

SMALL = ("--preset", "tiny", "--data", str(HEADS), "--quiet", "--device", "cpu", "--set")
SETTINGS = ("tick_kimg=0.016", "snapshot_ticks=1000", "metric_ticks=1000", "metric_images=8", "data.cache=memory")
"""Settings with a tick, and so a state, every second step; nothing else is written before the end."""


def start(*arguments: str, output: Path, place: dict[str, str] | None = None) -> Command:
    """``panohead train`` with these arguments; ``place`` names the rank of one process of several, as torchrun does."""
    return Command("train", *arguments, output=output, prepare=without_reports, **(place or {}))


def without_reports() -> None:
    """Draw no pages in this process: they take longer than the steps between; tests/training/run draws them."""
    loop.write_report = lambda _: None  # type: ignore[assignment]


def train(*arguments: str, output: Path) -> str:
    """Train to the end; returns what was printed."""
    process = start(*arguments, output=output)
    printed = process.end(MAX_SECONDS)
    assert process.poll() == 0, printed
    return printed


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
