"""What the renderer does to raw densities before it marches (facts section 3, steps 2 and 3)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

EMPTY = -1000.0
"""Raw density whose opacity is exactly zero."""

SOLID = 1000.0


def outside_crop(
    points: Float[Tensor, "batch point 3"], *, box_warp: float, margin: float
) -> Bool[Tensor, "batch point 1"]:
    """Points within ``margin`` (world units) of the box's sides in x or z, or beyond. y is never cropped (kept)."""
    limit = box_warp / 2 - margin
    return (points[..., [0]].abs() > limit) | (points[..., [2]].abs() > limit)


def nearly_transparent(density: Float[Tensor, "batch point 1"], threshold: float) -> Bool[Tensor, "batch point 1"]:
    """Where a unit length of this density would be less opaque than ``threshold``."""
    return 1 - torch.exp(-F.softplus(density - 1)) < threshold


def clean_density(
    density: Float[Tensor, "batch point 1"],
    points: Float[Tensor, "batch point 3"],
    *,
    box_warp: float,
    crop_margin: float,
    cull_clouds: float | None = None,
    binarize_clouds: float | None = None,
) -> Float[Tensor, "batch point 1"]:
    """Empty the rim of the box, and on request the clouds: density of low opacity."""
    if crop_margin > 0:
        density = density.masked_fill(outside_crop(points, box_warp=box_warp, margin=crop_margin), EMPTY)
    if binarize_clouds is not None:
        empty = nearly_transparent(density, binarize_clouds)
        return torch.full_like(density, SOLID).masked_fill(empty, EMPTY)
    if cull_clouds is not None:
        density = density.masked_fill(nearly_transparent(density, cull_clouds), EMPTY)
    return density
