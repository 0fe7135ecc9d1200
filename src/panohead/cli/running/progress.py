"""Optimizations in the terminal: a progress bar with the time left, and Ctrl-C as the request to stop."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from panohead.cli.running.progress_bar import progress_bar

if TYPE_CHECKING:
    from panohead.inversion import OptimizationStep

_UNITS = {"screen": 1, "search, coarse": 4, "search": 8, "tune, coarse": 5, "tune": 9}
"""Relative cost of a step of every phase, for the time left (measured with the 64-pixel demo model: 10 to 100 ms)."""


@contextmanager
def optimization_bar(
    phases: Mapping[str, int],
) -> Iterator[tuple[Callable[["OptimizationStep"], None], Callable[[str], None]]]:
    """Show a progress bar on standard error whose time left accounts for the cost of the phases.

    Args:
        phases: maximum number of steps of every phase; the bar jumps where a phase ends early.

    Yields:
        Two functions: one to call after every step, one that prints a note above the bar.
    """
    begins, total = {}, 0
    for phase, count in phases.items():
        begins[phase] = total
        total += count * _UNITS[phase]
    with progress_bar("reading the photos", total, counted=False) as bar:

        def advance(step: "OptimizationStep") -> None:
            done = begins[step.phase] + step.number * _UNITS[step.phase]
            bar.update(done, what=f"{step.phase} {step.number}/{step.total}, loss {step.losses['loss']:.4f}")

        yield advance, bar.note
        bar.update(total, what="done")  # phases may end before their last step


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop with the best result so far; a second one interrupts at once.

    Yields:
        A function that returns True once Ctrl-C was pressed; always False outside the main thread.
    """
    asked = False

    def on_interrupt(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # Not print: the signal may arrive in the middle of one.
        os.write(2, b"\nending after this step with the best so far; Ctrl-C again to leave at once\n")

    try:
        before = signal.signal(signal.SIGINT, on_interrupt)
    except ValueError:  # not the main thread
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
