"""The camera's and the density's regularizers: golden values and gradients, then laws."""

import math

import pytest
import torch

from panohead.ops.fast_paths import plain_only
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.field import TriGridField
from panohead.training.conditioning import LossRandomness
from panohead.training.regularizers import (
    DensityRegularizer,
    DensityRegularizerConfig,
    PointRandomness,
    camera_offset_penalty,
    density_penalty,
    monotonicity,
    smoothness,
)
from parity import training_case as golden
from parity.golden import assert_close, tensor
from parity.training_case import BATCH, draw

QUIET = LossRandomness(noise_mode="none")


def golden_randomness(case: str) -> tuple[PointRandomness, PointRandomness | None]:
    """The random numbers of the smoothness and the monotonicity term."""
    first = 0 if case == "Greg_l1" else 2
    smooth = PointRandomness(
        pose_swap=draw(case, first, ()),
        points=draw(case, first + 1, (BATCH, 1000, 3)),
        steps=draw(case, 0 if case == "Greg_l1" else 1, (BATCH, 1000, 3), "randn_like"),
    )
    if case == "Greg_l1":
        return smooth, None
    return smooth, PointRandomness(pose_swap=draw(case, 0, ()), points=draw(case, 1, (BATCH, 2000, 3)))


@pytest.mark.parametrize(
    ("case", "kind"),
    [("Greg_l1", "l1"), ("Greg_monodetach", "monotonic-detach"), ("Greg_monofixed", "monotonic-fixed")],
)
def test_density_penalty_is_golden(case: str, kind: DensityRegularizer) -> None:
    """In plain PyTorch: where two densities are nearly equal, another order of sums turns the sign of L1's gradient.

    Other processors sum in another order too: one turned sign among the points of L1 is worth a few thousandths.
    """
    generator = golden.generator()
    smooth, monotonic = golden_randomness(case)
    with plain_only():
        result = density_penalty(
            generator,
            tensor("loss", "gen_z"),
            tensor("loss", "gen_c"),
            golden.scheduled(case),
            DensityRegularizerConfig(kind=kind),
            QUIET,
            smooth_randomness=smooth,
            monotonic_randomness=monotonic,
        )
        result.loss.backward()
    assert_close("loss", f"{case}/stat/Loss/G/TVloss", result.smoothness)
    if kind == "monotonic-detach":
        assert_close("loss", f"{case}/stat/Loss/G/monotonic_loss", result.monotonicity)
    torch.testing.assert_close(result.loss, result.smoothness + result.monotonicity)
    golden.assert_gradients(case, generator, gain=4, relative=1e-2 if kind == "l1" else golden.RELATIVE)


def linear_field(slope: float) -> TriGridField:
    """Density ``slope`` z + constant inside the box: a ramp in the slices of plane 0."""
    depth = 64
    planes = torch.zeros(1, 3, 1, depth, 2, 2)
    centers = (torch.arange(depth) + 0.5) / depth - 0.5
    planes[:, 0, 0] = 3 * slope * centers[:, None, None]
    big = 50.0
    # softplus is linear far from zero, so the decoder hands the feature through.
    decoder = DecoderWeights(
        torch.ones(1, 1), torch.full((1,), big), torch.ones(2, 1), torch.full((2,), -big), activation="none"
    )
    return TriGridField(planes.requires_grad_(), decoder, 1.0)


INSIDE = (torch.rand(1, 500, 3, generator=torch.Generator().manual_seed(1)) - 0.5) * 0.4


def test_smoothness_of_a_ramp_is_its_slope() -> None:
    steps = torch.zeros_like(INSIDE)
    steps[..., 2] = 0.01
    value = float(smoothness(linear_field(5.0), INSIDE, steps, QUIET).detach())
    assert value == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("slope", [5.0, -5.0])
def test_only_density_that_falls_toward_the_back_is_punished(slope: float) -> None:
    value = float(monotonicity(linear_field(slope), INSIDE, QUIET, detach=True).detach())
    # The back is -z: a density that grows with z falls toward it.
    assert value == pytest.approx(max(slope, 0) / 256, rel=1e-3, abs=1e-6)


def test_detaching_keeps_the_front_where_it_is() -> None:
    gradients = []
    for detach in (True, False):
        field = linear_field(5.0)
        monotonicity(field, INSIDE, QUIET, detach=detach).backward()
        assert field.planes.grad is not None
        gradients.append(field.planes.grad.sum())
    # Attached, what front and back ask for cancels; detached, only more density is asked for.
    assert float(gradients[1]) == pytest.approx(0.0, abs=1e-5)
    assert float(gradients[0]) < -0.1


def test_density_noise_reaches_the_queries() -> None:
    randomness = LossRandomness(noise_mode="none", generator=torch.Generator().manual_seed(2))
    flat = linear_field(0.0)
    assert float(smoothness(flat, INSIDE, INSIDE * 0, randomness).detach()) == 0
    noisy = float(smoothness(flat, INSIDE, INSIDE * 0, randomness, density_noise=0.5).detach())
    # Mean absolute difference of two normal numbers is 2 / sqrt(pi).
    assert noisy == pytest.approx(0.5 * 2 / math.sqrt(math.pi), rel=0.15)


def test_camera_offset_penalty_holds_the_mean_alone() -> None:
    offset = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, -2.0]])
    assert float(camera_offset_penalty(offset)) == 4.0
    assert float(camera_offset_penalty(offset - offset.mean(dim=0))) == 0.0
