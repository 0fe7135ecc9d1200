"""What keeps cameras and densities in order (paper section 3.3; facts section 5).

The density regularisers are EG3D's; PanoHead's own recipe leaves them off.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.models.generator import Generator
from panohead.rendering.field import TriGridField
from panohead.training.conditioning import LossRandomness, conditioning_label
from panohead.training.schedules import Scheduled

DensityRegularizer = Literal["l1", "monotonic-detach", "monotonic-fixed"]

SMOOTH_POINTS = 1000
MONOTONIC_POINTS = 2000
MONOTONIC_WEIGHT = 10.0
"""Fixed in the original: ``weight`` does not scale it."""

MONOTONIC_STEP = 1 / 256
"""Of ``box_warp``: how far behind a point its partner lies, and how far smoothness looks beside it."""


@dataclass(frozen=True, kw_only=True)
class DensityRegularizerConfig:
    """Attributes:
    kind: "l1" asks for smooth density; the other two also that density does not fall toward the back, with
        ("monotonic-fixed") or without ("monotonic-detach") a gradient to the point in front.
    weight: of the smoothness term (official: density_reg).
    distance: standard deviation of the smoothness term's step for "l1", world units (official: density_reg_p_dist).
    """

    kind: DensityRegularizer = "l1"
    weight: float = 0.25
    distance: float = 0.004


@dataclass(frozen=True, kw_only=True)
class PointRandomness:
    """The random numbers of one term: given, or drawn (None).

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
    """``loss`` is what is minimised: both terms, with their weights in."""

    loss: Float[Tensor, ""]
    smoothness: Float[Tensor, ""]
    monotonicity: Float[Tensor, ""]


def camera_offset_penalty(offset: Float[Tensor, "batch 3"]) -> Float[Tensor, ""]:
    """Squared length of the batch's *mean* camera offset (world units squared).

    Only the mean is held: single heads may move their camera, all together may not.
    """
    return offset.mean(dim=0).square().sum()


def smoothness(
    field: TriGridField,
    points: Float[Tensor, "batch point 3"],
    steps: Float[Tensor, "batch point 3"],
    randomness: LossRandomness,
    *,
    density_noise: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean absolute difference of raw density between points and those a step away (world units)."""
    here, there = _densities(field, points, points + steps, randomness, density_noise)
    return F.l1_loss(here, there)


def monotonicity(
    field: TriGridField,
    points: Float[Tensor, "batch point 3"],
    randomness: LossRandomness,
    *,
    detach: bool,
    density_noise: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean amount by which raw density falls from points to those a little behind them (toward -z).

    Args:
        detach: no gradient to the point in front: density may only grow behind it, not shrink before it.
    """
    behind = points - points.new_tensor([0.0, 0.0, MONOTONIC_STEP * field.box_warp])
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
    """The density regulariser at random points of random heads, to be run lazily (official: every 4th step, times 4).

    Kept: points fill [-1, 1] cubed whatever the box, so at a box of side 1 seven of eight lie outside it, where density
    is the decoder's constant; the two terms draw their own conditioning.
    """
    randomness = randomness or LossRandomness()
    step = config.distance if config.kind == "l1" else MONOTONIC_STEP * generator.config.rendering.box_warp
    noise = scheduled.density_noise
    falling = z.new_zeros(())
    if config.kind != "l1":
        given = monotonic_randomness or PointRandomness()
        field = _field(generator, z, label, scheduled, randomness, given)
        points = _points(z, MONOTONIC_POINTS, randomness, given)
        falling = MONOTONIC_WEIGHT * monotonicity(
            field, points, randomness, detach=config.kind == "monotonic-detach", density_noise=noise
        )
    given = smooth_randomness or PointRandomness()
    field = _field(generator, z, label, scheduled, randomness, given)
    points = _points(z, SMOOTH_POINTS, randomness, given)
    steps = randomness.normal(given.steps, points) * step
    rough = config.weight * smoothness(field, points, steps, randomness, density_noise=noise)
    return DensityPenalty(falling + rough, rough, falling)


def _field(
    generator: Generator,
    z: Tensor,
    label: Tensor,
    scheduled: Scheduled,
    randomness: LossRandomness,
    given: PointRandomness,
) -> TriGridField:
    swap = randomness.uniform(given.pose_swap, (), z)
    ws = generator.mapping(z, conditioning_label(label, scheduled.pose_swap_probability, swap.expand(len(z))))
    return generator.field(ws, randomness)


def _points(z: Tensor, count: int, randomness: LossRandomness, given: PointRandomness) -> Tensor:
    return randomness.uniform(given.points, (len(z), count, 3), z) * 2 - 1


def _densities(
    field: TriGridField, first: Tensor, second: Tensor, randomness: LossRandomness, density_noise: float
) -> tuple[Tensor, Tensor]:
    density = field.density(torch.cat([first, second], dim=1))
    if density_noise > 0:
        density = density + randomness.normal(None, density) * density_noise
    one, other = density.chunk(2, dim=1)
    return one, other
