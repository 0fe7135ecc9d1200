"""Where along a ray to look: stratified depths, and importance depths from a first pass (facts section 3, 1 and 5)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Limit = float | Float[Tensor, "batch ray 1"]


def ray_box_limits(
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    *,
    box_warp: float,
    official_missed_rays: bool = False,
) -> tuple[Float[Tensor, "batch ray 1"], Float[Tensor, "batch ray 1"]]:
    """Distances at which rays enter and leave the box; rays that miss it get the widest limits of those that hit.

    Args:
        official_missed_rays: reproduce the original's slip, where the far limit of missed rays comes from the hits'
            *near* limits.
    """
    entry, leave, hit = _intersect(ray_origins, ray_directions, box_warp / 2)
    if bool(hit.any()) and not bool(hit.all()):
        near, far = entry[hit].min(), (entry if official_missed_rays else leave)[hit].max()
        entry, leave = torch.where(hit, entry, near), torch.where(hit, leave, far)
    return entry, leave


def _intersect(
    origins: Float[Tensor, "batch ray 3"], directions: Float[Tensor, "batch ray 3"], half: float
) -> tuple[Float[Tensor, "batch ray 1"], Float[Tensor, "batch ray 1"], Bool[Tensor, "batch ray 1"]]:
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
    """Evenly spaced depths from ``start`` to ``end`` inclusive, each moved on by ``jitter`` in [0, 1) of a step.

    The last sample can therefore lie one step beyond ``end``: kept from the original. ``disparity`` spaces the samples
    evenly in inverse depth instead.
    """
    steps = torch.linspace(0, 1, jitter.shape[-1], device=jitter.device, dtype=jitter.dtype)
    step = 1 / (jitter.shape[-1] - 1)
    fraction = steps + jitter * step
    if disparity:
        return 1 / ((1 / start) * (1 - fraction) + (1 / end) * fraction)
    # The regular part first, then the jitter: the order in which the original rounds.
    return (start + steps * (end - start)) + jitter * ((end - start) * step)


def importance_depths(
    depths: Float[Tensor, "batch ray coarse"],
    weights: Float[Tensor, "batch ray interval"],
    u: Float[Tensor, "batch ray fine"],
) -> Float[Tensor, "batch ray fine"]:
    """Depths drawn where a coarse pass found weight.

    The weights are widened (max over two neighbours, mean of two) and lifted by 0.01; the first and last are dropped
    while all midpoints of the depths stay as bins. So every weight acts on the bin half a step in front of it and the
    last midpoint is never reached: kept from the original.
    """
    smooth = F.max_pool1d(weights, kernel_size=2, stride=1, padding=1)
    smooth = F.avg_pool1d(smooth, kernel_size=2, stride=1) + 0.01
    midpoints = 0.5 * (depths[..., :-1] + depths[..., 1:])
    return sample_pdf(midpoints, smooth[..., 1:-1], u)


def sample_pdf(
    bins: Float[Tensor, "*ray bin"], weights: Float[Tensor, "*ray weight"], u: Float[Tensor, "*ray fine"]
) -> Float[Tensor, "*ray fine"]:
    """Invert the cumulative distribution of ``weights`` at ``u`` in [0, 1), linearly within a bin.

    There is one more entry in the cumulative distribution than there are weights; further bins are not reached.
    """
    pdf = weights + 1e-5
    pdf = pdf / pdf.sum(dim=-1, keepdim=True)
    cdf = F.pad(pdf.cumsum(dim=-1), (1, 0))
    above = torch.searchsorted(cdf, u.contiguous(), right=True)
    below = (above - 1).clamp_min(0)
    above = above.clamp_max(weights.shape[-1])
    cdf_below, cdf_above = cdf.gather(-1, below), cdf.gather(-1, above)
    bin_below, bin_above = bins.gather(-1, below), bins.gather(-1, above)
    width = cdf_above - cdf_below
    width = torch.where(width < 1e-5, torch.ones_like(width), width)
    return bin_below + (u - cdf_below) / width * (bin_above - bin_below)
