"""Measure whole training steps (all updates, augmentation, R1 at its interval, moving average) in images a second.

    python benchmarks/gpu_training.py [--device cuda] [--presets panohead_512 demo_128] [--steps 16] [--batch N]
        [--set numerics.tf32=true ...] [--json FILE]

Photos are random numbers on the device, so that loading them is not measured. ``--batch`` is batch and micro-batch of
the measurement (default: the preset's micro-batch, once a step). Sixteen steps hold one R1 update.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from rows import Row, write_rows
from torch import Tensor

from panohead.geometry import Camera
from panohead.presets import PRESETS
from panohead.training.config import TrainConfig, with_settings
from panohead.training.distributed.ranks import Ranks
from panohead.training.losses import RealBatch
from panohead.training.networks import make_networks, set_precision
from panohead.training.run.running_means import RunningMeans
from panohead.training.step import StepState, TrainingStep


class Cameras:
    """A source of cameras around the head, on the device."""

    def __init__(self, device: torch.device) -> None:
        self.labels = torch.stack([Camera.orbit(yaw).to_label() for yaw in range(0, 360, 10)]).to(device)

    def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
        """Return ``count`` of them."""
        return self.labels[torch.randint(len(self.labels), (count,), device=self.labels.device, generator=generator)]


def measure(config: TrainConfig, device: torch.device, steps: int) -> dict[str, Any]:
    """Return images a second over ``steps`` steps with all fades over, the median step, and peak memory."""
    set_precision(config.numerics)
    networks, cameras = make_networks(config, device), Cameras(device)
    side, batch = config.resolution, config.batch
    image = torch.rand(batch, 3, side, side, device=device) * 2 - 1
    mask = torch.rand(batch, 1, side, side, device=device)
    photos = RealBatch(image, mask, cameras.labels[torch.arange(batch, device=device) % len(cameras.labels)])
    ranks, means = Ranks(rank=0, world_size=1, local_rank=0, device=device), RunningMeans()
    nimg = round(config.total_kimg * 1000)
    seconds = []
    for number in range(-2, steps):  # two steps to warm up, one of them with R1
        state = StepState(nimg, 0 if number == -2 else number % steps, augment_probability=0.3)
        _wait(device)
        start = time.perf_counter()
        TrainingStep(config, networks, cameras, ranks, means, state, photos).run()
        _wait(device)
        if number >= 0:
            seconds.append(time.perf_counter() - start)
    return {
        "images_per_second": batch * steps / sum(seconds),
        "median_step_ms": 1000 * statistics.median(seconds),
        "batch": batch,
        "peak_memory_gb": torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None,
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def main() -> None:
    """Print a line for every preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--presets", nargs="+", default=["panohead_512", "demo_128"])
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--set", nargs="*", default=[], type=_setting)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    results = {}
    for name in arguments.presets:
        config = with_settings(PRESETS[name](), dict(arguments.set))
        batch = arguments.batch or config.micro_batch
        config = replace(config, batch=batch, micro_batch=batch).checked()
        r = results[name] = measure(config, torch.device(arguments.device), arguments.steps)
        memory = "" if r["peak_memory_gb"] is None else f", peak memory {r['peak_memory_gb']:.1f} GB"
        print(
            f"{name}: {r['images_per_second']:.1f} images/s at batch {batch}, median step "
            f"{r['median_step_ms']:.1f} ms{memory}",
            flush=True,
        )
    if arguments.json:
        rows = [Row(name, "images/s", {"ours": [r["images_per_second"]]}) for name, r in results.items()]
        write_rows(arguments.json, rows, **results)


if __name__ == "__main__":
    main()
