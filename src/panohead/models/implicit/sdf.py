"""StyleSDF's field: signed distances by modulated sine layers (Or-El et al. 2022, section 3.1)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.models.implicit.config import ImplicitFieldConfig
from panohead.models.implicit.siren import SineColor, SineTrunk
from panohead.stylegan.layers import FullyConnected

_MIN_BETA = 1e-4
_MAX_DISTANCES = 60.0
"""Distance outside, in units of beta, beyond which density stays the same: exp(-60), nothing."""


def raw_density(
    distance: Float[Tensor, "*point 1"], beta: Float[Tensor, ""], scale: float
) -> Float[Tensor, "*point 1"]:
    """Return the renderer's raw density of signed distances: softplus(raw - 1) is StyleSDF's density (equation 1).

    sigma = sigmoid(-distance / beta) / beta; per world unit it is ``scale`` times that.

    Args:
        distance: negative inside, in units of 1 / ``scale`` world units.
        beta: width of the transition, in the same unit.
        scale: units of distance in a world unit.
    """
    ratio = (-distance / beta).clamp_min(-_MAX_DISTANCES)
    log_density = F.logsigmoid(ratio) + torch.log(scale / beta)
    density = log_density.exp()
    # log(exp(s) - 1) = s + log(1 - exp(-s)) = log s + s + log((1 - exp(-s)) / s); the last is 0 where s is small.
    small = density < 1e-3
    ratio_of_one = -torch.expm1(-density.masked_fill(small, 1.0)) / density.masked_fill(small, 1.0)
    last = torch.where(small, -density / 2, ratio_of_one.log())
    return log_density + density + last + 1


class SdfField(nn.Module):
    """Signed distances and features (StyleSDF section 3.1).

    The distance is that of a sphere plus the network's output: StyleSDF first trains its network to a sphere.
    """

    def __init__(self, config: ImplicitFieldConfig, *, w_dim: int, out_features: int, box_warp: float) -> None:
        super().__init__()
        self.num_ws = config.layers + 1
        self.scale, self.radius = 2 / box_warp, config.sphere_radius
        self.trunk = SineTrunk(config, w_dim=w_dim, scale=self.scale)
        self.distance_output = FullyConnected(config.width, 1)
        self.color = SineColor(config, w_dim=w_dim, out_features=out_features)
        self.log_beta = nn.Parameter(torch.tensor(math.log(config.initial_beta)))
        with torch.no_grad():
            self.distance_output.weight.mul_(0.05)

    @property
    def beta(self) -> Float[Tensor, ""]:
        """Width of the transition of density, learned, with the box in [-1, 1]."""
        return self.log_beta.exp().clamp_min(_MIN_BETA)

    def distance(
        self, points: Float[Tensor, "batch point 3"], ws: Float[Tensor, "batch num_ws w_dim"]
    ) -> Float[Tensor, "batch point 1"]:
        """Return signed distances of points in world units, negative inside, with the box in [-1, 1]."""
        return self._distance(points, self.trunk(points, ws))

    def density(
        self, points: Float[Tensor, "batch point 3"], ws: Float[Tensor, "batch num_ws w_dim"]
    ) -> Float[Tensor, "batch point 1"]:
        """Return raw density at points in world units."""
        return raw_density(self.distance(points, ws), self.beta, self.scale)

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"] | None,
        ws: Float[Tensor, "batch num_ws w_dim"],
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Return raw density and colors in [0, 1]; directions are of unit length, away from the camera."""
        hidden = self.trunk(points, ws)
        density = raw_density(self._distance(points, hidden), self.beta, self.scale)
        return density, self.color(hidden, directions, ws[:, -1])

    def _distance(self, points: Tensor, hidden: Tensor) -> Tensor:
        # The small number keeps the gradient at the center finite.
        sphere = (points.square().sum(dim=2, keepdim=True) * self.scale**2 + 1e-12).sqrt() - self.radius
        return sphere + F.linear(hidden, *self.distance_output.scaled())
