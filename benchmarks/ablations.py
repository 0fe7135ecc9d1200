"""The paper's ablations on a small preset at equal kimg: a table with one run per row.

``python benchmarks/ablations.py DATASET OUT --kimg 50`` trains runs missing in OUT (interrupted ones are resumed) and
prints the table; ``--rows baseline no_mask`` chooses rows. All runs share seed, data, preset and length and start
from random weights.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from panohead.checkpoint import load_checkpoint
from panohead.geometry import Camera
from panohead.models.generator import Generator

JITTER = "data.camera_jitter=0.05"
"""Standard deviation of the camera error, world units; the view is 0.63 wide at the head."""


@dataclass(frozen=True)
class Row:
    """One run of the table.

    Attributes:
        what: description in the table.
        ablations: names for ``--ablation``.
        settings: settings for ``--set``.
    """

    what: str
    ablations: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


ROWS = {
    "baseline": Row("tri-grid, tri-discriminator, exact cameras"),
    "tri_plane": Row("tri-plane instead of tri-grid", ("tri_plane",)),
    "no_mask": Row("dual discriminator: no mask", ("no_mask",)),
    "jitter": Row("cameras moved by 0.05, no self-adaptation", (), (JITTER,)),
    "jitter_adapted": Row("cameras moved by 0.05, self-adaptation", ("camera_adaptation",), (JITTER,)),
}


def train(row: Row, run: Path, arguments: argparse.Namespace) -> None:
    """Train the run of a row to its end, resuming it if it exists."""
    panohead = [sys.executable, "-m", "panohead.cli.main", "train"]
    if (run / "config.json").exists():
        command = [*panohead, "--resume", str(run), "--kimg", str(arguments.kimg)]
    else:
        settings = (f"metric_images={arguments.images}", "data.cache=memory", *row.settings)
        command = [*panohead, "--preset", arguments.preset, "--data", str(arguments.dataset), "--out", str(run)]
        command += ["--kimg", str(arguments.kimg), "--set", *settings, "--ablation", "no_warm_start", *row.ablations]
    subprocess.run(command, check=True)


@torch.no_grad()
def mask_agreement(generator: Generator, heads: int = 64) -> float:
    """Compute the IoU of the mask and the part of the same image that is not white; 1 for perfect agreement."""
    rng = torch.Generator().manual_seed(0)
    intersection, union = 0.0, 0.0
    for _ in range(heads // 8):
        z = torch.randn(8, generator.config.z_dim, generator=rng)
        yaws = (torch.rand(8, generator=rng) * 360).tolist()
        label = torch.stack([Camera.orbit(yaw).to_label() for yaw in yaws])
        rendering = generator(z, label, truncation_psi=0.7, ray_jitter=0.5, importance_u=0.5)
        not_white = rendering.image_raw.amin(dim=1, keepdim=True) < 0.8
        foreground = rendering.weights > 0.5
        intersection += float((not_white & foreground).sum())
        union += float((not_white | foreground).sum())
    return intersection / max(union, 1.0)


def figures(run: Path) -> dict[str, Any]:
    """Return the numbers of a finished run for the table."""
    last = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()][-1]
    newest = max((run / "snapshots").glob("*.safetensors"))
    return {
        "kimg": last["kimg"],
        "distance": last["sliced_wasserstein"],
        "low": last["sliced_wasserstein_low"],
        "high": last["sliced_wasserstein_high"],
        "mask_iou": mask_agreement(load_checkpoint(newest).generator()),
        "hours": last["seconds"] / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", default="demo_64")
    parser.add_argument("--kimg", type=float, default=50.0)
    parser.add_argument("--images", type=int, default=1000, help="photos and heads compared by the distance")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS))
    arguments = parser.parse_args()
    lines = ["| row | kimg | sliced Wasserstein (95 %) | mask IoU | hours |", "|---|---|---|---|---|"]
    for name in arguments.rows:
        train(ROWS[name], arguments.out / name, arguments)
        f = figures(arguments.out / name)
        distance = f"{f['distance']:.3f} ({f['low']:.3f} - {f['high']:.3f})"
        lines.append(f"| {ROWS[name].what} | {f['kimg']:g} | {distance} | {f['mask_iou']:.3f} | {f['hours']:.2f} |")
    print("\n".join(lines))
    (arguments.out / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
