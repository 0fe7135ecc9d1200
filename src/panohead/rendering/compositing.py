"""Volume rendering by the midpoint rule (Max 1995; NeRF equation 3; docs/reference.md 3.7)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Composite:
    """Composited rays.

    Attributes:
        features: weighted sum of the features.
        depth: weighted mean distance, world units; not clamped, NaN without weight.
        weights: weight of every interval between neighboring samples.
        weight_sum: sum of the weights, in [0, 1]: the foreground mask.
    """

    features: Float[Tensor, "batch ray channel"]
    depth: Float[Tensor, "batch ray 1"]
    weights: Float[Tensor, "batch ray interval"]
    weight_sum: Float[Tensor, "batch ray 1"]


def interval_weights(
    density: Float[Tensor, "batch ray sample"], depths: Float[Tensor, "batch ray sample"]
) -> Float[Tensor, "batch ray interval"]:
    """Return the weight of every interval between neighboring samples: opacity times transmittance in front of it.

    alpha_i = 1 - exp(-softplus(mean sigma_i - 1) delta_i), weight_i = alpha_i prod_{j < i} (1 - alpha_j + 1e-10).
    N samples give N - 1 weights, with nothing beyond the last sample. The shift by 1 is
    MipNeRF's; 1e-10 keeps the transmittance from becoming exactly 0.

    Args:
        density: raw, any real number.
        depths: increasing along the ray.
    """
    # batch ray interval
    thickness = F.softplus((density[..., :-1] + density[..., 1:]) / 2 - 1) * (depths[..., 1:] - depths[..., :-1])
    alpha = 1 - torch.exp(-thickness)
    # Transmittance up to the end of each interval, with 1 in front of the first.
    passed = F.pad(1 - alpha + 1e-10, (1, 0), value=1.0)
    return alpha * torch.cumprod(passed, dim=-1)[..., :-1]


def composite(
    features: Float[Tensor, "batch ray sample channel"],
    density: Float[Tensor, "batch ray sample"],
    depths: Float[Tensor, "batch ray sample"],
) -> Composite:
    """Composite samples that are sorted by depth."""
    weights = interval_weights(density, depths)
    weight_sum = weights.sum(dim=-1, keepdim=True)
    # The mean of two neighbors, weighted, is every sample weighted by half of both intervals that it borders:
    # batch ray interval -> batch ray sample.
    sample_weights = (F.pad(weights, (1, 0)) + F.pad(weights, (0, 1))) / 2
    rendered = torch.einsum("brs,brsc->brc", sample_weights, features)
    depth = (sample_weights * depths).sum(dim=-1, keepdim=True) / weight_sum
    return Composite(rendered, depth, weights, weight_sum)


def clamp_depth(
    depth: Float[Tensor, "batch ray 1"], depths: Float[Tensor, "batch ray sample"]
) -> Float[Tensor, "batch ray 1"]:
    """Limit depth to the range of *all* samples of the batch; rays without weight get the farthest.

    Matches the official code (docs/reference.md 3.9), although one ray's limit so depends on the others.
    """
    return torch.nan_to_num(depth, nan=float("inf")).clamp(depths.min(), depths.max())
