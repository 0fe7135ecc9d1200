"""How fast a training step is, move by move, against the same step in plain PyTorch.

    python benchmarks/training.py [--preset demo_64] [--full] [--device cuda] [--repeats 9] [--json FILE]

"plain" is our own reference formulation (``panohead.ops.fast_paths`` switched off), run in turn with the fast one. A
step is the generator's move and both halves of the discriminator's, with their optimisers, and a sixteenth of R1.
``--full`` is the paper's 512-pixel network at batch 1. On a CPU times are CPU seconds of one thread (``--threads`` for
more: then seconds on the clock, as on a GPU); the interval is that of the median ratio at 95 % confidence.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from interleaved import cpu_seconds, median_interval, wall_seconds
from torch import Tensor, nn

from panohead.geometry import Camera
from panohead.ops import fast_paths
from panohead.presets import PRESETS, camera_adaptation
from panohead.system.malloc import keep_large_buffers
from panohead.training.conditioning import LossRandomness
from panohead.training.config import TrainConfig
from panohead.training.losses import (
    RealBatch,
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    r1_loss,
)
from panohead.training.networks import TrainingNetworks, make_networks
from panohead.training.optimizers import sanitize_gradients

SHARES = {"generator": 1.0, "fakes": 1.0, "photos": 1.0, "r1": 1 / 16}
"""How often a step makes each move."""


def moves(config: TrainConfig, device: torch.device) -> dict[str, Callable[[], None]]:
    """The moves of one micro-batch, all fades over, each with its optimiser's step."""
    networks, scheduled = make_networks(config, device), config.schedules.at(config.total_kimg * 1000)
    count, size = config.micro_batch, config.resolution
    random = torch.Generator(device).manual_seed(0)
    z = torch.randn(count, config.generator.z_dim, device=device, generator=random)
    label = torch.stack([Camera.orbit(360 * i / count).to_label() for i in range(count)]).to(device)
    image = torch.rand(count, 3, size, size, device=device, generator=random) * 2 - 1
    mask = torch.rand(count, 1, size, size, device=device, generator=random)
    photos = RealBatch(image, mask, label)
    heads = networks.generator, networks.discriminator, z, label, scheduled, config.loss

    def randomness() -> LossRandomness:
        return LossRandomness(noise_mode=config.noise_mode, generator=random)

    return {
        "generator": lambda: _optimize(networks, "generator", lambda: generator_loss(*heads, randomness()).loss),
        "fakes": lambda: _optimize(
            networks, "discriminator", lambda: discriminator_fake_loss(*heads, randomness()).loss
        ),
        "photos": lambda: _optimize(
            networks,
            "discriminator",
            lambda: discriminator_real_loss(networks.discriminator, photos, scheduled, config.loss).loss,
        ),
        "r1": lambda: _optimize(
            networks, "discriminator", lambda: r1_loss(networks.discriminator, photos, scheduled, config.loss).loss
        ),
    }


def _optimize(networks: TrainingNetworks, name: str, loss: Callable[[], Tensor]) -> None:
    """As ``panohead.training.step`` does it."""
    network: nn.Module = getattr(networks, name)
    for other in (networks.generator, networks.discriminator):
        other.requires_grad_(other is network)
    optimizer: torch.optim.Adam = getattr(networks, f"{name}_optimizer")
    optimizer.zero_grad(set_to_none=True)
    loss().backward()
    sanitize_gradients(network.parameters())
    optimizer.step()


def measure(
    work: dict[str, Callable[[], None]], seconds: Callable[[Callable[[], object]], float], repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Times (plain, fast) of every move and of the step that they make up, after one round to warm up."""

    def plain(move: Callable[[], None]) -> None:
        with fast_paths.plain_only():
            move()

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in (*work, "step")}
    for turn in range(repeats + 1):
        pairs = {name: (seconds(lambda m=move: plain(m)), seconds(move)) for name, move in work.items()}
        pairs["step"] = tuple(sum(SHARES[name] * pairs[name][i] for name in work) for i in (0, 1))
        for name, pair in pairs.items() if turn > 0 else ():
            times[name].append(pair)
    return times


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Medians, the median ratio and its interval."""
    ratios = [plain / fast for plain, fast in times]
    low, high = median_interval(ratios)
    return {
        "plain_s": statistics.median(plain for plain, _ in times),
        "fast_s": statistics.median(fast for _, fast in times),
        "ratio": statistics.median(ratios),
        "ratio_low": low,
        "ratio_high": high,
    }


def choose(arguments: argparse.Namespace) -> TrainConfig:
    """The run's configuration from the command line."""
    config = PRESETS["panohead_512" if arguments.full else arguments.preset]()
    if arguments.full:
        discriminator = replace(config.discriminator, mbstd_group_size=1)
        config = replace(config, batch=1, micro_batch=1, discriminator=discriminator)
    if arguments.batch:
        config = replace(config, batch=arguments.batch, micro_batch=arguments.batch)
    return camera_adaptation(config) if arguments.camera_adaptation else config


def main() -> None:
    """Measure, print a table, optionally write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="demo_64")
    parser.add_argument("--full", action="store_true", help="the paper's network at batch 1")
    parser.add_argument("--batch", type=int, default=0, help="images at once; 0 for the preset's micro-batch")
    parser.add_argument("--camera-adaptation", action="store_true", help="with gradients to the rays")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    keep_large_buffers()
    torch.set_num_threads(arguments.threads)
    device, config = torch.device(arguments.device), choose(arguments)
    seconds = cpu_seconds if device.type == "cpu" and arguments.threads == 1 else wall_seconds
    report: dict[str, Any] = {
        "torch": torch.__version__, "device": str(device), "threads": arguments.threads, "batch": config.micro_batch,
    }  # fmt: skip
    print(f"{'':12}{'plain s':>9}{'fast s':>9}{'ratio':>7}{'95 % of ratio':>18}")
    for name, times in measure(moves(config, device), seconds, arguments.repeats).items():
        row = report[name] = summary(times)
        interval = f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
        print(f"{name:12}{row['plain_s']:9.3f}{row['fast_s']:9.3f}{row['ratio']:7.2f}{interval:>18}")
    for name in ("plain", "fast"):
        report[f"{name}_images_per_second"] = config.micro_batch / report["step"][f"{name}_s"]
    print(
        f"images/s: plain {report['plain_images_per_second']:.2f}, fast {report['fast_images_per_second']:.2f}"
        f" ({config.micro_batch} at once, {device}, {arguments.threads} thread(s))"
    )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
