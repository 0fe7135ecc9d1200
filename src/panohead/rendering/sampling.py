"""Placing of samples along rays: stratified depths, and importance depths from a first pass.

Source: NeRF sections 4 (equation 2) and 5.2; docs/reference.md 3.5, 3.8 and 3.10.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Limit = float | Float[Tensor, "batch ray 1"]
"""Distance from the ray's origin, world units: one for all rays or one per ray."""


def ray_box_limits(
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    *,
    box_warp: float,
    official_missed_rays: bool = False,
) -> tuple[Float[Tensor, "batch ray 1"], Float[Tensor, "batch ray 1"]]:
    """Return the distances at which rays enter and leave the box (docs/reference.md 3.10).

    Rays that miss the box get the widest limits of those that hit it.

    Args:
        box_warp: side of the box, centered at the origin, world units.
        official_missed_rays: reproduce the original's defect: the far limit of missed rays is the largest *near* limit.
    """
    entry, leave, hit = _intersect(ray_origins, ray_directions, box_warp / 2)
    # Masked instead of selected, so that nothing waits for the device; where no ray hits, all stay as they are.
    near = torch.where(hit, entry, torch.inf).amin()
    far = torch.where(hit, entry if official_missed_rays else leave, -torch.inf).amax()
    own = hit | ~hit.any()
    return torch.where(own, entry, near), torch.where(own, leave, far)


def _intersect(
    origins: Float[Tensor, "batch ray 3"], directions: Float[Tensor, "batch ray 3"], half: float
) -> tuple[Float[Tensor, "batch ray 1"], Float[Tensor, "batch ray 1"], Bool[Tensor, "batch ray 1"]]:
    """Slab test: near and far distance, and hit, for a box of +-``half``."""
    # Distances to both planes of each axis, batch ray 3; inside all three slabs means inside the box.
    first, second = (-half - origins) / directions, (half - origins) / directions
    entry = torch.minimum(first, second).amax(dim=-1, keepdim=True)
    leave = torch.maximum(first, second).amin(dim=-1, keepdim=True)
    return entry, leave, entry <= leave


def stratified_depths(
    start: Limit,
    end: Limit,
    jitter: Float[Tensor, "batch ray sample"],
    *,
    disparity: bool = False,
) -> Float[Tensor, "batch ray sample"]:
    """Return evenly spaced depths from ``start`` to ``end`` inclusive, each displaced by ``jitter`` steps.

    Matches the official code: the last sample can lie one step beyond ``end``. NeRF equation 2 draws inside the
    intervals instead.

    Args:
        start, end: distances, world units.
        jitter: in [0, 1).
        disparity: space the samples evenly in inverse depth.
    """
    steps = torch.linspace(0, 1, jitter.shape[-1], device=jitter.device, dtype=jitter.dtype)
    step = 1 / (jitter.shape[-1] - 1)
    fraction = steps + jitter * step
    if disparity:
        return 1 / ((1 / start) * (1 - fraction) + (1 / end) * fraction)
    # start + (k + jitter) (end - start) / (N - 1), rounded in the original's order: first the regular part.
    return (start + steps * (end - start)) + jitter * ((end - start) * step)


def importance_depths(
    depths: Float[Tensor, "batch ray coarse"],
    weights: Float[Tensor, "batch ray interval"],
    u: Float[Tensor, "batch ray fine"],
) -> Float[Tensor, "batch ray fine"]:
    """Return depths drawn where a coarse pass found weight (NeRF section 5.2; docs/reference.md 3.8).

    The weights are widened (max over two neighbors, mean of two) and lifted by 0.01; the first and last are dropped
    while all midpoints of the depths stay as bins. Matches the official code: so every weight acts on the bin half a
    step in front of it, and the last midpoint is never reached.

    Args:
        u: quantiles in [0, 1), in any order.
    """
    # N samples have N - 1 weights: max pool to N, mean pool back to N - 1 (MipNeRF's blur).
    smooth = F.max_pool1d(weights, kernel_size=2, stride=1, padding=1)
    smooth = F.avg_pool1d(smooth, kernel_size=2, stride=1) + 0.01
    midpoints = 0.5 * (depths[..., :-1] + depths[..., 1:])
    return sample_pdf(midpoints, smooth[..., 1:-1], u)  # N - 1 bin borders, N - 3 weights


def sample_pdf(
    bins: Float[Tensor, "*ray bin"], weights: Float[Tensor, "*ray weight"], u: Float[Tensor, "*ray fine"]
) -> Float[Tensor, "*ray fine"]:
    """Invert the cumulative distribution of ``weights`` at ``u`` in [0, 1), linearly within a bin.

    Args:
        bins: borders; there is one more entry in the cumulative distribution than there are weights, so borders after
            that many are not reached.
        weights: not negative, of any sum.
    """
    pdf = weights + 1e-5  # a ray without weight is sampled evenly
    pdf = pdf / pdf.sum(dim=-1, keepdim=True)
    cdf = F.pad(pdf.cumsum(dim=-1), (1, 0))  # ... weight+1
    above = torch.searchsorted(cdf, u.contiguous(), right=True)
    below = (above - 1).clamp_min(0)
    above = above.clamp_max(weights.shape[-1])
    cdf_below, cdf_above = cdf.gather(-1, below), cdf.gather(-1, above)
    bin_below, bin_above = bins.gather(-1, below), bins.gather(-1, above)
    width = cdf_above - cdf_below
    # Matches the official code: nearly empty bins count as wide, so that u there stays at the lower border.
    width = torch.where(width < 1e-5, torch.ones_like(width), width)
    return bin_below + (u - cdf_below) / width * (bin_above - bin_below)
