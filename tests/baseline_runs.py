"""Baselines at the size of the preset tiny, trained in this process on the 64 images beside the tests of training."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from panohead import baselines, presets
from panohead.models.implicit import ImplicitFieldConfig
from panohead.training import launch, loop, train
from panohead.training.config import TrainConfig

HEADS = Path(__file__).parent / "training" / "heads"
RAYS = 16
"""Rays per side, half of the images' pixels."""


def tiny_pi_gan() -> TrainConfig:
    """pi-GAN of 16 x 16 rays and one hidden layer of 16 units."""
    field = ImplicitFieldConfig(kind="siren", width=16, layers=2)
    return _tiny(baselines.pi_gan(_preset(), field, samples=6))


def tiny_graf() -> TrainConfig:
    """GRAF with patches of 16 x 16 rays."""
    field = ImplicitFieldConfig(kind="graf", width=16, layers=3, position_octaves=3, direction_octaves=1)
    return _tiny(baselines.graf(_preset(), field, samples=6, patch=RAYS))


def tiny_style_sdf() -> TrainConfig:
    """StyleSDF of 16 x 16 rays and 32 x 32 pixels."""
    field = ImplicitFieldConfig(kind="sdf", width=16, layers=2)
    return _tiny(baselines.style_sdf(_preset(), field, samples=12))


TINY: dict[str, Callable[[], TrainConfig]] = {"pi_gan": tiny_pi_gan, "graf": tiny_graf, "style_sdf": tiny_style_sdf}


def _preset() -> TrainConfig:
    tiny = presets.tiny()
    schedules = replace(tiny.schedules, blur_init_sigma=0.0, density_noise_fade_kimg=0.0, pose_swap_probability=None)
    return replace(tiny, schedules=schedules, data=replace(tiny.data, background="white"))


def _tiny(config: TrainConfig) -> TrainConfig:
    schedules = replace(config.schedules, neural_resolution_initial=RAYS, neural_resolution_final=None)
    ticks = {"state_ticks": 1000, "snapshot_ticks": 1000, "metric_ticks": 1000, "metric_images": 32}
    return replace(config, schedules=schedules, micro_batch=config.batch, **ticks)


def run(config: TrainConfig, folder: Path, steps: int) -> list[dict[str, float | None]]:
    """Train and return the lines of statistics: one before training, one at the end."""
    kimg = steps * config.batch / 1000
    # Neither pages nor the check of the dataset, which tests/training and tests/alignment look at.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "write_report", lambda _: None)
        patch.setattr(launch, "refuse_wrong_sample", lambda *_: None)
        assert train(replace(config, total_kimg=kimg, tick_kimg=kimg).checked(), HEADS, folder, quiet=True)
    return [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]


def snapshot(folder: Path) -> Path:
    """The last snapshot of a run."""
    return max((folder / "snapshots").glob("*.safetensors"))
