"""pi-GAN's field: sine layers modulated by the latent (Chan et al. 2021, section 3).

A layer is ``sin(gamma * (W x + b) + phase)`` (pi-GAN equation 2): SIREN's sine layer (Sitzmann et al. 2020) with
feature-wise linear modulation (Perez et al. 2018) of its frequencies. gamma and phase are linear in w, a row of ws for
every layer; so truncation in w is pi-GAN's truncation of frequencies and phases, in which it is linear too.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.models.implicit.config import ImplicitFieldConfig
from panohead.stylegan.layers import FullyConnected


class ModulatedSine(nn.Module):
    """Sine layer whose frequencies and phases come from w.

    Initialized as SIREN (Sitzmann et al. 2020, section 3.2): with gamma = omega_0, W is uniform within 1 / n in the
    first layer and within sqrt(6 / n) / omega_0 in the others, so that the arguments of all sines but the first have
    unit variance and their values the arcsine distribution, at any depth. Weights are stored at unit variance and
    scaled at run time (equalized learning rate, StyleGAN2), so that one learning rate serves all of the generator.

    Args:
        first: True for the layer that takes the points.
        frequency: omega_0.
        modulation: standard deviation of frequencies, as a share of omega_0, and of phases at initialization.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        w_dim: int,
        frequency: float,
        modulation: float,
        first: bool = False,
    ) -> None:
        super().__init__()
        self.frequency, self.modulation = frequency, modulation
        bound = 1 / in_features if first else math.sqrt(6 / in_features) / frequency
        self.weight = nn.Parameter(_unit_uniform(out_features, in_features))
        self.bias = nn.Parameter(_unit_uniform(out_features) if first else torch.zeros(out_features))
        self.weight_gain = bound / math.sqrt(3)
        # Phases within +-pi in the first layer; none further on, where they would shift the sines' means away from 0.
        self.bias_gain = math.pi / frequency / math.sqrt(3)
        self.style = FullyConnected(w_dim, 2 * out_features)

    def modulations(
        self, w: Float[Tensor, "batch w_dim"]
    ) -> tuple[Float[Tensor, "batch out_features"], Float[Tensor, "batch out_features"]]:
        """Return gamma = omega_0 (1 + modulation a) and phases modulation p, a and p being linear in w."""
        share, phase = (self.modulation * self.style(w)).chunk(2, dim=1)
        return self.frequency * (1 + share), phase

    def forward(
        self, x: Float[Tensor, "batch point in_features"], w: Float[Tensor, "batch w_dim"]
    ) -> Float[Tensor, "batch point out_features"]:
        """Return sin(gamma (W x + b) + phase), in [-1, 1]."""
        gamma, phase = self.modulations(w)
        # gamma into the weights: one product per head, and no further pass over the points.
        weight = self.weight * self.weight_gain * gamma[:, :, None]  # batch out in
        shift = self.bias * self.bias_gain * gamma + phase  # batch out
        return torch.baddbmm(shift[:, None], x, weight.transpose(1, 2)).sin()


class SineTrunk(nn.Module):
    """Modulated sine layers from points to hidden units: what pi-GAN's and StyleSDF's fields share.

    Args:
        scale: factor that brings world units to [-1, 1].
    """

    def __init__(self, config: ImplicitFieldConfig, *, w_dim: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        widths = [3, *[config.width] * config.layers]
        self.layers = nn.ModuleList(
            ModulatedSine(
                widths[i],
                widths[i + 1],
                w_dim=w_dim,
                frequency=config.frequency,
                modulation=config.modulation,
                first=i == 0,
            )
            for i in range(config.layers)
        )

    def forward(
        self, points: Float[Tensor, "batch point 3"], ws: Float[Tensor, "batch num_ws w_dim"]
    ) -> Float[Tensor, "batch point width"]:
        """Return hidden units at points in world units; layer i takes row i of ws."""
        x = points * self.scale
        for layer, w in zip(self.layers, ws.unbind(dim=1), strict=False):
            x = layer(x, w)
        return x


class SineColor(nn.Module):
    """A last sine layer, of hidden units and direction, and a linear one to colors in [0, 1] (pi-GAN figure 2)."""

    def __init__(self, config: ImplicitFieldConfig, *, w_dim: int, out_features: int) -> None:
        super().__init__()
        self.view_dependent = config.view_dependent
        self.layer = ModulatedSine(
            config.width + (3 if config.view_dependent else 0),
            config.width,
            w_dim=w_dim,
            frequency=config.frequency,
            modulation=config.modulation,
        )
        self.output = FullyConnected(config.width, out_features)

    def forward(
        self,
        hidden: Float[Tensor, "batch point width"],
        directions: Float[Tensor, "batch point 3"] | None,
        w: Float[Tensor, "batch w_dim"],
    ) -> Float[Tensor, "batch point channel"]:
        """Return sigmoid colors; without directions, those of the zero vector."""
        if self.view_dependent:
            seen = hidden.new_zeros(*hidden.shape[:2], 3) if directions is None else directions
            hidden = torch.cat([hidden, seen], dim=2)
        return torch.sigmoid(F.linear(self.layer(hidden, w), *self.output.scaled()))


class SirenField(nn.Module):
    """pi-GAN's field (section 3.1): hidden units of the point to density; with the direction to color."""

    def __init__(self, config: ImplicitFieldConfig, *, w_dim: int, out_features: int, box_warp: float) -> None:
        super().__init__()
        self.num_ws = config.layers + 1
        self.density_gain = config.density_gain
        self.trunk = SineTrunk(config, w_dim=w_dim, scale=2 / box_warp)
        self.density_output = FullyConnected(config.width, 1)
        self.color = SineColor(config, w_dim=w_dim, out_features=out_features)

    def density(
        self, points: Float[Tensor, "batch point 3"], ws: Float[Tensor, "batch num_ws w_dim"]
    ) -> Float[Tensor, "batch point 1"]:
        """Return raw density at points in world units."""
        return self._density(self.trunk(points, ws))

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"] | None,
        ws: Float[Tensor, "batch num_ws w_dim"],
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Return raw density and colors in [0, 1]; directions are of unit length, away from the camera."""
        hidden = self.trunk(points, ws)
        return self._density(hidden), self.color(hidden, directions, ws[:, -1])

    def _density(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, *self.density_output.scaled()) * self.density_gain


def _unit_uniform(*shape: int) -> Tensor:
    """Return uniform numbers of mean 0 and variance 1."""
    # In place: an expression of random numbers would load PyTorch's compiler where networks are only planned.
    return torch.empty(*shape).uniform_(-math.sqrt(3), math.sqrt(3))
