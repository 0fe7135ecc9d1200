"""Start or resume all parts of the demo model's training, in the background, at the lowest priority.

    python tools/train_demo.py /data/demo --workers 1

One folder holds all output: ``heads`` (the dataset, which grows while the fit already runs), ``heldout``, ``fit`` (the
run of the fit). Kill it at any moment and run the same command again to resume. A compact state
(``fit/compact.safetensors``) is enough to continue on another machine: put it there, or name it with ``--init``.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import tyro

from panohead.attributes.vocabulary import standard_vocabulary
from panohead.presets import demo_128
from panohead.system.malloc import keep_large_buffers
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.deformations import DeformationSolver
from panohead.training.attribute_fit.fit import AttributeFit, FitConfig
from panohead.training.attribute_fit.run import FitRun, RunOptions

SEED, HELD_OUT_SEED = 20, 9000
HELD_OUT_PEOPLE = 40


@dataclass(kw_only=True)
class Options:
    """Parts to run, and their share of the machine."""

    folder: tyro.conf.Positional[Path]
    """Folder of the dataset and of all runs."""
    people: int = 3000
    """Number of people in the dataset."""
    capacity: int = 3000
    """Number of residual codes: as many people can be fitted."""
    limit: int | None = None
    """Number of people to fit; None for all. Few people become sharp sooner."""
    start_people: int = 60
    """Number of people to wait for before the fit starts."""
    workers: int = 1
    """Processes that render people; 0 for none (the dataset is finished or rendered elsewhere)."""
    device: str = "cpu"
    """Device of the fit."""
    shots_per_step: int = 8
    """Heads per step: 8 for a CPU core; a GPU takes 64."""
    patches_per_step: int = 4
    """Heads per step of which a patch is rendered."""
    threads: int = 1
    """Number of threads of the fit."""
    steps: int | None = None
    """Number of steps; the learning rates fall at the end. Without it the fit runs until it is stopped."""
    rate: float = 1.0
    """Factor of all learning rates: 1 for the first thousand steps of a fit, 0.1 and less later."""
    sharpness: float | None = None
    """Scale of densities from now on, relative to a new fit's: 1 at first, 5 once heads have their shape."""
    adversarial: bool = False
    """Add the adversarial loss (it stays in the state from then on): for a fit whose colors and shapes are settled."""
    init: Path | None = None
    """Compact state to start from when the run has none."""
    nice: int = 19
    """Priority, 19 is the lowest."""


def render(folder: Path, seed: int, people: int, workers: int) -> "subprocess.Popen[bytes]":
    """Start or resume ``panohead synthesize`` for one dataset."""
    command = [
        sys.executable, "-P", "-m", "panohead.cli.main", "synthesize", "--people", str(people), "--expressions", "2",
        "--views", "6", "--resolution", "128", "--depth", "--seed", str(seed), "--workers", str(workers),
        "--out", str(folder),
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def main(options: Options) -> None:
    """Render in a child process, fit in this one."""
    os.nice(options.nice)
    keep_large_buffers()
    torch.set_num_threads(options.threads)
    folder = options.folder
    children = []
    if not (folder / "heldout" / "people.jsonl").is_file():
        render(folder / "heldout", HELD_OUT_SEED, HELD_OUT_PEOPLE, max(1, options.workers)).wait()
    if options.workers:
        children.append(render(folder / "heads", SEED, options.people, options.workers))
    try:
        _fit(options)
    finally:
        for child in children:
            child.terminate()


def _fit(options: Options) -> None:
    vocabulary = standard_vocabulary()
    config = FitConfig(
        generator=demo_128().generator,
        vocabulary=vocabulary,
        people=options.capacity,
        shots_per_step=options.shots_per_step,
        patches_per_step=options.patches_per_step,
    )
    fit = AttributeFit(config, options.device)
    generator = config.generator
    deformations = DeformationSolver(generator.deformation, generator.rendering.box_warp)
    # Never more people than there are residual codes.
    limit = options.capacity if options.limit is None else min(options.limit, options.capacity)
    training = GrowingDataset(options.folder / "heads", vocabulary, limit=limit, deformations=deformations)
    held_out = GrowingDataset(options.folder / "heldout", vocabulary)
    training.wait_for(options.start_people)
    schedule = RunOptions(steps=options.steps, rate=options.rate)
    run = FitRun(options.folder / "fit", fit, training, held_out, schedule, _say)
    if not run.resume() and options.init is not None:
        run.start_from(options.init)
    if options.sharpness is not None:
        fit.set_sharpness(options.sharpness)
    if options.adversarial:
        fit.add_adversarial_loss()

    def stop(*_: object) -> None:
        run.stop_requested = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    run.train()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
