"""Scheduled values: golden rows, then laws."""

import numpy as np
import pytest

from panohead.training.schedules import ScheduleConfig, blur_fade_kimg, neural_resolution, progress
from parity.golden import load


def config(kwargs: dict[str, float | None]) -> ScheduleConfig:
    ours = {
        "blur_init_sigma": "blur_init_sigma",
        "blur_fade_kimg": "blur_fade_kimg",
        "density_noise_fade_kimg": "density_noise_fade_kimg",
        "gpc_reg_fade_kimg": "pose_swap_fade_kimg",
        "gpc_reg_prob": "pose_swap_probability",
        "neural_rendering_resolution_initial": "neural_resolution_initial",
        "neural_rendering_resolution_final": "neural_resolution_final",
        "neural_rendering_resolution_fade_kimg": "neural_resolution_fade_kimg",
    }
    return ScheduleConfig(**{ours[name]: value for name, value in kwargs.items()})  # type: ignore[arg-type]


def test_schedules_are_golden() -> None:
    arrays, meta = load("misc")
    for row in arrays["schedule_rows"]:
        at = config(meta["schedule_kwargs"][int(row[0])]).at(row[1])
        swap = -1.0 if at.pose_swap_probability is None else at.pose_swap_probability
        found = [at.blur_sigma, at.density_noise, swap, at.neural_resolution]
        np.testing.assert_allclose(found, row[2:], rtol=1e-12, atol=1e-12)


def test_progress_runs_from_zero_to_one_and_stays() -> None:
    steps = [progress(nimg, 2.0) for nimg in range(0, 5000, 100)]
    assert steps[0] == 0
    assert steps[10] == 0.5
    assert steps == sorted(steps)
    assert set(steps[20:]) == {1.0}
    assert progress(0, 0) == 1


def test_defaults_are_the_official_first_stage() -> None:
    start, end = ScheduleConfig().at(0), ScheduleConfig().at(25_000_000)
    assert (start.blur_sigma, start.density_noise, start.pose_swap_probability) == (10, 1, 1)
    assert (end.blur_sigma, end.density_noise) == (0, 0)
    assert end.pose_swap_probability == pytest.approx(0.7)
    assert start.neural_resolution == end.neural_resolution == 64


def test_second_stage_jumps_to_its_resolution() -> None:
    stage = ScheduleConfig(neural_resolution_final=128, blur_init_sigma=0, pose_swap_fade_kimg=0)
    assert stage.at(1_000_000).neural_resolution == 128
    assert stage.at(1_000_000).pose_swap_probability == pytest.approx(0.7)


def test_resolution_rounds_half_to_even() -> None:
    found = [neural_resolution(n, initial=0, final=4, fade_kimg=1) for n in (125, 375, 625, 875)]
    assert found == [0, 2, 2, 4]


def test_blur_fades_with_the_batch() -> None:
    assert blur_fade_kimg(32) == 200
    assert blur_fade_kimg(8) == 50
