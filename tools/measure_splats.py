"""How well splats show a head: PSNR against unseen renders, size of the files, CPU seconds, by number of splats.

    python tools/measure_splats.py --counts 50000 100000 200000 --steps 100 --seeds 3 --out splats_report

Views are 24 random ones (yaw all round, pitch -25 to 35 degrees) that refinement has not seen; renders of the splats
are those of the package's own splatter, at the size of the head's images and on white. With ``--out`` the files are
kept, and a sheet: render, splats as sampled, splats refined, the same at four times the size, from four sides.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from panohead import Camera, load
from panohead.head import Head
from panohead.splats import SplatCloud, render_splats, write_splats
from panohead.splats.of_head import target_view
from panohead.splats.refine import TargetView

UNSEEN = 24
SHEET_YAWS = (0.0, 60.0, 180.0, 300.0)


def unseen_views(head: Head) -> list[TargetView]:
    """Render the head from random sides."""
    rng = np.random.default_rng(20)
    angles = [(float(rng.uniform(0, 360)), float(rng.uniform(-25, 35))) for _ in range(UNSEEN)]
    return [target_view(head, Camera.orbit(yaw, pitch)) for yaw, pitch in angles]


@torch.no_grad()
def decibels(cloud: SplatCloud, views: list[TargetView]) -> list[float]:
    """Return the peak signal-to-noise ratio of every view."""
    found = []
    for view in views:
        drawn = render_splats(cloud, view.camera, view.image.shape[-1]).over(1.0)
        found.append(float(-10 * torch.log10((drawn - view.image).square().mean().clamp_min(1e-12))))
    return found


@torch.no_grad()
def sheet(head: Head, clouds: list[SplatCloud]) -> Image.Image:
    """Return the head beside its splats, one side a row; the last column is the last cloud, drawn larger."""
    rows = []
    for yaw in SHEET_YAWS:
        view = target_view(head, Camera.orbit(yaw))
        size = view.image.shape[-1]
        cells = [view.image, *(render_splats(cloud, view.camera, size).over(1.0) for cloud in clouds)]
        side = max(4 * size, 256)
        cells = [F.interpolate(cell[None], (side, side), mode="bicubic")[0] for cell in cells]
        cells.append(render_splats(clouds[-1], view.camera, side).over(1.0))
        rows.append(torch.cat(cells, dim=2))
    pixels = (torch.cat(rows, dim=1).clamp(0, 1) * 255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def measure(seed: int, counts: list[int], steps: int, out: Path | None) -> list[dict[str, float]]:
    """Return one row of figures for each number of splats."""
    head = load("demo").sample(seed)
    head.begin()
    views, rows = unseen_views(head), []
    for count in counts:
        start = time.process_time()
        plain = head.splats(count, steps=0)
        sampled = time.process_time()
        cloud = head.splats(count, steps=steps)
        seconds = time.process_time() - sampled
        found = decibels(cloud, views)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) if out is None else out
            place.mkdir(parents=True, exist_ok=True)
            sizes = [
                write_splats(cloud, place / f"seed{seed}_{count}.{kind}").stat().st_size for kind in ("ply", "spz")
            ]
        rows.append(
            {
                "seed": seed, "count": count, "steps": steps,
                "psnr_sampled": round(float(np.mean(decibels(plain, views))), 2),
                "psnr": round(float(np.mean(found)), 2), "psnr_worst": round(min(found), 2),
                "cpu_s_sampled": round(sampled - start, 1), "cpu_s": round(seconds, 1),
                "ply_bytes": sizes[0], "spz_bytes": sizes[1],
            }
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
        if out is not None:
            sheet(head, [plain, cloud]).save(out / f"seed{seed}_{count}.png")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[50_000, 100_000, 200_000])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in options.seeds:
        measure(seed, options.counts, options.steps, options.out)


if __name__ == "__main__":
    main()
