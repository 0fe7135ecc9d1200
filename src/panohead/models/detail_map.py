"""Detail left out of a generator in chosen places of the tri-grid's space."""

from copy import deepcopy
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.models.generator import Generator

_REACHES = (1, 2, 4)
"""Texels that values spread to places where none are given, each at a thousandth of the one before."""


def with_detail_map(generator: Generator, side: int) -> Generator:
    """Return a copy of a generator with a map of where its :class:`SurfaceDetail` is left out: nowhere so far.

    Args:
        generator: generator with ``surface_detail`` and without such a map.
        side: texels per side.
    """
    copied = deepcopy(generator)
    assert copied.surface_detail is not None
    copied.surface_detail.left_out = copied.mapping_network.w_avg.new_zeros(side, side, side)
    copied.config = replace(copied.config, detail_map=side)
    return copied


def volume_of_points(
    points: Float[Tensor, "point 3"], values: Float[Tensor, " point"], *, side: int, box_warp: float
) -> Float[Tensor, "side side side"]:
    """Return a volume (z y x) that says in places with points what these say on average, and near them the same.

    Args:
        points: world units.
        values: a number of each point.
        side: texels per side.
        box_warp: side of the box that the volume fills, world units.
    """
    # The inverse of trilinear interpolation: each point tells its value to the eight texels about it.
    at = (points / box_warp + 0.5) * side - 0.5
    low = at.floor()
    told = points.new_zeros(2, side**3)  # sum of weighted values, and of weights
    for corner in range(8):
        step = at.new_tensor([corner & 1, corner >> 1 & 1, corner >> 2])
        weight = (1 - (at - low - step).abs()).prod(dim=1)
        x, y, z = (low + step).long().clamp(0, side - 1).unbind(dim=1)
        told.index_add_(1, (z * side + y) * side + x, torch.stack([weight * values, weight]))
    volume = told.view(1, 2, side, side, side)
    for number, reach in enumerate(_REACHES):
        near = F.avg_pool3d(volume, 2 * reach + 1, stride=1, padding=reach)
        volume = volume + near * 1e-3 ** (number + 1)
    return volume[0, 0] / volume[0, 1].clamp_min(1e-12)
