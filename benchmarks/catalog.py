"""List of the benchmarks of this folder, for ``python -m benchmarks``: what each measures and how it is started."""

from dataclasses import dataclass
from typing import Literal

Needs = Literal["", "a GPU", "a dataset"]


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        script: file in this folder; with ``--json FILE`` it writes the rows of :mod:`rows`.
        what: what it measures, in a few words.
        arguments: for a usual run.
        quick: for a short one, which shows that everything runs; its figures are rough.
        needs: what it cannot do without; without it the benchmark is listed, but not run.
        minutes: rough duration of one round on two cores.
        by_itself: run only when it is named: it takes hours, or has a table of its own.
    """

    script: str
    what: str
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    needs: Needs = ""
    minutes: float = 1.0
    by_itself: bool = False


CATALOG = {
    "speed": Benchmark(
        "speed.py", "images, frames and meshes at full size", ("--repeats", "3"),
        ("--repeats", "1", "--only", "preview", "volume", "density"), minutes=3,
    ),
    "empty_space": Benchmark(
        "empty_space.py", "frames without samples in empty space", (),
        ("--heads", "1", "--repeats", "1", "--samples", "40"), minutes=1,
    ),
    "gradients": Benchmark(
        "gradients.py", "steps with gradients", ("--repeats", "2"), ("--repeats", "1", "--cases", "regression"),
        minutes=8,
    ),
    "training": Benchmark(
        "training.py", "the updates of a training step", ("--repeats", "3"),
        ("--repeats", "1", "--preset", "tiny"), minutes=1,
    ),
    "heads": Benchmark(
        "heads.py", "heads a second by one worker and by all", ("--heads", "24"),
        ("--heads", "4", "--views", "2"), minutes=1,
    ),
    "viewer": Benchmark(
        "viewer.py", "images of panohead view: first, turning, at rest, four visitors", (),
        ("--seconds", "1", "--only", "first", "turning"), minutes=2,
    ),
    "memory": Benchmark(
        "memory.py", "peak memory of every command", (), ("--only", "import", "generate"), minutes=6,
    ),
    "reconstruction": Benchmark(
        "reconstruction.py", "quality and CPU time of reconstruct on synthetic people",
        ("--people", "1", "--methods", "fast"), ("--people", "1", "--methods", "fast", "--shorter", "10"), minutes=1,
    ),
    "reconstruction_cost": Benchmark(
        "reconstruction_cost.py", "CPU minutes and memory of reconstruct at full size", minutes=2,
    ),
    "waiting_threads": Benchmark(
        "waiting_threads.py", "threads that sleep while they wait", ("--repeats", "1"),
        ("--repeats", "1", "--steps", "1"), minutes=2,
    ),
    "synthesize": Benchmark(
        "synthesize.py", "synthetic images a second", ("--people", "8"),
        ("--people", "2", "--rounds", "1", "--resolution", "64"), minutes=2,
    ),
    "gpu_frames": Benchmark("gpu_frames.py", "a frame on a GPU against its ceilings", needs="a GPU"),
    "gpu_training": Benchmark("gpu_training.py", "training images a second on a GPU", needs="a GPU"),
    "prepare": Benchmark("prepare.py", "photos a second and memory of prepare", needs="a dataset", by_itself=True),
    "ablations": Benchmark("ablations.py", "the paper's ablations, by training", needs="a dataset", by_itself=True),
    "compare": Benchmark(
        "quality/compare.py", "baselines, ablations and later methods at equal processor time", needs="a dataset",
        by_itself=True,
    ),
    "quality": Benchmark("quality/table.py", "the quality table", needs="a dataset", by_itself=True),
}  # fmt: skip
"""Benchmarks by name, in the order in which a round runs them."""
