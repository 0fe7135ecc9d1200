"""Measure the speed of a training step, update by update, against the same step in plain PyTorch.

    python benchmarks/training.py [--preset demo_64] [--full] [--device cuda] [--repeats 9] [--json FILE]

"plain" is our own reference formulation (``panohead.ops.fast_paths`` switched off), run in turn with the fast one. A
step is the generator's update and both halves of the discriminator's, with their optimizers, and a sixteenth of R1.
``--full`` is the paper's 512-pixel network at batch 1. On a CPU times are CPU seconds of one thread (``--threads`` for
more: then seconds on the clock, as on a GPU); the interval is that of the median ratio at 95 % confidence.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from interleaved import cpu_seconds, median_interval, wall_seconds
from rows import Row, write_rows
from torch import Tensor, nn

from panohead.geometry import Camera
from panohead.ops import fast_paths
from panohead.presets import PRESETS, camera_adaptation
from panohead.system.malloc import keep_large_buffers
from panohead.training.conditioning import LossRandomness
from panohead.training.config import TrainConfig
from panohead.training.losses import (
    DiscriminatorInput,
    RealBatch,
    discriminator_fake_loss,
    discriminator_real_loss,
    fake_inputs,
    generator_loss,
    r1_penalty,
    real_inputs,
    render_heads,
)
from panohead.training.networks import make_networks
from panohead.training.optimizers import sanitize_gradients
from panohead.training.regularizers import camera_offset_penalty

SHARES = {"generator": 1.0, "fakes": 1.0, "photos": 1.0, "r1": 1 / 16}
"""Frequency of each update per training step."""


def updates(config: TrainConfig, device: torch.device) -> dict[str, Callable[[], None]]:
    """Return the updates of one micro-batch, with all fades over, each with its optimizer's step."""
    networks, scheduled = make_networks(config, device), config.schedules.at(config.total_kimg * 1000)
    generator, discriminator = networks.generator, networks.discriminator
    count, size = config.micro_batch, config.resolution
    random = torch.Generator(device).manual_seed(0)
    z = torch.randn(count, config.generator.z_dim, device=device, generator=random)
    label = torch.stack([Camera.orbit(360 * i / count).to_label() for i in range(count)]).to(device)
    image = torch.rand(count, 3, size, size, device=device, generator=random) * 2 - 1
    mask = torch.rand(count, 1, size, size, device=device, generator=random)
    photos = RealBatch(image, mask, label)

    def fake(*, update_w_avg: bool = False) -> tuple[DiscriminatorInput, Tensor]:
        randomness = LossRandomness(noise_mode=config.noise_mode, generator=random)
        rendering, offset = render_heads(
            generator, z, label, scheduled, config.loss, randomness, update_w_avg=update_w_avg
        )
        return fake_inputs(rendering, label, scheduled), offset

    def generator_objective() -> Tensor:
        inputs, offset = fake()
        penalty = config.loss.camera_offset_weight * camera_offset_penalty(offset)
        return generator_loss(inputs.logits(discriminator)).mean() + penalty

    def fake_objective() -> Tensor:
        with torch.no_grad():
            inputs, _ = fake(update_w_avg=True)
        return discriminator_fake_loss(inputs.logits(discriminator)).mean()

    def real_objective() -> Tensor:
        return discriminator_real_loss(real_inputs(photos, scheduled, config.loss).logits(discriminator)).mean()

    def r1_objective() -> Tensor:
        return r1_penalty(discriminator, real_inputs(photos, scheduled, config.loss), config.loss).loss

    def update_generator() -> None:
        discriminator.requires_grad_(False)
        _update(generator, networks.generator_optimizer, generator_objective)

    def update_discriminator(objective: Callable[[], Tensor]) -> None:
        generator.requires_grad_(False)
        _update(discriminator, networks.discriminator_optimizer, objective)

    return {
        "generator": update_generator,
        "fakes": lambda: update_discriminator(fake_objective),
        "photos": lambda: update_discriminator(real_objective),
        "r1": lambda: update_discriminator(r1_objective),
    }


def _update(network: nn.Module, optimizer: torch.optim.Adam, objective: Callable[[], Tensor]) -> None:
    """Update a network as :mod:`panohead.training.step` does."""
    network.requires_grad_(True)
    optimizer.zero_grad(set_to_none=True)
    objective().backward()
    sanitize_gradients(network.parameters())
    optimizer.step()


def measure(
    work: dict[str, Callable[[], None]], seconds: Callable[[Callable[[], object]], float], repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Return times (plain, fast) in seconds of every update and of the step they make up, after a warm-up round."""

    def plain(update: Callable[[], None]) -> None:
        with fast_paths.plain_only():
            update()

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in (*work, "step")}
    for turn in range(repeats + 1):
        pairs = {name: (seconds(lambda u=update: plain(u)), seconds(update)) for name, update in work.items()}
        pairs["step"] = tuple(sum(SHARES[name] * pairs[name][i] for name in work) for i in (0, 1))
        for name, pair in pairs.items() if turn > 0 else ():
            times[name].append(pair)
    return times


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Return medians in seconds, the median ratio and its 95 % interval."""
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
    """Return the configuration that the command line asks for."""
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
    rows = []
    print(f"{'':12}{'plain s':>9}{'fast s':>9}{'ratio':>7}{'95 % of ratio':>18}")
    for name, times in measure(updates(config, device), seconds, arguments.repeats).items():
        row = report[name] = summary(times)
        rows.append(Row(name, "s", {kind: [pair[i] for pair in times] for i, kind in enumerate(("plain", "fast"))}))
        interval = f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
        print(f"{name:12}{row['plain_s']:9.3f}{row['fast_s']:9.3f}{row['ratio']:7.2f}{interval:>18}")
    for name in ("plain", "fast"):
        report[f"{name}_images_per_second"] = config.micro_batch / report["step"][f"{name}_s"]
    print(
        f"images/s: plain {report['plain_images_per_second']:.2f}, fast {report['fast_images_per_second']:.2f}"
        f" ({config.micro_batch} at once, {device}, {arguments.threads} thread(s))"
    )
    if arguments.json:
        write_rows(arguments.json, rows, **report)


if __name__ == "__main__":
    main()
