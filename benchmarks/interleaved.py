"""A and B in turn in one process, so that a machine that slows down slows both; medians and ratios."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Comparison:
    """Medians in CPU seconds of this process, the median of the pairwise ratios A / B, and all pairs."""

    a: float
    b: float
    ratio: float
    times: tuple[tuple[float, float], ...]


def compare(a: Callable[[], object], b: Callable[[], object], *, repeats: int) -> Comparison:
    """Run a, b, a, b, ... after one warm-up of each."""
    a(), b()
    times = [(cpu_seconds(a), cpu_seconds(b)) for _ in range(repeats)]
    return Comparison(
        statistics.median(t[0] for t in times),
        statistics.median(t[1] for t in times),
        statistics.median(t[0] / t[1] for t in times),
        tuple(times),
    )


def median_interval(values: Sequence[float], *, confidence: float = 0.95) -> tuple[float, float]:
    """Limits that hold the true median with at least this confidence, whatever the distribution: order statistics.

    Six values are the fewest for 95 %; with fewer the extremes come back.
    """
    ordered, outside, rank = sorted(values), 0.0, 0
    while rank < (len(ordered) - 1) // 2:
        outside += 2 * math.comb(len(ordered), rank) / 2 ** len(ordered)
        if outside > 1 - confidence:
            break
        rank += 1
    lowest = max(rank - 1, 0)
    return ordered[lowest], ordered[-1 - lowest]


def yardstick(repeats: int = 3) -> float:
    """Y: CPU seconds of a 100-GFLOP single-precision matrix product on one thread."""
    n = 3684  # 2 n^3 = 100e9
    x = torch.randn(n, n)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return min(cpu_seconds(lambda: x @ x) for _ in range(repeats))
    finally:
        torch.set_num_threads(threads)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process, over all of its threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def wall_seconds(work: Callable[[], object]) -> float:
    """Seconds on the clock, until a GPU is done too."""
    _wait()
    start = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
