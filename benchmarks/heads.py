"""Heads a second of ``panohead generate``: one worker and all of them, in turn, on the same heads.

    python benchmarks/heads.py [--checkpoint demo] [--heads 24] [--views 8] [--workers N] [--repeats 3] [--json FILE]

A head is its views as PNG files. Seconds on the clock, so other work on the machine matters; with a single core both
are the same. The files must be equal to the last byte.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from rows import Row, write_rows

from panohead.gallery import ViewStyle, write_views
from panohead.predictor import Predictor, load
from panohead.system.malloc import keep_large_buffers
from panohead.system.worker_threads import in_order


def heads_per_second(predictor: Predictor, heads: int, views: int, workers: int, out: Path) -> float:
    """Write the heads of seeds 0, 1, ... and return their number per second."""
    yaws = [360 * i / views for i in range(views)]

    def write(seed: int) -> None:
        write_views(predictor.sample(seed), out / str(seed), yaws, ViewStyle(), step=lambda: None)

    start = time.perf_counter()
    for _ in in_order(write, range(heads), workers):
        pass
    return heads / (time.perf_counter() - start)


def main() -> None:
    """Measure in turn, compare the files, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--heads", type=int, default=24)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--workers", type=int, default=max(os.cpu_count() or 1, 2))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    keep_large_buffers()
    torch.set_num_threads(1)
    predictor = load(arguments.checkpoint)
    counts = {"one worker": 1, f"{arguments.workers} workers": arguments.workers}
    samples: dict[str, list[float]] = {name: [] for name in counts}
    for turn in range(arguments.repeats + 1):  # the first turn warms up
        with tempfile.TemporaryDirectory() as folder:
            written = {}
            for name, workers in counts.items():
                out = Path(folder) / name
                rate = heads_per_second(predictor, arguments.heads, arguments.views, workers, out)
                written[name] = [path.read_bytes() for path in sorted(out.rglob("*.png"))]
                if turn > 0:
                    samples[name].append(rate)
            first, *others = written.values()
            if any(other != first for other in others):
                raise SystemExit("the files depend on the number of workers")
    for name, rates in samples.items():
        print(f"{name}: {statistics.median(rates):.2f} heads/s [{min(rates):.2f}-{max(rates):.2f}]")
    if arguments.json:
        write_rows(arguments.json, [Row(f"heads of {arguments.views} views", "heads/s", samples)])


if __name__ == "__main__":
    main()
