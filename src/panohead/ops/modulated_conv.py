"""Convolution modulated by a style (StyleGAN2 section 2.2, equations 1 and 3; docs/reference.md 2.6).

:func:`modulated_conv2d` is the plain reference in both of its equal formulations; ``fused`` chooses between them.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops.resample import Filter, conv2d_resample


def modulated_conv2d(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel in_channel kernel kernel"],
    styles: Float[Tensor, "batch in_channel"],
    *,
    noise: Float[Tensor, "*noise_batch out_height out_width"] | None = None,
    up: int = 1,
    padding: int = 0,
    resample_filter: Filter | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    fused: bool = True,
) -> Float[Tensor, "batch out_channel out_height out_width"]:
    """Scale the input channels by ``styles``, convolve, and bring the outputs back to unit variance.

    Args:
        up: factor of upsampling.
        padding: padding of the plain convolution.
        resample_filter: low-pass of upsampling.
        noise: added after demodulation; one map for all channels, optionally one per sample.
        demodulate: divide every output channel by the norm of its scaled weight.
        flip_weight: as of :func:`conv2d_resample`.
        fused: one grouped convolution with per-sample weights (inference) or one convolution with shared weights
            between two scalings (training). Equal up to rounding.
    """
    if x.dtype == torch.float16 and demodulate:
        weight, styles = _prenormalize(weight, styles)
    demodulation = demodulation_factors(weight, styles) if demodulate else None
    if fused:
        x = _fused(x, weight, styles, demodulation, up, padding, resample_filter, flip_weight)
    else:
        # Equation 1 on the input instead of the weight, equation 3 on the output: both are linear.
        x = x * styles.to(x.dtype)[:, :, None, None]
        x = conv2d_resample(x, weight.to(x.dtype), resample_filter, up=up, padding=padding, flip_weight=flip_weight)
        if demodulation is not None:
            x = x * demodulation.to(x.dtype)[:, :, None, None]
    return x if noise is None else x + noise.to(x.dtype)


def demodulation_factors(
    weight: Float[Tensor, "out_channel in_channel kernel kernel"], styles: Float[Tensor, "batch in_channel"]
) -> Float[Tensor, "batch out_channel"]:
    """Return 1 / norm of every output filter with its input channels scaled: rsqrt(sum (w s)^2 + 1e-8), equation 3."""
    # sum_ik (w_oik s_i)^2 = sum_i s_i^2 sum_k w_oik^2: a matrix product, without per-sample weights.
    energy = weight.square().sum(dim=(2, 3))
    return torch.rsqrt(styles.square() @ energy.T + 1e-8)


def _prenormalize(
    weight: Float[Tensor, "out_channel in_channel kernel kernel"], styles: Float[Tensor, "batch in_channel"]
) -> tuple[Float[Tensor, "out_channel in_channel kernel kernel"], Float[Tensor, "batch in_channel"]]:
    """Scale weight and style so that half precision does not overflow; demodulation cancels both factors."""
    fan_in = weight[0].numel()
    weight = weight / (math.sqrt(fan_in) * weight.abs().amax(dim=(1, 2, 3), keepdim=True))
    return weight, styles / styles.abs().amax(dim=1, keepdim=True)


def _fused(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel in_channel kernel kernel"],
    styles: Float[Tensor, "batch in_channel"],
    demodulation: Float[Tensor, "batch out_channel"] | None,
    up: int,
    padding: int,
    resample_filter: Filter | None,
    flip_weight: bool,
) -> Float[Tensor, "batch out_channel out_height out_width"]:
    """Run one grouped convolution, a group per sample, with per-sample weights."""
    batch = x.shape[0]
    # batch out_channel in_channel kernel kernel
    weights = weight * styles[:, None, :, None, None]
    if demodulation is not None:
        weights = weights * demodulation[:, :, None, None, None]
    # 1 batch*in_channel height width -> 1 batch*out_channel out_height out_width
    x = conv2d_resample(
        x.reshape(1, -1, *x.shape[2:]),
        weights.flatten(0, 1).to(x.dtype),
        resample_filter,
        up=up,
        padding=padding,
        groups=batch,
        flip_weight=flip_weight,
    )
    return x.reshape(batch, -1, *x.shape[2:])
