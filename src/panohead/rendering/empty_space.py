"""Empty space, found once per head, so that no ray is sampled there.

Most samples of a ray lie in front of a head or beside it. A coarse grid of the density tells where, for the price of a
part of one image; the compiled renderers then evaluate the samples near surfaces only, and can afford closer ones. The
idea is that of the occupancy grids of Instant NGP (Müller et al., SIGGRAPH 2022, section 5.2); here a grid belongs to
one head and holds no history.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.rendering import fused_cpu
from panohead.rendering.field import TriGridField

_TRANSPARENT = -5.0
"""Raw density from which space is not empty: below, a unit length absorbs less than 0.3 % (softplus of -6)."""


@torch.no_grad()
def find_empty_space(field: TriGridField, cells: int) -> TriGridField:
    """Return the field with its grid of occupied cells.

    A cell is occupied if its center or that of one of its 26 neighbors is not transparent. What is thinner than a cell
    and ends within it can be missed, so cells should not be much wider than two texels.

    Args:
        cells: cells per side of the box; 0 returns the field as it is.
    """
    if cells == 0:
        return field
    half = field.box_warp / 2
    line = (torch.arange(cells, device=field.planes.device) + 0.5) * (2 * half / cells) - half
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    centers = torch.stack([x, y, z], dim=-1).reshape(1, -1, 3).expand(len(field.planes), -1, -1)
    detached = field.detach()
    if fused_cpu.unsupported(detached, centers) is None:
        density = fused_cpu.query_density(detached, centers)
    else:
        density = detached.density(centers)
    solid = (density > _TRANSPARENT).reshape(-1, 1, cells, cells, cells)
    occupied = F.max_pool3d(solid.float(), 3, stride=1, padding=1)[:, 0] > 0
    return replace(field, occupied=occupied)


def in_empty_space(
    points: Float[Tensor, "batch point 3"], occupied: Bool[Tensor, "batch cells cells cells"], box_warp: float
) -> Bool[Tensor, "batch point"]:
    """Return which points lie in empty cells; none outside the box does."""
    cells = occupied.shape[-1]
    position = (points * (2 / box_warp) + 1) * (0.5 * cells)
    inside = ((position >= 0) & (position < cells)).all(dim=-1)
    x, y, z = position.long().clamp(0, cells - 1).unbind(-1)
    found = occupied.flatten(1).gather(1, (z * cells + y) * cells + x)
    return inside & ~found
