"""Volume rendering by the midpoint rule (Max 1995; facts section 3, step 4)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Composite:
    """What a march along rays gives. Depth is the weighted mean distance, still unclamped (NaN without weight)."""

    features: Float[Tensor, "batch ray channel"]
    depth: Float[Tensor, "batch ray 1"]
    weights: Float[Tensor, "batch ray interval"]
    weight_sum: Float[Tensor, "batch ray 1"]


def interval_weights(
    density: Float[Tensor, "batch ray sample"], depths: Float[Tensor, "batch ray sample"]
) -> Float[Tensor, "batch ray interval"]:
    """Weight of every interval between neighbouring samples: opacity times the transmittance in front of it.

    Raw density is shifted by one and passed through softplus; N samples give N - 1 weights, with nothing beyond the
    last sample.
    """
    thickness = F.softplus((density[..., :-1] + density[..., 1:]) / 2 - 1) * (depths[..., 1:] - depths[..., :-1])
    alpha = 1 - torch.exp(-thickness)
    passed = F.pad(1 - alpha + 1e-10, (1, 0), value=1.0)
    return alpha * torch.cumprod(passed, dim=-1)[..., :-1]


def composite(
    features: Float[Tensor, "batch ray sample channel"],
    density: Float[Tensor, "batch ray sample"],
    depths: Float[Tensor, "batch ray sample"],
) -> Composite:
    """March along rays whose samples are sorted by depth."""
    weights = interval_weights(density, depths)
    weight_sum = weights.sum(dim=-1, keepdim=True)
    # The mean of two neighbours, weighted, is every sample weighted by half of both intervals that it borders.
    sample_weights = (F.pad(weights, (1, 0)) + F.pad(weights, (0, 1))) / 2
    rendered = torch.einsum("brs,brsc->brc", sample_weights, features)
    depth = (sample_weights * depths).sum(dim=-1, keepdim=True) / weight_sum
    return Composite(rendered, depth, weights, weight_sum)


def clamp_depth(
    depth: Float[Tensor, "batch ray 1"], depths: Float[Tensor, "batch ray sample"]
) -> Float[Tensor, "batch ray 1"]:
    """Limit depth to the range of *all* samples of the batch; rays without weight get the farthest (kept)."""
    return torch.nan_to_num(depth, nan=float("inf")).clamp(depths.min(), depths.max())
