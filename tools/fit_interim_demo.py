"""Fit the interim demo model by multi-view warm start.

``python tools/fit_interim_demo.py DATASET WORK --steps 6000`` keeps its state in the folder WORK, continues from it
when called again (give other ``--steps`` to end sooner or later), and writes ``WORK/demo.safetensors`` and a contact
sheet ``WORK/sheet.png`` every few minutes.
"""

import argparse
import json
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from panohead.checkpoint import save_checkpoint
from panohead.geometry import Camera
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.rendering.renderer import RenderConfig
from panohead.training.multiview import MultiViewData, load_multiview
from panohead.training.warm_start import WarmStart, WarmStartConfig

HELD_OUT_PEOPLE = 48
YAWS_DEG = range(0, 360, 45)


def interim_config() -> GeneratorConfig:
    """A generator of 0.95 million parameters: 128 pixels from 64 x 64 rays, nothing but white behind the head."""
    return GeneratorConfig(
        z_dim=32,
        w_dim=64,
        conditioning_scale=0.0,
        trigrid_resolution=64,
        trigrid_channels=8,
        feature_channels=16,
        channel_base=2560,
        channel_max=112,
        rendering=RenderConfig(
            depth_samples=32, importance_samples=32, ray_start=2.3, ray_end=3.1, box_warp=0.8, crop_margin=0.02
        ),
        superresolution=SuperResolutionConfig(kind="2x", half_precision=False, channels=(32, 16)),
        use_background=False,
        use_camera_alignment=False,
    )


def split(data: MultiViewData) -> tuple[MultiViewData, MultiViewData]:
    """All views but one of each of the first people, and those."""
    held = torch.tensor([int(torch.nonzero(data.person == p)[p % 8, 0]) for p in range(HELD_OUT_PEOPLE)])
    keep = torch.ones(len(data.person), dtype=torch.bool)
    keep[held] = False
    return data.subset(torch.nonzero(keep)[:, 0]), data.subset(held)


@torch.no_grad()
def psnr(fit: WarmStart, data: MultiViewData) -> dict[str, float]:
    """PSNR in dB of the picture and of the raw picture, and mean error of the mask, on views of known people."""
    errors: dict[str, list[float]] = {"picture": [], "raw": [], "mask": []}
    for i, person in enumerate(data.person):
        ws = fit.average.mapping(fit.codes.weight[person][None], data.labels[i][None])
        shown = fit.average.synthesis(ws, data.labels[i][None], ray_jitter=0.5, importance_u=0.5)
        target = data.images[i][None].float() / 127.5 - 1
        mask = data.masks[i][None].float() / 255
        errors["picture"].append(float((shown.image - target).square().mean()))
        errors["raw"].append(float((shown.image_raw - F.avg_pool2d(target, 2)).square().mean()))
        errors["mask"].append(float((shown.weights - F.avg_pool2d(mask, 2)).abs().mean()))

    def decibel(values: list[float]) -> float:
        return float(10 * torch.log10(4 / torch.tensor(values)).mean())

    mask_error = sum(errors["mask"]) / len(errors["mask"])
    return {"picture_db": decibel(errors["picture"]), "raw_db": decibel(errors["raw"]), "mask_error": mask_error}


@torch.no_grad()
def sheet(generator: Generator, rows: Tensor, file: Path) -> None:
    """Eight yaws of every row of w (one head a row)."""
    labels = torch.stack([Camera.orbit(yaw).to_label() for yaw in YAWS_DEG])
    lines = []
    for w in rows:
        ws = w[None, None].expand(len(labels), generator.backbone.num_ws, -1)
        shown = generator.synthesis(ws, labels, ray_jitter=0.5, importance_u=0.5)
        lines.append(torch.cat(list(shown.image), dim=2))
    pixels = ((torch.cat(lines, dim=1).clamp(-1, 1) + 1) * 127.5).round().byte()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)


@torch.no_grad()
def publish(fit: WarmStart, held_out: MultiViewData, work: Path, seconds: float) -> None:
    """Write the model as it is now, a sheet (2 people, mean, 7 new z at truncation 0.7, 2 at 1) and its figures."""
    generator = fit.finished()
    z = torch.randn(7, generator.config.z_dim, generator=torch.Generator().manual_seed(5))
    new = generator.mapping(z, torch.zeros(7, 25), truncation_psi=0.7)[:, 0]
    wild = generator.mapping(z[:2], torch.zeros(2, 25))[:, 0]
    known = fit.average.mapping(fit.codes.weight[[0, 60]], torch.zeros(2, 25))[:, 0]
    sheet(generator, torch.cat([known, generator.mapping_network.w_avg[None], new, wild]), work / "sheet.png")
    figures = {"steps": fit.step_count, "minutes": round(seconds / 60, 1), **psnr(fit, held_out)}
    notes = {"method": "multi-view warm start", "figures": figures}
    save_checkpoint(work / "demo.safetensors", {"G_ema": generator}, notes=notes, dtype="float16")
    (work / "figures.json").write_text(json.dumps(figures))
    print("published", json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--people", type=int, default=80, help="fit this many people of the dataset")
    for name, default in (
        ("learning-rate", 3e-3),
        ("position-map-learning-rate", 1e-2),
        ("detail-weight", 1.0),
        ("decay-fraction", 0.3),
    ):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--publish-minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)

    data, held_out = split(load_multiview(arguments.dataset, 128, people=arguments.people))
    config = WarmStartConfig(
        generator=interim_config(),
        steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        position_map_learning_rate=arguments.position_map_learning_rate,
        detail_weight=arguments.detail_weight,
        decay_fraction=arguments.decay_fraction,
    )
    fit, seconds = WarmStart(config, data.people), 0.0
    state_file = arguments.work / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        fit.load_state_dict(state["fit"])
        seconds = state["seconds"]
        print(f"continuing at step {fit.step_count} after {seconds / 60:.1f} minutes", flush=True)
    run(fit, data, held_out, arguments.work, seconds, arguments.publish_minutes * 60)


def run(
    fit: WarmStart, data: MultiViewData, held_out: MultiViewData, work: Path, before: float, publish_every: float
) -> None:
    """Step to the end, print progress every 200 steps, save the state every minute or two."""
    start = saved = published = time.monotonic()
    first, smooth = fit.step_count, {}
    while fit.step_count < fit.config.steps:
        losses = fit.step(data)
        smooth = {name: smooth.get(name, value) * 0.99 + value * 0.01 for name, value in losses.items()}
        now = time.monotonic()
        if fit.step_count % 200 == 0:
            pace = (now - start) / (fit.step_count - first)
            left = (fit.config.steps - fit.step_count) * pace / 60
            shown = "  ".join(f"{name} {value:.4f}" for name, value in smooth.items())
            print(f"{fit.step_count}  {shown}  {pace:.3f} s a step, {left:.0f} minutes left", flush=True)
        finished = fit.step_count >= fit.config.steps
        if now - saved > 90 or finished:
            part = work / "state.part"
            torch.save({"fit": fit.state_dict(), "seconds": before + now - start}, part)
            os.replace(part, work / "state.pt")
            saved = now
        if now - published > publish_every or finished:
            publish(fit, held_out, work, before + now - start)
            published = time.monotonic()


if __name__ == "__main__":
    main()
