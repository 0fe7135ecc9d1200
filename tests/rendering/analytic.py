"""A ball of uniform density whose image is known in closed form."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

RADIUS = 0.3


class Ball:
    """Raw density ``inside`` within the radius, nothing outside; features are the position."""

    def __init__(self, inside: float) -> None:
        self.inside = inside

    def __call__(
        self, points: Float[Tensor, "batch point 3"]
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point 3"]]:
        inside = points.norm(dim=-1, keepdim=True) < RADIUS
        return torch.where(inside, self.inside, -1000.0), points


def chord(distance_from_center: float) -> float:
    """Length of a line's part inside the ball."""
    return 2 * math.sqrt(max(RADIUS**2 - distance_from_center**2, 0))


def optical_depth(raw_density: float, length: float) -> float:
    """Optical depth of a chord of the ball: the renderer's softplus of density - 1 times the length."""
    return math.log1p(math.exp(raw_density - 1)) * length
