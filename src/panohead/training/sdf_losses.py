"""Losses of signed distances: Eikonal and minimal surface (StyleSDF section 3.2)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.errors import UsageError
from panohead.limits import NumberRange
from panohead.models.generator import Generator
from panohead.models.implicit import SdfField
from panohead.system.bounds import Bounded, NotNegative
from panohead.training.conditioning import LossRandomness, conditioning_label
from panohead.training.schedules import Scheduled

SURFACE_SHARPNESS = 100.0
"""Factor of distances in the minimal surface loss (StyleSDF equation 7), with the box in [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class SdfLossConfig(Bounded):
    """Weights of the losses of signed distances. The defaults are StyleSDF's.

    Attributes:
        eikonal_weight: weight of the Eikonal loss.
        surface_weight: weight of the minimal surface loss.
        points: random points of the box at which each head's distances are taken.
    """

    eikonal_weight: NotNegative = 0.1
    surface_weight: NotNegative = 0.05
    points: Annotated[int, NumberRange(1, 2**20)] = 512


@dataclass(frozen=True)
class SdfPenalty:
    """Losses of signed distances: their weighted sum, and each without its weight."""

    loss: Float[Tensor, ""]
    eikonal: Float[Tensor, ""]
    surface: Float[Tensor, ""]


def eikonal_loss(gradient: Float[Tensor, "*point 3"]) -> Float[Tensor, ""]:
    """Return the mean of (|grad d| - 1)^2: zero for distances (StyleSDF equation 6).

    Args:
        gradient: of the distance by the point, both in one unit.
    """
    # The small number keeps the norm's own gradient finite at zero.
    return ((gradient.square().sum(dim=-1) + 1e-12).sqrt() - 1).square().mean()


def minimal_surface_loss(distance: Float[Tensor, "*point 1"]) -> Float[Tensor, ""]:
    """Return the mean of exp(-100 |d|): no more surface than images need (StyleSDF equation 7)."""
    return torch.exp(-SURFACE_SHARPNESS * distance.abs()).mean()


def sdf_penalty(
    generator: Generator,
    z: Float[Tensor, "batch z_dim"],
    label: Float[Tensor, "batch 25"],
    scheduled: Scheduled,
    config: SdfLossConfig,
    randomness: LossRandomness,
) -> SdfPenalty:
    """Compute both losses at random points of the box.

    StyleSDF takes them at the samples of its rays; points that no camera sees are distances here, too.

    Args:
        z, label: latent codes and cameras of generated heads.
        scheduled: swap probability of the step.
        randomness: source of all random numbers.

    Raises:
        UsageError: for a generator without signed distances.
    """
    field = generator.implicit
    if not isinstance(field, SdfField):
        raise UsageError("the losses of signed distances need a generator with the implicit field sdf")
    swap = randomness.uniform(None, (len(z),), z)
    ws = generator.mapping(z, conditioning_label(label, scheduled.pose_swap_probability, swap))
    box = generator.config.rendering.box_warp
    points = (randomness.uniform(None, (len(z), config.points, 3), z) - 0.5) * box
    points.requires_grad_(True)
    distance = field.distance(points, ws)
    (gradient,) = torch.autograd.grad(distance.sum(), points, create_graph=True)
    # Distances have the box in [-1, 1], points world units.
    eikonal, surface = eikonal_loss(gradient / field.scale), minimal_surface_loss(distance)
    return SdfPenalty(config.eikonal_weight * eikonal + config.surface_weight * surface, eikonal, surface)
