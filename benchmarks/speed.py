"""Speed of the full-size network on this CPU, stage by stage, against plain PyTorch and against the official code.

    python benchmarks/speed.py [--repeats 5] [--only frame mesh] [--json FILE]

"plain" is our own reference formulation, interleaved with the fast one. "~ original" is an estimate against the
official implementation with a tuned allocator, which is not run here. It was measured side by side with this package in
one process on an AVX-512 machine (docs/performance.md), in units of Y, the time of a 100-GFLOP matrix product on one
thread: the column is (original in Y then) x (Y now) / (fast now). It holds as far as the original's convolutions and
the product gain alike from another processor, which from AVX2 to AVX-512 they do not. All times are CPU seconds of one
thread.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from interleaved import Comparison, compare, yardstick
from rows import Row, write_rows

from panohead.geometry import Camera
from panohead.head import Head
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.ops import fast_paths
from panohead.randomness import RenderRandomness
from panohead.rendering import dispatch
from panohead.rendering.renderer import RenderConfig
from panohead.system.malloc import keep_large_buffers


@dataclass(frozen=True)
class Stage:
    """One row: the timed function and the cost of the official code in Y (None: not measured)."""

    name: str
    work: Callable[[], Any]
    original_y: float | None = None


def full_size_generator() -> Generator:
    """Return the paper's network with random weights."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig()).eval().requires_grad_(False)
    generator.decoder.output.weight[0] *= 10
    return generator


@torch.no_grad()
def stages() -> list[Stage]:
    """Return all stages that a user waits for."""
    generator = full_size_generator()
    ws = generator.mapping(torch.randn(1, 512), Camera.orbit().expand(1).to_label())
    head, plain_head, label = Head(generator, ws), Head(generator, ws), Camera.orbit(30).expand(1).to_label()
    with fast_paths.plain_only():
        plain_head.render(Camera.orbit())
    mesh_points = torch.rand(2**18, 3).sub(0.5)
    mesh_points = mesh_points[mesh_points[:, 0].argsort()]
    features, raw = torch.randn(1, 32, 64, 64), torch.randn(1, 3, 64, 64)

    def current() -> Head:
        return head if fast_paths.allowed() else plain_head

    def volume() -> None:
        rays = generator.config.neural_rendering_resolution
        generator.render(current().field, Camera.orbit(20).expand(1), rays, RenderRandomness(ray_jitter=0.5))

    return [
        Stage("full image 512", lambda: generator.synthesis(ws, label, ray_jitter=0.5), 3.9),
        Stage("turntable frame", lambda: current().render(Camera.orbit(20)), 4.0),
        Stage("preview frame (raw 64)", lambda: current().preview(Camera.orbit(20)), 4.0),
        Stage("super-resolution", lambda: generator.superresolution(raw, features, ws), 1.9),
        Stage("backbone", lambda: generator.backbone(ws), 0.93),
        Stage("background", lambda: generator.background_features(ws), 0.23),
        Stage("volume render", volume, 0.92),
        Stage("mesh density, 262k points", lambda: dispatch.density(current().field, mesh_points[None]), 0.63),
        # The official code evaluates all 256^3 nodes, with mapping and backbone anew for every million of them.
        Stage("mesh 256, colorless", lambda: current().mesh(256, level=_level(head), color=False), 37.0),
        Stage("generator training step", training_step()),
    ]


def _level(head: Head) -> float:
    """Return a density that parts of this random head reach: a random network has no surface at the usual level."""
    points = torch.rand(4096, 3, generator=torch.Generator().manual_seed(0)) * 0.6 - 0.3
    return float(head.density(points).quantile(0.9))


def training_step() -> Callable[[], None]:
    """Return forward and backward of a small generator, as in training."""
    config = GeneratorConfig(
        trigrid_resolution=64,
        channel_base=4096,
        channel_max=128,
        neural_rendering_resolution=32,
        rendering=RenderConfig(depth_samples=24, importance_samples=24),
        superresolution=SuperResolutionConfig(kind="2x"),
    )
    torch.manual_seed(1)
    generator = Generator(config).train()
    z, label = torch.randn(2, 512), Camera.orbit(30).expand(2).to_label()

    def step() -> None:
        result = generator(z, label, noise_mode="random", generator=torch.Generator().manual_seed(0))
        (result.image.square().mean() + result.mask.mean()).backward()
        generator.zero_grad()

    return step


def errors() -> dict[str, float]:
    """Return the largest differences between the fast paths and plain PyTorch at full size."""
    generator = full_size_generator()
    ws = generator.mapping(torch.randn(1, 512), Camera.orbit().expand(1).to_label())
    label, points = Camera.orbit(30).expand(1).to_label(), torch.rand(1, 20000, 3) - 0.5
    found = {}
    fast, fast_density = generator.synthesis(ws, label, ray_jitter=0.5, importance_u=0.3), None
    field = generator.field(ws)
    fast_density = dispatch.density(field, points)
    with fast_paths.plain_only():
        plain = generator.synthesis(ws, label, ray_jitter=0.5, importance_u=0.3)
        found["density (same tri-grid)"] = float((fast_density - dispatch.density(field, points)).abs().max())
    for name in ("image", "image_raw", "mask"):
        found[name] = float((getattr(fast, name) - getattr(plain, name)).abs().max())
    return found


def peak_memory_gb() -> float:
    """Return the peak resident memory of one full image in a separate process."""
    code = "import speed; speed.one_image()"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=__file__.rsplit("/", 1)[0]
    )
    return float(result.stdout)


def one_image() -> None:
    """Render a full image and print the peak in GB."""
    keep_large_buffers()
    generator = full_size_generator()
    ws = generator.mapping(torch.randn(1, 512), Camera.orbit().expand(1).to_label())
    Head(generator, ws).render(Camera.orbit())
    # Not ru_maxrss: a child process starts with its parent's peak.
    with open("/proc/self/status", encoding="ascii") as status:
        kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(kilobytes * 1024 / 1e9)


def run(stage: Stage, repeats: int) -> Comparison:
    """Measure plain and fast runs, interleaved."""

    def plain() -> None:
        with fast_paths.plain_only():
            stage.work()

    return compare(plain, stage.work, repeats=repeats)


def main() -> None:
    """Measure, print a table, optionally write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="words that the stage's name must contain")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    keep_large_buffers()
    torch.set_num_threads(1)
    report: dict[str, Any] = {"torch": torch.__version__, "stages": {}}
    rows = []
    print(f"{'stage':28}{'plain s':>9}{'fast s':>9}{'ratio':>7}{'fast Y':>8}{'~ original':>12}")
    for stage in stages():
        if arguments.only and not any(word in stage.name for word in arguments.only):
            continue
        result, y = run(stage, arguments.repeats), yardstick()
        times_original = None if stage.original_y is None else stage.original_y * y / result.b
        report["stages"][stage.name] = {**vars(result), "yardstick": y, "times_original": times_original}
        shown = "" if times_original is None else f"{times_original:.1f}"
        print(f"{stage.name:28}{result.a:9.3f}{result.b:9.3f}{result.ratio:7.2f}{result.b / y:8.3f}{shown:>12}")
        plain, fast = ([pair[i] for pair in result.times] for i in (0, 1))
        rows.append(Row(stage.name, "s", {"plain": plain, "fast": fast}))
    if not arguments.only:
        report["errors"], report["peak_memory_gb"] = errors(), peak_memory_gb()
        print("largest differences from plain:", {name: f"{value:.1e}" for name, value in report["errors"].items()})
        print(f"peak memory of one full image: {report['peak_memory_gb']:.2f} GB (at most 2.0)")
    if arguments.json:
        write_rows(arguments.json, rows, **report)


if __name__ == "__main__":
    main()
