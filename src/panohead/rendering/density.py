"""Changes of raw densities before compositing: crop and removal of clouds (docs/reference.md 3.6)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

EMPTY = -1000.0
"""Raw density whose opacity is exactly zero."""

SOLID = 1000.0
"""Raw density that is opaque within any interval."""


def outside_crop(
    points: Float[Tensor, "batch point 3"], *, box_warp: float, margin: float
) -> Bool[Tensor, "batch point 1"]:
    """Return which points lie within ``margin`` of the box's sides in x or z, or beyond (world units).

    Matches the official code: y is never cropped.
    """
    limit = box_warp / 2 - margin
    return (points[..., 0:1].abs() > limit) | (points[..., 2:3].abs() > limit)


def nearly_transparent(density: Float[Tensor, "batch point 1"], threshold: float) -> Bool[Tensor, "batch point 1"]:
    """Return where a unit length of this density would be less opaque than ``threshold`` (0 to 1)."""
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
    """Empty the rim of the box, and on request clouds: density of low opacity.

    Args:
        density: raw.
        points: world units.
        box_warp, crop_margin: side of the box and width of the emptied rim, world units; margin 0 for no crop.
        cull_clouds: opacity of a unit length below which density becomes EMPTY; None for none.
        binarize_clouds: the same, and all other density becomes SOLID.
    """
    if crop_margin > 0:
        density = density.masked_fill(outside_crop(points, box_warp=box_warp, margin=crop_margin), EMPTY)
    if binarize_clouds is not None:
        empty = nearly_transparent(density, binarize_clouds)
        return torch.full_like(density, SOLID).masked_fill(empty, EMPTY)
    if cull_clouds is not None:
        density = density.masked_fill(nearly_transparent(density, cull_clouds), EMPTY)
    return density
