"""Affine warps of images without aliasing (ADA, Karras et al. 2020, appendix B).

As in the paper, an image is upsampled by 2, sampled bilinearly and downsampled again. Two things differ:

- The low-pass filter. The paper's wavelet (sym6) reconstructs exactly what was merely upsampled and downsampled, but it
  is not quite symmetric. Ours, equally long, is symmetric and reconstructs to within 0.4 %, with a lower stop band;
  filtering commutes with mirroring and quarter turns.
- Beyond the edges the image is reflected about the edge, not about the center of the last pixel: thus images of
  different resolution are reflected about the same line and stay aligned.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

HALF_BAND_TAPS = (-0.00460254, 0.02095141, -0.00395039, -0.08678924, 0.09107125, 0.4833195)
"""First half of the symmetric filter; minimizes the power above 0.75 pi plus the squared reconstruction error."""

_REACH = len(HALF_BAND_TAPS) - 1
"""Number of fine pixels that downsampling needs beyond either edge."""

_FOLD = len(HALF_BAND_TAPS) // 2
"""Number of pixels that upsampling needs beyond either edge."""


def warp(
    x: Float[Tensor, "batch channel size size"], sources: Float[Tensor, "batch 3 3"]
) -> Float[Tensor, "batch channel size size"]:
    """Warp images, reflected beyond their edges; differentiable once, in ``x``.

    Hard edges ring, as they do in the paper: beside a step from 0 to 1 values reach about -0.15 and 1.15.

    Args:
        x: square images, any range.
        sources: homogeneous matrices from a pixel to its source; coordinates from -1 to 1 between the edges.
    """
    size = x.shape[-1]
    up = upsampling_matrix(size, x.device).to(x.dtype)  # 2*size size
    down = downsampling_matrix(size, x.device).to(x.dtype)  # size 2*size+2*_REACH
    # Centers of the fine pixels, those beyond the edges included.
    fine_pixels = torch.arange(-_REACH, 2 * size + _REACH, device=x.device, dtype=x.dtype)
    along = (fine_pixels + 0.5) / size - 1
    # grid = A (x, y) + t for every fine pixel, without a matrix product that TF32 might round.
    sources = sources.to(x.dtype)[:, None, None]  # batch 1 1 3 3
    column, row, shift = sources[..., :2, 0], sources[..., :2, 1], sources[..., :2, 2]
    grid = along[None, None, :, None] * column + (along[None, :, None, None] * row + shift)  # batch fine fine 2
    with torch.autocast(x.device.type, enabled=False):
        fine = up @ x @ up.T  # batch channel 2*size 2*size
        sampled = F.grid_sample(fine, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return down @ sampled @ down.T  # batch channel size size


@lru_cache(maxsize=16)  # resolutions and devices of a run; made anew they would be copied to the device each time
def upsampling_matrix(size: int, device: torch.device) -> Float[Tensor, "fine_size size"]:
    """Return the matrix of filtered upsampling by 2; beyond its edges the image is reflected.

    Products with such matrices, though mostly zeros, take a fraction of the time of depthwise convolutions.
    """
    # Upsampling is the transpose of downsampling times 2 (zeros between pixels lose half of the sum), on an image with
    # _FOLD more pixels at either end, whose weights are then folded back onto the pixels that they mirror.
    beyond = 2 * _FOLD + _REACH
    weights = 2 * downsampling_matrix(size + 2 * _FOLD, device).T[beyond:-beyond]
    folded = weights[:, _FOLD:-_FOLD].clone()
    folded[:, :_FOLD] += weights[:, :_FOLD].flip(1)
    folded[:, -_FOLD:] += weights[:, -_FOLD:].flip(1)
    return folded


@lru_cache(maxsize=16)
def downsampling_matrix(size: int, device: torch.device) -> Float[Tensor, "size fine_size"]:
    """Return the matrix of filtered downsampling by 2, from fine pixels that reach 5 beyond either end."""
    taps = torch.tensor((*HALF_BAND_TAPS, *reversed(HALF_BAND_TAPS)), device=device)
    fine_pixels = torch.arange(2 * size + 2 * _REACH, device=device)
    # Row i: the taps, shifted by two fine pixels per pixel.
    tap = fine_pixels - 2 * torch.arange(size, device=device)[:, None]
    return torch.where((tap >= 0) & (tap < len(taps)), taps[tap.clamp(0, len(taps) - 1)], 0.0)
