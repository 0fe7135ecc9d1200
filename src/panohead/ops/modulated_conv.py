"""Convolution modulated by a style (StyleGAN2 section 2.2, equations 1 and 3; facts section 2).

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
        noise: added after demodulation; one map for all channels, optionally one per sample.
        demodulate: divide every output channel by the norm of its scaled weight.
        fused: one grouped convolution with per-sample weights (inference) or one convolution with shared weights
            between two scalings (training). Equal up to rounding.
    """
    if x.dtype == torch.float16 and demodulate:
        weight, styles = _prenormalize(weight, styles)
    demodulation = demodulation_factors(weight, styles) if demodulate else None
    if fused:
        x = _fused(x, weight, styles, demodulation, up, padding, resample_filter, flip_weight)
    else:
        x = x * styles.to(x.dtype)[:, :, None, None]
        x = conv2d_resample(x, weight.to(x.dtype), resample_filter, up=up, padding=padding, flip_weight=flip_weight)
        if demodulation is not None:
            x = x * demodulation.to(x.dtype)[:, :, None, None]
    return x if noise is None else x + noise.to(x.dtype)


def demodulation_factors(
    weight: Float[Tensor, "out_channel in_channel kernel kernel"], styles: Float[Tensor, "batch in_channel"]
) -> Float[Tensor, "batch out_channel"]:
    """1 / norm of every output filter after its input channels are scaled: rsqrt(sum (w s)^2 + 1e-8), equation 3."""
    energy = weight.square().sum(dim=(2, 3))
    return torch.rsqrt(styles.square() @ energy.T + 1e-8)


def _prenormalize(
    weight: Float[Tensor, "out_channel in_channel kernel kernel"], styles: Float[Tensor, "batch in_channel"]
) -> tuple[Float[Tensor, "out_channel in_channel kernel kernel"], Float[Tensor, "batch in_channel"]]:
    """Keep half precision from overflowing; demodulation cancels both factors."""
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
    batch = x.shape[0]
    weights = weight * styles[:, None, :, None, None]
    if demodulation is not None:
        weights = weights * demodulation[:, :, None, None, None]
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
