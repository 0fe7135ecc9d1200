"""What finding empty space brings: frames of one head of the bundled model with and without, and how equal they are.

    python benchmarks/empty_space.py --samples 40 96 160

Every number of samples is rendered with and without the grid of occupied cells in turn, on one thread; the images are
compared with one of many samples without it (320), as peak signal-to-noise ratios.
"""

import argparse
from dataclasses import replace

import torch
from interleaved import compare, cpu_seconds
from rows import Row, write_rows

from panohead import Camera, load
from panohead.head import Head

YAWS = (0.0, 90.0, 150.0)
REFERENCE = 320
"""Samples a ray that the images are compared with."""


def heads(seeds: int, samples: int, cells: int) -> list[Head]:
    """Return heads of the bundled model, rendered with so many samples in one pass and cells of empty space."""
    predictor = load("demo")
    generator = predictor.generator
    rendering = replace(generator.config.rendering, depth_samples=samples, importance_samples=0, empty_cells=cells)
    generator.config = replace(generator.config, rendering=rendering)
    found = [predictor.sample(seed, truncation_psi=0.7) for seed in range(seeds)]
    for head in found:
        head.begin()
    return found


def images(some: list[Head]) -> torch.Tensor:
    """Render all heads from all sides, "image 3 height width"."""
    return torch.cat([head.render(Camera.orbit(yaw)).image for head in some for yaw in YAWS])


def decibels(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the peak signal-to-noise ratio of images in [-1, 1]."""
    return float(-10 * torch.log10(((a - b) / 2).square().mean().clamp_min(1e-20)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[40, 96])
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference = images(heads(options.heads, REFERENCE, 0))
    rows = []
    for samples in options.samples:
        plain, skipping = (heads(options.heads, samples, cells) for cells in (0, options.cells))
        count = len(YAWS) * options.heads
        found = compare(lambda some=plain: images(some), lambda some=skipping: images(some), repeats=options.repeats)
        quality = [decibels(images(some), reference) for some in (plain, skipping)]
        print(
            f"{samples} samples: a frame {1e3 * found.a / count:.1f} ms, "
            f"with empty space {1e3 * found.b / count:.1f} ms "
            f"(ratio {found.ratio:.2f}); {quality[0]:.1f} and {quality[1]:.1f} dB to {REFERENCE} samples"
        )
        frames = {"all": [a / count for a, _ in found.times], "occupied": [b / count for _, b in found.times]}
        rows.append(Row(f"frame, {samples} samples", "s", frames))
        rows.append(
            Row(
                f"agreement with {REFERENCE} samples, {samples}",
                "dB",
                dict(zip(frames, ([q] for q in quality), strict=True)),
            )
        )
    begin = {}
    for name, cells in (("all", 0), ("occupied", options.cells)):
        some = heads(1, 96, cells)[0]

        def anew(head: Head = some) -> None:
            head.forget()
            head.begin()

        anew()
        begin[name] = [cpu_seconds(anew) for _ in range(options.repeats)]
    rows.append(Row("tri-grid of a head", "s", begin))
    print("tri-grid of a head: " + ", ".join(f"{name} {1e3 * min(x):.1f} ms" for name, x in begin.items()))
    if options.json:
        write_rows(options.json, rows)


if __name__ == "__main__":
    main()
