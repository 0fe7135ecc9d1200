"""Affine warps of pictures without aliasing (ADA, Karras et al. 2020, appendix B).

As in the paper, a picture is enlarged twice, sampled bilinearly and shrunk again. Two things differ:

- The low-pass filter. The paper's wavelet (sym6) gives back exactly what was merely enlarged and shrunk, but it is not
  quite symmetric. Ours, as long, is symmetric and gives back to within 0.4 %, with a lower stop band; it mirrors and
  turns like the picture.
- Beyond the edges the picture is reflected about the edge, not about the centre of the last pixel: thus pictures of
  different resolution are reflected about the same line and stay aligned.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

HALF_BAND_TAPS = (-0.00460254, 0.02095141, -0.00395039, -0.08678924, 0.09107125, 0.4833195)
"""First half of the filter: least sum of the power above 0.75 pi and the squared error of giving back a picture."""

_REACH = len(HALF_BAND_TAPS) - 1
"""Fine pixels that shrinking needs beyond either edge."""

_FOLD = len(HALF_BAND_TAPS) // 2
"""Pixels that enlarging needs beyond either edge."""


def warp(
    x: Float[Tensor, "batch channel size size"], sources: Float[Tensor, "batch 3 3"]
) -> Float[Tensor, "batch channel size size"]:
    """Pictures whose pixels come from elsewhere, reflected beyond their edges; differentiable once, in ``x``.

    Hard edges ring, as they do in the paper: beside a step from 0 to 1 values reach about -0.15 and 1.15.

    Args:
        sources: from where a pixel lies to where it comes from; coordinates from -1 to 1 between the edges.
    """
    size = x.shape[-1]
    enlarge, shrink = enlarging_matrix(size, x.device).to(x.dtype), shrinking_matrix(size, x.device).to(x.dtype)
    steps = torch.arange(-_REACH, 2 * size + _REACH, device=x.device, dtype=x.dtype)
    along = (steps + 0.5) / size - 1
    sources = sources.to(x.dtype)[:, None, None]
    column, row, shift = sources[..., :2, 0], sources[..., :2, 1], sources[..., :2, 2]
    grid = along[None, None, :, None] * column + (along[None, :, None, None] * row + shift)
    with torch.autocast(x.device.type, enabled=False):
        fine = enlarge @ x @ enlarge.T
        sampled = F.grid_sample(fine, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return shrink @ sampled @ shrink.T


def enlarging_matrix(size: int, device: torch.device) -> Float[Tensor, "fine_size size"]:
    """From ``size`` pixels to twice as many, filtered; beyond its edges the picture is reflected.

    Products with such matrices, mostly zeros though they are, take a fraction of the time of convolutions by channel.
    """
    beyond = 2 * _FOLD + _REACH
    weights = 2 * shrinking_matrix(size + 2 * _FOLD, device).T[beyond:-beyond]
    folded = weights[:, _FOLD:-_FOLD].clone()
    folded[:, :_FOLD] += weights[:, :_FOLD].flip(1)
    folded[:, -_FOLD:] += weights[:, -_FOLD:].flip(1)
    return folded


def shrinking_matrix(size: int, device: torch.device) -> Float[Tensor, "size fine_size"]:
    """From twice as many fine pixels, and 5 more beyond either end, to ``size`` pixels, filtered."""
    taps = torch.tensor((*HALF_BAND_TAPS, *reversed(HALF_BAND_TAPS)), device=device)
    fine_pixels = torch.arange(2 * size + 2 * _REACH, device=device)
    tap = fine_pixels - 2 * torch.arange(size, device=device)[:, None]
    return torch.where((tap >= 0) & (tap < len(taps)), taps[tap.clamp(0, len(taps) - 1)], 0.0)
