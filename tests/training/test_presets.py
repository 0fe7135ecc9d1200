"""Presets against the paper's numbers; every one can be built, stored and changed."""

import json
from dataclasses import asdict

import pytest
import torch

from panohead.errors import PanoHeadError
from panohead.files.read_json import from_plain
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator
from panohead.presets import (
    ABLATIONS,
    PRESETS,
    demo_64,
    demo_128,
    eg3d,
    panohead_512,
    panohead_512_stage2,
    tiny,
    with_batch,
)
from panohead.training.config import TrainConfig, with_settings


def test_first_stage_is_the_official_command() -> None:
    """Numbers of docs/reference.md 5.12."""
    config = panohead_512()
    assert (config.batch, config.micro_batch, config.total_kimg, config.tick_kimg) == (32, 4, 25000, 4)
    assert (config.loss.r1_gamma, config.loss.r1_gamma_mask, config.loss.camera_offset_weight) == (1, 1, 10)
    assert config.loss.background_swap_probability == 0.2
    assert (config.generator_adam.per_step(), config.discriminator_adam.interval) == ((0.0025, (0.0, 0.99)), 16)
    assert config.discriminator_adam.learning_rate == 0.002
    selection = config.data.selection
    assert (selection.mirror, selection.back_repeat, selection.max_yaw_deg) == (True, 4, 180)
    start, middle, end = (config.schedules.at(nimg) for nimg in (0, 100_000, 1_000_000))
    assert (start.blur_sigma, start.density_noise, start.pose_swap_probability) == (10, 1, 1)
    assert (middle.blur_sigma, middle.density_noise, middle.pose_swap_probability) == (5, 0.5, pytest.approx(0.97))
    assert (end.blur_sigma, end.density_noise, end.pose_swap_probability) == (0, 0, pytest.approx(0.7))
    assert (start.neural_resolution, end.neural_resolution) == (64, 64)
    assert (config.ema_half_life_kimg, config.ema_ramp_up) == (10, 0.05)
    assert (config.generator.mapping_layers, config.discriminator.mapping_layers) == (2, 8)
    assert config.augment is None
    assert config.density_regularizer is None
    assert config.warm_start is None


def test_second_stage_jumps_to_128_rays() -> None:
    config = panohead_512_stage2()
    start = config.schedules.at(round(config.start_kimg * 1000))
    assert (start.neural_resolution, start.density_noise, start.blur_sigma) == (128, 0, 0)
    assert (start.pose_swap_probability, config.ema_ramp_up) == (pytest.approx(0.7), None)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json_and_fit_together(name: str) -> None:
    config = PRESETS[name]().checked()
    assert from_plain(TrainConfig, json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize("preset", [demo_128, demo_64])
def test_demo_networks_are_small(preset) -> None:
    config = preset()
    for network in (Generator(config.generator), Discriminator(config.discriminator)):
        assert sum(p.numel() for p in network.parameters()) < 6e6


def test_ablations_change_what_they_say() -> None:
    config = tiny()
    assert ABLATIONS["no_mask"](config).discriminator.variant == "dual"
    assert ABLATIONS["tri_plane"](config).generator.trigrid_depth == 1
    assert not ABLATIONS["no_camera_adaptation"](config).generator.use_camera_alignment
    assert ABLATIONS["camera_adaptation"](demo_64()).generator.use_camera_alignment
    assert ABLATIONS["no_warm_start"](demo_64()).warm_start is None
    for change in ABLATIONS.values():
        assert change(config) == change(change(config))


def test_eg3d_has_no_part_of_panohead() -> None:
    torch.manual_seed(0)
    generator = eg3d().generator
    assert (generator.trigrid_depth, generator.interpolation, generator.use_background) == (1, "bilinear", False)
    assert eg3d().generator_adam.interval == 4


def test_settings_are_replaced_by_name() -> None:
    config = with_settings(tiny(), {"loss.r1_gamma": 3, "data.selection.mirror": False, "seed": 7})
    assert (config.loss.r1_gamma, config.data.selection.mirror, config.seed) == (3, False, 7)
    for name, value in (("loss.gamma", 1), ("nothing", 1), ("seed.x", 1), ("seed", "many"), ("noise_mode", "loud")):
        with pytest.raises(PanoHeadError):
            with_settings(tiny(), {name: value})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"density_regularizer": {"kind": "l1"}}, "would never run"),
        ({"total_kimg": 1, "start_kimg": 1}, "more than 1"),
        ({"tick_kimg": float("nan")}, "tick_kimg is nan; expected a finite number"),
        ({"tick_kimg": 0}, "more than 0"),
        ({"discriminator_adam.interval": 0}, "interval is 0"),
        ({"warm_start": {"steps": 1}}, "noise_mode=const"),
    ],
)
def test_settings_that_would_do_nothing_or_harm_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(PanoHeadError, match=words):
        with_settings(tiny(), settings).checked()


def test_another_batch_takes_blur_and_average_along() -> None:
    """docs/reference.md 5.2 and 5.10: blur fades over 200 kimg x batch / 32, the half-life is 10 kimg x batch / 32."""
    config = with_batch(panohead_512(), 64)
    assert (config.batch, config.schedules.blur_fade_kimg, config.ema_half_life_kimg) == (64, 400, 20)
    assert config.loss == panohead_512().loss


def test_batches_that_cannot_be_shared_are_refused() -> None:
    assert tiny().micro_batches(2) == 1
    with pytest.raises(PanoHeadError, match="multiple of 12"):
        tiny().micro_batches(3)
