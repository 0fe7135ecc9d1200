"""Resizing and blurring of the discriminator's inputs (docs/reference.md 4.1 and 5.4)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.ops.resample import Filter, downsample2d, upfirdn2d, upsample2d

ResizeMode = str | float
"""Mode of :func:`filtered_resizing`: "antialiased", "none", "classic", or a blend's antialiased share in (0, 1)."""


def resize_bilinear(
    x: Float[Tensor, "batch channel height width"], size: int, *, antialias: bool
) -> Float[Tensor, "batch channel size size"]:
    """Resize bilinearly to a square; pixel edges, not centers, stay in place (``align_corners=False``)."""
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=antialias)


def filtered_resizing(
    x: Float[Tensor, "batch channel height width"],
    size: int,
    *,
    resample_filter: Filter,
    mode: ResizeMode = "antialiased",
) -> Float[Tensor, "batch channel size size"]:
    """Resize an image for a discriminator.

    Args:
        size: pixels per side of the result.
        resample_filter: low-pass of the mode "classic".
        mode: see :data:`ResizeMode`.

    Raises:
        ValueError: for an unknown mode.
    """
    if mode == "antialiased":
        return resize_bilinear(x, size, antialias=True)
    if mode == "none":
        return resize_bilinear(x, size, antialias=False)
    if mode == "classic":
        # twice the size and a rim of one pixel on all sides, which the low-pass of the downsampling uses up
        x = resize_bilinear(upsample2d(x, resample_filter), size * 2 + 2, antialias=False)
        return downsample2d(x, resample_filter, extra_padding=-1)
    if isinstance(mode, float) and 0 < mode < 1:
        aliased, filtered = (resize_bilinear(x, size, antialias=antialias) for antialias in (False, True))
        return (1 - mode) * aliased + mode * filtered
    raise ValueError(f"unknown resize mode {mode!r}; use 'antialiased', 'none', 'classic' or a number between 0 and 1")


def gaussian_blur(
    x: Float[Tensor, "batch channel height width"], sigma: float
) -> Float[Tensor, "batch channel height width"]:
    """Blur separably with taps 2^-((i / sigma)^2), |i| <= floor(3 sigma), and zeros outside.

    Args:
        sigma: pixels; under 1/3 the image is returned as it is.
    """
    radius = int(3 * sigma)
    if radius <= 0:
        return x
    # 2^-(i / sigma)^2, a Gaussian of standard deviation sigma / sqrt(2 ln 2) = 0.85 sigma
    taps = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32).div(sigma).square().neg().exp2()
    return upfirdn2d(x, taps / taps.sum(), padding=(radius, radius, radius, radius))
