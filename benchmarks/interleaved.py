"""A and B in turn in one process, so that a machine that slows down slows both; medians and ratios."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Comparison:
    """Medians in CPU seconds of this process, and the median of the pairwise ratios A / B."""

    a: float
    b: float
    ratio: float


def compare(a: Callable[[], object], b: Callable[[], object], *, repeats: int) -> Comparison:
    """Run a, b, a, b, ... after one warm-up of each."""
    a(), b()
    times = [(_seconds(a), _seconds(b)) for _ in range(repeats)]
    return Comparison(
        statistics.median(t[0] for t in times),
        statistics.median(t[1] for t in times),
        statistics.median(t[0] / t[1] for t in times),
    )


def yardstick(repeats: int = 3) -> float:
    """Y: CPU seconds of a 100-GFLOP single-precision matrix product on one thread."""
    n = 3684  # 2 n^3 = 100e9
    x = torch.randn(n, n)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return min(_seconds(lambda: x @ x) for _ in range(repeats))
    finally:
        torch.set_num_threads(threads)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
