"""Placing of the second pass's samples on a CPU: evaluate, march and draw depths while a ray is in the cache.

The reference is a density query at the first pass's samples, :func:`panohead.rendering.compositing.interval_weights`
and :func:`panohead.rendering.sampling.importance_depths`. Samples behind something opaque are not evaluated.
"""

import math

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from panohead.ops import fast_paths
from panohead.ops.cpu.jit import load_failure
from panohead.ops.cpu.threads import run
from panohead.rendering import fused_cpu
from panohead.rendering.field import TriGridField
from panohead.rendering.fused_cpu import _OPAQUE, _TILE, _array, _grid, _layers, _pieces, _ray_order
from panohead.rendering.trigrid import texel_contiguous

_KERNELS = "panohead.rendering.importance_kernels"
_MIN_SAMPLES = 4


@torch.no_grad()
def unsupported(field: TriGridField, coarse_samples: int, *others: Tensor) -> str | None:
    """Return why this module cannot place samples, in a few words; None if it can. ``others``: rays and depths."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if coarse_samples < _MIN_SAMPLES:
        return "too few samples"
    reason = fused_cpu.unsupported(field, *others)
    return load_failure(_KERNELS) if reason is None else reason


@torch.no_grad()
def place_samples(
    field: TriGridField,
    ray_origins: Float32[Tensor, "batch ray 3"],
    ray_directions: Float32[Tensor, "batch ray 3"],
    depths: Float32[Tensor, "batch ray coarse"],
    u: Float32[Tensor, "batch ray fine"],
    *,
    crop_margin: float,
) -> Float32[Tensor, "batch ray fine"]:
    """Return sorted depths of a second pass, at the quantiles ``u`` of the weights of a first pass.

    Args:
        depths: distances of the first pass, at least 4 per ray, not decreasing along it.
        crop_margin: rim of the box (x and z) that is emptied, world units; 0 for none.
    """
    from panohead.rendering import importance_kernels as kernels
    from panohead.rendering.fused_cpu_kernels import Rays

    batch, count, _ = depths.shape
    found = torch.empty(u.shape)
    layer, density, _ = _layers(field.decoder)
    crop = np.float32(field.box_warp / 2 - crop_margin if crop_margin > 0 else math.inf)
    planes, order = texel_contiguous(field.planes), _ray_order(count)
    zero = np.float32(0)  # limits of the resulting depth, which is not computed here

    def work(part: tuple[int, tuple[int, int]]) -> None:
        image, (start, end) = part
        origins, directions, first, quantiles = (_array(x[image]) for x in (ray_origins, ray_directions, depths, u))
        rays = Rays(origins, directions, first, quantiles, crop, zero, zero, np.float32(_OPAQUE))
        kernels.place(order[start:end], rays, _grid(planes[image], field, image), layer, density, found[image].numpy())

    run(work, [(image, part) for image in range(batch) for part in _pieces(count, _TILE**2)])
    return found
