"""Speed of steps with gradients on a CPU: our fast paths and the same steps in plain PyTorch, interleaved.

    python benchmarks/gradients.py [--cases regression w_full ...] [--repeats 7] [--threads 1] [--json FILE]
    python benchmarks/gradients.py --against ../other-checkout/src

Cases: ``regression`` fits a small generator (128 pixels, tri-grid 64^2 x 3 x 16) to patches of four heads;
``generator``, ``fakes``, ``photos`` and ``r1`` are the parts of an adversarial step of the preset demo_128;
``w_full`` and ``tuning_full`` are steps of a reconstruction with the full-size network at 512
pixels. Inputs are random numbers.

Times are CPU seconds of the measured process, so that several threads do not look faster than one. With ``--against``
another checkout of the package takes the same steps in a separate process, interleaved with this one, and its time is
in the column "other". Medians, the median of the ratios of each turn, and the ratios' smallest and largest.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from interleaved import cpu_seconds
from rows import Row, write_rows
from torch import Tensor, nn

from panohead.geometry import Camera, rays_from_camera
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.ops import fast_paths
from panohead.presets import demo_128, panohead_512
from panohead.randomness import RenderRandomness
from panohead.rendering.renderer import RenderConfig
from panohead.system.malloc import keep_large_buffers
from panohead.training.warm_start.patches import detail_loss, render_patches
from training import updates

Step = Callable[[], None]


@dataclass(frozen=True)
class Patches:
    """Batch of a regression step: number of heads, patches of each, rays per side of a patch."""

    heads: int = 4
    views: int = 3
    side: int = 32
    coarse: int = 16
    fine: int = 12


def small_generator() -> GeneratorConfig:
    """Return a generator of 128 pixels that two CPU cores can train."""
    return GeneratorConfig(
        z_dim=128,
        w_dim=192,
        conditioning_scale=0.0,
        trigrid_resolution=64,
        trigrid_channels=16,
        feature_channels=24,
        channel_base=4096,
        channel_max=192,
        rendering=RenderConfig(
            depth_samples=24, importance_samples=24, ray_start=2.25, ray_end=3.15, box_warp=0.8, crop_margin=0.02
        ),
        superresolution=SuperResolutionConfig(kind="2x", from_resolution=64, half_precision=False, channels=(48, 24)),
        use_background=False,
        use_camera_alignment=False,
    )


def regression() -> Step:
    """Fit colors, mask and super-resolved patches; Adam and a running average, as the warm start does."""
    torch.manual_seed(0)
    patches, config = Patches(), small_generator()
    generator, average = Generator(config), Generator(config).requires_grad_(False)
    w = nn.Parameter(torch.randn(patches.heads, config.w_dim))
    adam = torch.optim.Adam([*generator.parameters(), w], lr=1e-3, betas=(0.9, 0.99))
    count, random = patches.heads * patches.views, torch.Generator().manual_seed(0)
    target = torch.rand(count, 3, 2 * patches.side, 2 * patches.side, generator=random) * 2 - 1
    mask = torch.rand(count, 1, patches.side, patches.side, generator=random)
    yaws = [360 * i / count for i in range(count)]
    origins, directions = _patch_rays(torch.stack([Camera.orbit(yaw).to_label() for yaw in yaws]), patches)

    def step() -> None:
        ws = w[:, None].expand(-1, generator.backbone.num_ws, -1)
        field = generator.field(ws)
        found = render_patches(
            field, origins, directions, config.rendering,
            coarse_samples=patches.coarse, fine_samples=patches.fine, rng=random,
        )  # fmt: skip
        features, weights = (x.reshape(count, patches.side, patches.side, -1).permute(0, 3, 1, 2) for x in found)
        rows = ws.repeat_interleave(patches.views, dim=0)
        assert generator.torgb_raw is not None
        raw, last = generator.torgb_raw(features, rows[:, -1], fused=False), rows[:, -1:].expand(-1, 3, -1)
        x, image = generator.superresolution.block0(features, raw, last, randomness=RenderRandomness(noise_mode="none"))
        _, image = generator.superresolution.block1(x, image, last, randomness=RenderRandomness(noise_mode="none"))
        small = F.avg_pool2d(target, 2)
        loss = (raw - small).abs().mean() + detail_loss(raw, small) + (image - target).abs().mean()
        loss = loss + detail_loss(image, target) + F.binary_cross_entropy(weights.clamp(1e-4, 1 - 1e-4), mask)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        with torch.no_grad():
            for mean, value in zip(average.parameters(), generator.parameters(), strict=True):
                mean.lerp_(value, 0.002)

    return step


def _patch_rays(labels: Tensor, patches: Patches) -> tuple[Tensor, Tensor]:
    """Return rays through the middle of each view, those of one head together."""
    first = (64 - patches.side) // 2
    cut = slice(first, first + patches.side)
    found = [x.unflatten(1, (64, 64))[:, cut, cut] for x in rays_from_camera(Camera.from_label(labels), 64)]
    return found[0].reshape(patches.heads, -1, 3), found[1].reshape(patches.heads, -1, 3)


def adversarial(part: str) -> Step:
    """One part of an adversarial step of the preset demo_128 with four images at once."""
    config = replace(demo_128(), batch=4, micro_batch=4)
    return updates(config, torch.device("cpu"))[part]


def reconstruction(*, tuning: bool) -> Step:
    """Return a step of the search for w (frozen weights, eval mode) or of tuning all weights, full-size network."""
    torch.manual_seed(0)
    generator = Generator(panohead_512().generator).train(tuning).requires_grad_(tuning)
    w = torch.randn(1, 1, generator.config.w_dim, requires_grad=not tuning)
    adam = torch.optim.Adam(generator.parameters() if tuning else [w], lr=1e-4)
    label, target = Camera.orbit(30.3).to_label()[None], torch.rand(1, 3, 512, 512) * 2 - 1
    small = F.interpolate(target, (256, 256), mode="area")

    def step() -> None:
        image = generator.synthesis(w.expand(-1, generator.backbone.num_ws, -1), label, noise_mode="const").image
        loss = (image - target).square().mean() + (
            F.interpolate(image, (256, 256), mode="area") - small
        ).square().mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    return step


CASES: dict[str, Callable[[], Step]] = {
    "regression": regression,
    **{part: partial(adversarial, part) for part in ("generator", "fakes", "photos", "r1")},
    "w_full": partial(reconstruction, tuning=False),
    "tuning_full": partial(reconstruction, tuning=True),
}


class OtherCheckout:
    """Process that takes a step of another checkout on request, and answers its time."""

    def __init__(self, source: str, case: str, threads: int) -> None:
        command = [sys.executable, __file__, "--serve", case, "--threads", str(threads)]
        environment = {**os.environ, "PYTHONPATH": source}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self) -> float:
        """Take a step there and return its CPU seconds."""
        pipe, answer = self._process.stdin, self._process.stdout
        assert pipe is not None
        assert answer is not None
        pipe.write("step\n")
        pipe.flush()
        return float(answer.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(case: str) -> None:
    """Take a step for every line on standard input, and answer its seconds."""
    step = CASES[case]()
    for _ in sys.stdin:
        print(cpu_seconds(step), flush=True)


def measure(case: str, repeats: int, against: str | None, threads: int) -> dict[str, Any]:
    """Return times of every turn by kind: "plain", "other" (with ``against``) and "fast"."""
    step, other = CASES[case](), None if against is None else OtherCheckout(against, case, threads)

    def plain() -> float:
        with fast_paths.plain_only():
            return cpu_seconds(step)

    kinds: dict[str, Callable[[], float]] = {"plain": plain} if other is None else {"other": other}
    kinds["fast"] = lambda: cpu_seconds(step)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(repeats + 1):  # the first turn warms up
        for kind, seconds in kinds.items():
            found = seconds()
            if turn > 0:
                times[kind].append(found)
    if other is not None:
        other.close()
    base = next(iter(kinds))
    ratios = [slow / fast for slow, fast in zip(times[base], times["fast"], strict=True)]
    medians = {f"{kind}_s": statistics.median(values) for kind, values in times.items()}
    spread = {"ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}
    return {"base": base, **medians, **spread, "times": times}


def main() -> None:
    """Measure the chosen cases, print a table, optionally write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--against", help="the folder src of another checkout, instead of plain PyTorch")
    parser.add_argument("--json")
    parser.add_argument("--serve", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    keep_large_buffers()
    torch.set_num_threads(arguments.threads)
    if arguments.serve:
        serve(arguments.serve)
        return
    report: dict[str, Any] = {"torch": torch.__version__, "threads": arguments.threads}
    base = "plain" if arguments.against is None else "other"
    print(f"{'':12}{base + ' s':>9}{'fast s':>9}{'ratio':>7}{'smallest to largest':>22}")
    for case in arguments.cases:
        row = report[case] = measure(case, arguments.repeats, arguments.against, arguments.threads)
        spread = f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
        print(f"{case:12}{row[base + '_s']:9.3f}{row['fast_s']:9.3f}{row['ratio']:7.2f}{spread:>22}", flush=True)
    if arguments.json:
        rows = [Row(case, "s", report[case]["times"]) for case in arguments.cases]
        write_rows(arguments.json, rows, **report)


if __name__ == "__main__":
    main()
