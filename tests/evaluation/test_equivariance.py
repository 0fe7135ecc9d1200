"""The measure of equivariance on networks whose answer is known."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import tiny
from panohead.evaluation.equivariance import equivariance, radial_samples, shifted
from panohead.evaluation.evaluate import Evaluation, EvaluationResult
from panohead.evaluation.settings import EvaluationSettings
from panohead.models.generator import Generator
from panohead.predictor import Predictor

WS = torch.zeros(1, 1, 1)


def waves(highest: float) -> Callable[..., Tensor]:
    """A network that shows a sum of waves of up to ``highest`` cycles per pixel: it follows every motion exactly."""
    rng = torch.Generator().manual_seed(0)
    angle = torch.rand(12, generator=rng) * 2 * math.pi
    frequency = 64 * highest * torch.stack([angle.cos(), angle.sin()], 1) * torch.rand(12, 1, generator=rng).sqrt()
    phase = torch.rand(12, 1, generator=rng) * 2 * math.pi

    def network(ws: Tensor, *, motion: Tensor | None = None) -> Tensor:
        steps = (torch.arange(64) + 0.5) / 64 - 0.5
        y, x = (grid.reshape(-1) for grid in torch.meshgrid(steps, steps, indexing="ij"))
        places = torch.stack([x, y, torch.ones_like(x)])
        places = (places if motion is None else motion @ places)[:2]
        return (2 * math.pi * frequency @ places + phase).sin().sum(dim=0).reshape(1, 1, 64, 64)

    return network


def test_exact_networks_reach_the_precision_of_the_measure() -> None:
    found = equivariance(waves(0.25), WS, moves=1)
    assert found.translation > 100, "no interpolation at all"
    assert found.fraction > 55
    assert found.rotation > 55


def test_noise_of_known_strength_gives_its_decibels() -> None:
    """Independent noise of deviation s on both sides: PSNR = 10 log10(16 var / (2 s^2))."""
    exact, rng = waves(0.2), torch.Generator().manual_seed(3)

    def noisy(ws: Tensor, *, motion: Tensor | None = None) -> Tensor:
        image = exact(ws, motion=motion)
        return image + 0.01 * image.std() * torch.randn(image.shape, generator=rng)

    assert equivariance(noisy, WS, moves=3).translation == pytest.approx(10 * math.log10(16 / 2e-4), abs=0.3)


def test_networks_that_do_not_move_or_turn_are_caught() -> None:
    exact = waves(0.2)
    still = equivariance(lambda ws, motion=None: exact(ws), WS, moves=1)
    assert max(still.translation, still.fraction, still.rotation) < 20

    def only_translations(ws: Tensor, *, motion: Tensor | None = None) -> Tensor:
        return exact(ws, motion=None if motion is None else torch.cat([torch.eye(3)[:, :2], motion[:, 2:]], dim=1))

    found = equivariance(only_translations, WS, moves=1)
    assert found.translation > 100
    assert found.rotation < 20


def test_moved_images_are_the_moved_waves() -> None:
    network = waves(0.2)
    image, shift = network(WS), torch.tensor([2.3, -4.6])
    motion = torch.eye(3)
    motion[:2, 2] = -shift / 64
    inside = slice(16, 48)
    error = (shifted(image, shift) - network(WS, motion=motion))[..., inside, inside]
    assert error.abs().max() < 5e-3 * image.std()
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    error = (radial_samples(image, torch.stack([x, y], -1) - shift) - network(WS, motion=motion))[..., inside, inside]
    assert error.abs().max() < 5e-3 * image.std(), "waves in the band pass unchanged"


def measured(generator: Generator) -> EvaluationResult:
    """What ``panohead evaluate --metrics equivariance`` finds."""
    settings = EvaluationSettings(metrics=("equivariance",), heads=1)
    return Evaluation(settings).run({"one": Predictor(generator)})[0]


def test_checkpoints_are_measured() -> None:
    config = replace(tiny.CONFIG, backbone="stylegan3", trigrid_resolution=64, trigrid_channels=1, trigrid_depth=1)
    column = measured(tiny.generator(config=replace(config, channel_max=4)))
    rows = {(result.metric, result.subset): result.value for result in column.results}
    assert list(rows) == [("equivariance", kind) for kind in ("translation", "fractional translation", "rotation")]
    assert min(list(rows.values())[:2]) > 50
    assert {(result.unit, result.better) for result in column.results} == {("dB", "higher")}


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(ValueError, match="64 pixels"):
        equivariance(lambda ws, motion=None: torch.zeros(1, 1, 32, 32), WS)
    (skipped,) = measured(tiny.generator()).skipped
    assert "StyleGAN2's" in skipped.reason
    (skipped,) = measured(tiny.generator(config=replace(tiny.CONFIG, backbone="stylegan3", channel_max=4))).skipped
    assert "resolution 16 is too small" in skipped.reason
