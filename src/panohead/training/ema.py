"""The generator's running average, which is the one that gets used (facts section 5)."""

import torch
from torch import nn

RAMP_UP = 0.05
"""Share of the images seen so far that bounds the half-life while training is young."""


def default_half_life_kimg(batch: int) -> float:
    """The official half-life: 10 kimg at a batch of 32, in proportion to the batch."""
    return batch * 10 / 32


def ema_beta(batch: int, nimg: float, *, half_life_kimg: float, ramp_up: float | None = RAMP_UP) -> float:
    """How much of the old average a step of ``batch`` images keeps.

    Args:
        nimg: images seen before this step.
        half_life_kimg: thousands of images after which half of the average is new.
        ramp_up: bounds the half-life by this share of ``nimg``; None (a resumed run of the original) does not.
    """
    half_life = half_life_kimg * 1000
    if ramp_up is not None:
        half_life = min(half_life, nimg * ramp_up)
    return 0.5 ** (batch / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, beta: float) -> None:
    """Move the average's parameters toward the network's, in place; buffers (w_avg among them) are copied.

    Args:
        beta: 1 leaves the average alone, 0 copies the network; see :func:`ema_beta`.
    """
    for mean, parameter in zip(average.parameters(), network.parameters(), strict=True):
        mean.copy_(parameter.lerp(mean, beta))
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
