"""Regularizers of the generator: camera offsets (PanoHead 3.4) and densities (docs/reference.md 5.5 and 5.7).

The density regularizers are EG3D's (supplement); PanoHead's own recipe leaves them off.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.models.generator import Generator
from panohead.rendering.field import HeadField
from panohead.system.bounds import Bounded, NotNegative
from panohead.training.conditioning import LossRandomness, conditioning_label
from panohead.training.schedules import Scheduled

DensityRegularizer = Literal["l1", "monotonic-detach", "monotonic-fixed"]

SMOOTH_POINTS = 1000
"""Random points per sample for the smoothness term."""

MONOTONIC_POINTS = 2000
"""Random points per sample for the monotonicity term."""

MONOTONIC_WEIGHT = 10.0
"""Weight of the monotonicity term; fixed in the original, ``weight`` does not scale it."""

MONOTONIC_STEP = 1 / 256
"""Distance between a point and the one behind it, as a fraction of ``box_warp``; the kinds with monotonicity also use
it as the standard deviation of the smoothness term's step."""


@dataclass(frozen=True, kw_only=True)
class DensityRegularizerConfig(Bounded):
    """Settings of the density regularizer (official: reg_type).

    Attributes:
        kind: "l1" penalizes rough density; the other two also density that falls toward the back, with
            ("monotonic-fixed") or without ("monotonic-detach") a gradient to the point in front.
        weight: weight of the smoothness term (official: density_reg).
        distance: standard deviation of the smoothness term's step for "l1", world units (official:
            density_reg_p_dist).
    """

    kind: DensityRegularizer = "l1"
    weight: NotNegative = 0.25
    distance: NotNegative = 0.004


@dataclass(frozen=True, kw_only=True)
class PointRandomness:
    """Random numbers of one term; those that are None are drawn.

    Attributes:
        pose_swap: uniform [0, 1): one number for the whole batch.
        points: uniform [0, 1), mapped to [-1, 1] cubed.
        steps: standard normal, before scaling (smoothness only).
    """

    pose_swap: Float[Tensor, ""] | None = None
    points: Float[Tensor, "batch point 3"] | None = None
    steps: Float[Tensor, "batch point 3"] | None = None


@dataclass(frozen=True)
class DensityPenalty:
    """Terms of the density regularizer, weights included; ``loss`` is their sum."""

    loss: Float[Tensor, ""]
    smoothness: Float[Tensor, ""]
    monotonicity: Float[Tensor, ""]


def camera_offset_penalty(offset: Float[Tensor, "batch 3"]) -> Float[Tensor, ""]:
    """Return the squared length of the batch's *mean* camera offset, world units squared (PanoHead 3.4).

    Only the mean is penalized: single samples may move their camera, the whole batch may not drift.
    """
    # mean: 3; then the squared length of one vector
    return offset.mean(dim=0).square().sum()


def smoothness(
    field: HeadField,
    points: Float[Tensor, "batch point 3"],
    steps: Float[Tensor, "batch point 3"],
    randomness: LossRandomness,
    *,
    density_noise: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the mean absolute difference of raw density between points and points a step away.

    Args:
        field: densities of the samples.
        points, steps: positions and displacements, world units.
        randomness: source of the density noise.
        density_noise: standard deviation of the noise on the densities.
    """
    here, there = _densities(field, points, points + steps, randomness, density_noise)
    return F.l1_loss(here, there)


def monotonicity(
    field: HeadField,
    points: Float[Tensor, "batch point 3"],
    randomness: LossRandomness,
    *,
    detach: bool,
    density_noise: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the mean decrease of raw density from points to points a little behind them (toward -z).

    Args:
        field: densities of the samples.
        points: positions, world units; the head faces +z.
        randomness: source of the density noise.
        detach: no gradient to the point in front: density can only be raised behind it, not lowered before it.
        density_noise: standard deviation of the noise on the densities.
    """
    # The face looks along +z, so "behind" is a step of box_warp / 256 toward -z.
    x, y, z = points.unbind(dim=-1)
    behind = torch.stack([x, y, z - MONOTONIC_STEP * field.box_warp], dim=-1)
    front, back = _densities(field, points, behind, randomness, density_noise)
    return F.relu((front.detach() if detach else front) - back).mean()


def density_penalty(
    generator: Generator,
    z: Float[Tensor, "batch z_dim"],
    label: Float[Tensor, "batch 25"],
    scheduled: Scheduled,
    config: DensityRegularizerConfig,
    randomness: LossRandomness | None = None,
    *,
    smooth_randomness: PointRandomness | None = None,
    monotonic_randomness: PointRandomness | None = None,
) -> DensityPenalty:
    """Compute the density regularizer at random points of generated heads; lazy (official: every 4th step, times 4).

    Matches the official code: points fill [-1, 1] cubed whatever the box, so with a box of side 1 seven of eight lie
    outside it, where density is the decoder's constant; the two terms draw their own conditioning.

    Args:
        z: latent codes, standard normal.
        label: cameras that mapping is conditioned on, before swapping.
        scheduled: swap probability and density noise of the step.
        randomness: source of all random numbers that the last two arguments do not give.
        smooth_randomness, monotonic_randomness: given random numbers of the two terms.
    """
    randomness = randomness or LossRandomness()
    # The kinds with monotonicity ignore ``distance`` and take the monotonicity term's step.
    step = config.distance if config.kind == "l1" else MONOTONIC_STEP * generator.config.rendering.box_warp
    noise = scheduled.density_noise
    # The order of the terms is that of the official code, and so is the order of the random numbers.
    monotonic_term = z.new_zeros(())
    if config.kind != "l1":
        given = monotonic_randomness or PointRandomness()
        field = _field(generator, z, label, scheduled, randomness, given)
        points = _points(z, MONOTONIC_POINTS, randomness, given)
        monotonic_term = MONOTONIC_WEIGHT * monotonicity(
            field, points, randomness, detach=config.kind == "monotonic-detach", density_noise=noise
        )
    given = smooth_randomness or PointRandomness()
    field = _field(generator, z, label, scheduled, randomness, given)
    points = _points(z, SMOOTH_POINTS, randomness, given)
    steps = randomness.normal(given.steps, points) * step  # batch point 3, world units
    smooth_term = config.weight * smoothness(field, points, steps, randomness, density_noise=noise)
    return DensityPenalty(monotonic_term + smooth_term, smooth_term, monotonic_term)


def _field(
    generator: Generator,
    z: Tensor,
    label: Tensor,
    scheduled: Scheduled,
    randomness: LossRandomness,
    given: PointRandomness,
) -> HeadField:
    swap = randomness.uniform(given.pose_swap, (), z)  # one number: all samples swap or none does
    ws = generator.mapping(z, conditioning_label(label, scheduled.pose_swap_probability, swap.expand(len(z))))
    return generator.field(ws, randomness)


def _points(z: Tensor, count: int, randomness: LossRandomness, given: PointRandomness) -> Tensor:
    # Uniform in [-1, 1]^3, world units: batch point 3.
    return randomness.uniform(given.points, (len(z), count, 3), z) * 2 - 1


def _densities(
    field: HeadField, first: Tensor, second: Tensor, randomness: LossRandomness, density_noise: float
) -> tuple[Tensor, Tensor]:
    # One call for both sets of points: the tri-grid is sampled once.
    density = field.density(torch.cat([first, second], dim=1))  # batch 2*point 1
    if density_noise > 0:
        density = density + randomness.normal(None, density) * density_noise
    density_first, density_second = density.chunk(2, dim=1)
    return density_first, density_second
