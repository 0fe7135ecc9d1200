"""While an optimisation runs in the terminal: its bar with the time left, and Ctrl-C that asks for the best so far."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.inversion import FastConfig, OfficialConfig, OptimizationStep

_UNITS = {"screen": 1, "search, coarse": 4, "search": 8, "tune": 9}
"""What a step of a phase costs beside the others, for the time left (measured with the demo model: 10 to 90 ms)."""


@contextmanager
def optimization_bar(
    config: "FastConfig | OfficialConfig",
) -> Iterator[tuple[Callable[["OptimizationStep"], None], Callable[[str], None]]]:
    """A progress bar whose time left counts what phases cost; phases that end early are jumped.

    Yields:
        What to call after every step, and with a remark, which appears above the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    counts = {
        "screen": getattr(config, "starts", 0),
        "search, coarse": getattr(config, "coarse_steps", 0),
        "search": getattr(config, "fine_steps", getattr(config, "steps", 0)),
        "tune": config.tuning_steps,
    }
    begins, total = {}, 0
    for phase, count in counts.items():
        begins[phase] = total
        total += count * _UNITS[phase]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("spent"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading the photos", total=total)

        def advance(step: "OptimizationStep") -> None:
            progress.update(
                task,
                completed=begins[step.phase] + step.number * _UNITS[step.phase],
                description=f"{step.phase} {step.number}/{step.total}, loss {step.losses['loss']:.4f}",
            )

        yield advance, lambda note: progress.console.print(note, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for the best so far; a second one interrupts at once."""
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nending after this step with the best so far; Ctrl-C again to leave at once\n")

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
