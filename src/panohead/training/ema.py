"""Exponential moving average (EMA) of the generator, the network that is used in the end (docs/reference.md 5.10)."""

import torch
from torch import Tensor, nn

RAMP_UP = 0.05
"""Upper bound of the half-life as a fraction of the images shown so far; matters early in training."""


def default_half_life_kimg(batch: int) -> float:
    """Return the official half-life: 10 kimg at a batch of 32, in proportion to the batch."""
    return batch * 10 / 32


def ema_beta(batch: int, nimg: float, *, half_life_kimg: float, ramp_up: float | None = RAMP_UP) -> float:
    """Return the weight of the old average in a step of ``batch`` images: 0.5^(batch / half-life).

    Args:
        batch: images per step, over all devices.
        nimg: images shown before this step.
        half_life_kimg: thousands of images after which half of the average is new.
        ramp_up: bound of the half-life as a fraction of ``nimg``; None for no bound (a resumed run of the original).
    """
    half_life = half_life_kimg * 1000  # images
    if ramp_up is not None:
        half_life = min(half_life, nimg * ramp_up)
    # At nimg = 0 the half-life is 0 and beta must be 0, not a division by zero.
    return 0.5 ** (batch / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, beta: float) -> None:
    """Update the average's parameters, in place: beta average + (1 - beta) network. Buffers (w_avg too) are copied.

    Args:
        beta: weight of the old average, see :func:`ema_beta`; 1 keeps the average, 0 copies the network.
    """
    # In this order beta = 1 returns the exact bits of the average and beta = 0 those of the network.
    means: list[Tensor] = list(average.parameters())
    parameters: list[Tensor] = list(network.parameters())
    # All tensors at once: a few kernels on a GPU instead of two for each tensor.
    torch._foreach_copy_(means, torch._foreach_lerp(parameters, means, beta))
    buffers = list(average.buffers())
    if buffers:
        torch._foreach_copy_(buffers, list(network.buffers()))
