"""FIR resampling without inserted zeros, in plain PyTorch: for GPUs.

The reference, :func:`panohead.ops.resample.upfirdn2d`, writes ``up - 1`` zeros after every pixel, convolves all of
them and, going down, throws all but every ``down``-th pixel away. Here every output is computed from the pixels alone:
going up, each of the ``up`` squared phases of the output is a small convolution of its own (polyphase form, Crochiere
and Rabiner 1983, section 3.3); going down, the convolution has a stride. Channels-last memory stays channels-last.

The operation is linear and its transpose is of the same kind, with ``up`` and ``down`` exchanged and the filter
flipped: that is its gradient, of any order. There is none for the filter. Callers ask :func:`unsupported` first.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths


def unsupported(x: Tensor, resample_filter: Tensor | None, up: Any, down: Any) -> str | None:
    """Return why this module does not resample, in a few words; None if it does. Arguments as of ``upfirdn2d``."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if x.device.type == "cpu":
        return "on a CPU, which has kernels of its own"
    return unsuited(resample_filter, up, down)


def unsuited(resample_filter: Tensor | None, up: Any, down: Any) -> str | None:
    """Return why this module cannot resample on any device, in a few words; None if it can."""
    if not (isinstance(up, int) and isinstance(down, int)) or min(up, down) > 1:
        return "other factors"
    if resample_filter is None or resample_filter.ndim != 2:
        return "no filter, or a separable one"
    if resample_filter.requires_grad:
        return "the filter has a gradient"
    return None


def resample(
    x: Float[Tensor, "batch channel height width"],
    kernel: Float[Tensor, "tap_y tap_x"],
    *,
    up: int,
    down: int,
    before: tuple[int, int],
    size: tuple[int, int],
) -> Float[Tensor, "batch channel out_height out_width"]:
    """Return ``y[o] = sum_t kernel[t] z[down o + t]``, where z is x with zeros between and around its pixels.

    Args:
        kernel: correlated with the image: already flipped, its gain applied.
        up, down: factors, one of them 1.
        before: zeros above and left of the image; negative crops.
        size: height and width of the output, which determine the zeros behind.
    """
    return _PolyphaseResample.apply(x, kernel, up, down, before, size)


class _PolyphaseResample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, up: int, down: int, before: tuple[int, int], size: tuple[int, int]
    ) -> Tensor:
        ctx.given = up, down, before, tuple(x.shape[2:])
        ctx.save_for_backward(kernel)
        weight = kernel.to(x.dtype)
        return _shrink(x, weight, down, before, size) if up == 1 else _enlarge(x, weight, up, before, size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        up, down, before, size = ctx.given
        (kernel,) = ctx.saved_tensors
        # y[o] = sum_i x[i] k[up i + before - down o]: exchange x and y; the index of k changes its sign.
        taps_y, taps_x = kernel.shape
        transposed = (taps_y - 1 - before[0], taps_x - 1 - before[1])
        return (
            _PolyphaseResample.apply(grad, kernel.flip(0, 1), down, up, transposed, size),
            None,
            None,
            None,
            None,
            None,
        )


def _shrink(x: Tensor, kernel: Tensor, down: int, before: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return every ``down``-th output of a convolution of each channel by itself."""
    channels = x.shape[1]
    after = [
        (s - 1) * down + taps - b - n for s, taps, b, n in zip(size, kernel.shape, before, x.shape[2:], strict=True)
    ]
    return _convolve(x, kernel.expand(channels, 1, *kernel.shape), before, (after[0], after[1]), stride=down)


def _enlarge(x: Tensor, kernel: Tensor, up: int, before: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Compute all phases of the output by one convolution with up^2 outputs a channel, then side by side.

    Output ``o = up q + before - r`` with r in [0, up) is ``sum_j kernel[r + up j] x[q + j]``: all phases of a q read
    the same pixels.
    """
    batch, channels = x.shape[:2]
    taps = [-(-n // up) for n in kernel.shape]  # per phase
    missing = [up * t - n for t, n in zip(taps, kernel.shape, strict=True)]
    # tap_y*up tap_x*up -> phase_y phase_x tap_y tap_x; the larger r is the earlier output
    phases = F.pad(kernel, (0, missing[1], 0, missing[0])).reshape(taps[0], up, taps[1], up)
    phases = phases.permute(1, 3, 0, 2).flip(0, 1).reshape(up * up, 1, *taps)
    first = [-(b // up) for b in before]  # the first and last q that make an output
    last = [(s - 1 - b + up - 1) // up for s, b in zip(size, before, strict=True)]
    after = [q + t - n for q, t, n in zip(last, taps, x.shape[2:], strict=True)]
    # batch channel*phase_y*phase_x height width
    y = _convolve(x, phases.repeat(channels, 1, 1, 1), (-first[0], -first[1]), (after[0], after[1]), stride=1)
    y = y.unflatten(1, (channels, up, up))
    height, width = y.shape[-2:]
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        # batch height phase_y width phase_x channel
        y = y.permute(0, 4, 2, 5, 3, 1).reshape(batch, height * up, width * up, channels).permute(0, 3, 1, 2)
    else:
        y = y.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, height * up, width * up)
    # The first block of outputs may begin before 0.
    top, left = (up - 1 - up * q - b for q, b in zip(first, before, strict=True))
    return y[:, :, top : top + size[0], left : left + size[1]]


def _convolve(x: Tensor, weight: Tensor, before: tuple[int, int], after: tuple[int, int], *, stride: int) -> Tensor:
    """Convolve every channel by itself; zeros that are the same on both sides need no copy."""
    if before == after and min(before) >= 0:
        return F.conv2d(x, weight, stride=stride, padding=before, groups=x.shape[1])
    x = F.pad(x, (before[1], after[1], before[0], after[0]))
    return F.conv2d(x, weight, stride=stride, groups=x.shape[1])
