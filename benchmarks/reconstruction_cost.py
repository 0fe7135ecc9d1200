"""Cost of ``panohead reconstruct`` at the paper's size (512 pixels), extrapolated from a few steps of every phase.

    python benchmarks/reconstruction_cost.py [--preset fast] [--whole] [--json FILE]

Random weights and a random photo with a mask: the cost of a step does not depend on them, how early a plateau ends a
phase does, so the minutes are an upper bound. CPU seconds of one thread. A phase is (first step) + (mean of the
others) x (number of the others): the first one has what the phase prepares once. ``--whole`` takes all steps instead.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import Row, write_rows

from panohead.geometry import Camera
from panohead.inversion import (
    FastConfig,
    OfficialConfig,
    OptimizationCallbacks,
    OptimizationStep,
    ResumeFile,
    find_preset,
)
from panohead.models.generator import Generator
from panohead.predictor import Predictor
from panohead.presets import panohead_512
from panohead.system.malloc import keep_large_buffers
from panohead.system.peak_memory import peak_memory_gb

# A round of unseen views is three steps of raw tuning and six of whole images: one step to begin, then whole rounds.
_FEW: dict[str, Any] = {
    "fast": {"starts": 2, "coarse_steps": 3, "fine_steps": 3, "tuning_steps": 7, "coarse_tuning_ratio": 4 / 7},
    "official": {"steps": 3, "tuning_steps": 3},
}
_CONFIGS = {"fast": FastConfig(), "official": OfficialConfig()}


class StepClock:
    """CPU seconds of every step by phase, and the peak of memory after it."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.peak_gb: dict[str, float] = {}
        self._last = time.process_time()

    def record(self, step: OptimizationStep) -> None:
        """Note the time since the last step."""
        now = time.process_time()
        self.seconds.setdefault(step.phase, []).append(now - self._last)
        self.peak_gb[step.phase] = peak_memory_gb(torch.device("cpu"))
        self._last = time.process_time()


def photo(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise, as a photo, and a mask of its middle."""
    mask = np.zeros((side, side), np.uint8)
    mask[side // 5 : -side // 16, side // 4 : -side // 4] = 255
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8), mask


def phase_seconds(seconds: Sequence[float], steps: int) -> float:
    """Return the seconds of a phase of so many steps from those of its first few."""
    others = seconds[1:]
    return seconds[0] + (sum(others) / len(others) if others else seconds[0]) * (steps - 1)


def main() -> None:
    """Measure and print a line a phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(_CONFIGS), default="fast")
    parser.add_argument("--whole", action="store_true", help="take all steps")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    keep_large_buffers()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    whole = _CONFIGS[arguments.preset]
    config = whole if arguments.whole else replace(whole, **_FEW[arguments.preset])
    predictor, clock, begin = Predictor(Generator(panohead_512().generator)), StepClock(), time.process_time()
    pixels, mask = photo(512)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        predictor.reconstruct(
            [pixels],
            [Camera.orbit(10)],
            masks=[mask],
            preset=arguments.preset,
            config=config,
            callbacks=OptimizationCallbacks(on_step=clock.record),
            resume_file=ResumeFile(state),
        )
        state_mb = state.stat().st_size / 1e6
    measured = time.process_time() - begin
    total, rows = 0.0, []
    print(f"{'phase':18}{'first s':>9}{'others s':>10}{'steps':>7}{'phase s':>9}{'peak GB':>9}")
    for phase, steps in find_preset(arguments.preset).phases(whole).items():
        seconds = clock.seconds[phase]
        spent = phase_seconds(seconds, steps)
        total += spent
        rows.append(Row(f"{arguments.preset}: {phase}", "s a step", {"CPU": seconds[1:] or seconds}))
        others = sum(seconds[1:]) / max(len(seconds) - 1, 1)
        print(f"{phase:18}{seconds[0]:9.2f}{others:10.2f}{steps:7}{spent:9.0f}{clock.peak_gb[phase]:9.2f}")
    kind = "measured" if arguments.whole else "extrapolated"
    print(f"{arguments.preset}: {total / 60:.1f} CPU minutes ({kind}; this run took {measured:.0f} CPU s)")
    print(f"peak {peak_memory_gb(torch.device('cpu')):.2f} GB; last state file {state_mb:.0f} MB")
    rows.append(Row(f"{arguments.preset}, {kind}", "CPU min", {"ours": [total / 60]}))
    rows.append(Row(f"{arguments.preset}, peak", "GB", {"ours": [peak_memory_gb(torch.device("cpu"))]}))
    if arguments.json:
        write_rows(arguments.json, rows, state_mb=state_mb)


if __name__ == "__main__":
    main()
