"""FIR resampling: upfirdn and what is built on it (StyleGAN2 appendix B; docs/reference.md 2.9)."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.ops import polyphase
from panohead.ops.cpu import fir as fir_cpu

_SEPARABLE_FROM = 8  # as in the original: shorter filters are applied as one 2-D kernel

Filter = Float[Tensor, "tap_y tap_x"] | Float[Tensor, " tap"]
Padding = tuple[int, int, int, int]
"""Pixels of zeros left, right, top, bottom; negative crops."""


def fir_filter(taps: Sequence[float] = (1, 3, 3, 1)) -> Filter:
    """Return a low-pass filter that sums to 1: 2-D (outer product) below eight taps, 1-D separable from there on."""
    # numpy: arithmetic on the meta device, where networks are planned, imports torch._dynamo (a second of a processor).
    filter_1d = np.asarray(taps, np.float32)
    result = filter_1d if len(taps) >= _SEPARABLE_FROM else np.outer(filter_1d, filter_1d)
    return torch.as_tensor(result / result.sum())


def filter_size(resample_filter: Filter | None) -> tuple[int, int]:
    """Return width and height of a filter in taps; (1, 1) for None."""
    if resample_filter is None:
        return 1, 1
    return resample_filter.shape[-1], resample_filter.shape[0]


def upfirdn2d(
    x: Float[Tensor, "batch channel height width"],
    resample_filter: Filter | None,
    *,
    up: int | tuple[int, int] = 1,
    down: int | tuple[int, int] = 1,
    padding: Padding = (0, 0, 0, 0),
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Float[Tensor, "batch channel out_height out_width"]:
    """Insert ``up - 1`` zeros after every pixel, pad or crop, convolve, keep every ``down``-th pixel.

    Args:
        up, down: one factor for both axes or (x, y).
        padding: left, right, top, bottom, in pixels after the insertion of zeros; negative crops.
        flip_filter: correlate instead of convolving.
        gain: factor of the output; the square of ``up`` keeps the mean.
    """
    batch, channels, height, width = x.shape
    up_x, up_y = (up, up) if isinstance(up, int) else up
    down_x, down_y = (down, down) if isinstance(down, int) else down
    if fir_cpu.unsupported(x, resample_filter, up, down, (padding[2], padding[0])) is None:
        # (padded size - taps) / down + 1
        size = (
            (height * up_y + padding[2] + padding[3] - 4) // down_y + 1,
            (width * up_x + padding[0] + padding[1] - 4) // down_x + 1,
        )
        return fir_cpu.resample(x, up=up_x, down=down_x, before=(padding[2], padding[0]), size=size, gain=gain)
    if polyphase.unsupported(x, resample_filter, up, down) is None:
        return upfirdn2d_polyphase(
            x, resample_filter, up=up, down=down, padding=padding, flip_filter=flip_filter, gain=gain
        )
    if up_x > 1 or up_y > 1:
        # Zeros after every pixel: pad the axes of size 1, then merge them.
        x = x.reshape(batch, channels, height, 1, width, 1)
        x = F.pad(x, (0, up_x - 1, 0, 0, 0, up_y - 1)).reshape(batch, channels, height * up_y, width * up_x)
    x = F.pad(x, padding)
    if resample_filter is not None:
        x = _convolve_channels(x, resample_filter, flip_filter, gain)
    elif gain != 1:
        x = x * gain
    # batch channel out_height out_width
    return x[:, :, ::down_y, ::down_x]


def upfirdn2d_polyphase(
    x: Float[Tensor, "batch channel height width"],
    resample_filter: Filter | None,
    *,
    up: int | tuple[int, int] = 1,
    down: int | tuple[int, int] = 1,
    padding: Padding = (0, 0, 0, 0),
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Float[Tensor, "batch channel out_height out_width"]:
    """Return :func:`upfirdn2d` without inserted zeros, on any device; what it takes :func:`polyphase.unsuited` says."""
    assert resample_filter is not None
    assert isinstance(up, int)
    assert isinstance(down, int)
    kernel = resample_filter * gain
    taps_y, taps_x = kernel.shape
    size = (
        (x.shape[2] * up + padding[2] + padding[3] - taps_y) // down + 1,
        (x.shape[3] * up + padding[0] + padding[1] - taps_x) // down + 1,
    )
    before = (padding[2], padding[0])
    kernel = kernel if flip_filter else kernel.flip(0, 1)
    return polyphase.resample(x, kernel, up=up, down=down, before=before, size=size)


def _convolve_channels(
    x: Float[Tensor, "batch channel height width"], resample_filter: Filter, flip_filter: bool, gain: float
) -> Float[Tensor, "batch channel out_height out_width"]:
    """Convolve every channel by itself, without padding."""
    kernel = resample_filter.to(x.dtype) * gain ** (resample_filter.ndim / 2)
    if not flip_filter:
        kernel = kernel.flip(list(range(kernel.ndim)))
    channels = x.shape[1]
    if kernel.ndim == 2:
        return F.conv2d(x, kernel.expand(channels, 1, *kernel.shape), groups=channels)
    # columns, then rows
    x = F.conv2d(x, kernel[:, None].expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(x, kernel[None, :].expand(channels, 1, 1, -1), groups=channels)


def upsample2d(
    x: Float[Tensor, "batch channel height width"], resample_filter: Filter, factor: int = 2
) -> Float[Tensor, "batch channel out_height out_width"]:
    """Enlarge by ``factor``, keeping the mean; for the 4-tap filter the padding is 2 before and 1 after."""
    taps_x, taps_y = filter_size(resample_filter)
    # taps - 1 in all: n inputs give factor n outputs
    padding = (
        (taps_x + factor - 1) // 2,
        (taps_x - factor) // 2,
        (taps_y + factor - 1) // 2,
        (taps_y - factor) // 2,
    )
    return upfirdn2d(x, resample_filter, up=factor, padding=padding, gain=factor * factor)


def downsample2d(
    x: Float[Tensor, "batch channel height width"],
    resample_filter: Filter,
    factor: int = 2,
    *,
    extra_padding: int = 0,
) -> Float[Tensor, "batch channel out_height out_width"]:
    """Shrink by ``factor``; for the 4-tap filter one pixel of zeros on all sides, and ``extra_padding`` pixels more."""
    taps_x, taps_y = filter_size(resample_filter)
    padding = (
        extra_padding + (taps_x - factor + 1) // 2,
        extra_padding + (taps_x - factor) // 2,
        extra_padding + (taps_y - factor + 1) // 2,
        extra_padding + (taps_y - factor) // 2,
    )
    return upfirdn2d(x, resample_filter, down=factor, padding=padding)


def filter2d(
    x: Float[Tensor, "batch channel height width"], resample_filter: Filter
) -> Float[Tensor, "batch channel height width"]:
    """Apply a low-pass filter without changing the size; the larger half of the padding comes first."""
    taps_x, taps_y = filter_size(resample_filter)
    return upfirdn2d(x, resample_filter, padding=(taps_x // 2, (taps_x - 1) // 2, taps_y // 2, (taps_y - 1) // 2))


def conv2d_resample(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel group_channel kernel_y kernel_x"],
    resample_filter: Filter | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    groups: int = 1,
    flip_weight: bool = True,
) -> Float[Tensor, "batch out_channel out_height out_width"]:
    """Convolve together with up- or downsampling by a factor.

    When upsampling, the strided transposed convolution comes first and the low-pass after it; when downsampling, the
    low-pass comes first.

    Args:
        padding: padding of the plain convolution.
        flip_weight: True is PyTorch's correlation, False the textbook convolution.

    Raises:
        ValueError: when both ``up`` and ``down`` exceed 1.
    """
    if up > 1 and down > 1:
        raise ValueError("conv2d_resample goes up or down, not both")
    if not flip_weight:  # conv2d correlates; a flipped weight makes it a convolution
        weight = weight.flip([2, 3])
    kernel = weight.shape[-1]
    taps_x, taps_y = filter_size(resample_filter)
    if up > 1:
        before_x, after_x = padding + (taps_x + up - 1) // 2, padding + (taps_x - up) // 2
        before_y, after_y = padding + (taps_y + up - 1) // 2, padding + (taps_y - up) // 2
        if kernel == 1:  # pointwise and low-pass commute: the cheap order
            x = F.conv2d(x, weight, groups=groups)
            return upfirdn2d(x, resample_filter, up=up, padding=(before_x, after_x, before_y, after_y), gain=up * up)
        x = _transposed_convolution(x, weight, up, groups)
        # The transposed convolution has padded already by kernel - 1 before and kernel - up after.
        shrink_before, shrink_after = kernel - 1, kernel - up
        around = (before_x - shrink_before, after_x - shrink_after, before_y - shrink_before, after_y - shrink_after)
        return upfirdn2d(x, resample_filter, padding=around, gain=up * up)
    if down > 1:
        before_x, after_x = padding + (taps_x - down + 1) // 2, padding + (taps_x - down) // 2
        before_y, after_y = padding + (taps_y - down + 1) // 2, padding + (taps_y - down) // 2
        around = (before_x, after_x, before_y, after_y)
        if kernel == 1:
            return F.conv2d(upfirdn2d(x, resample_filter, down=down, padding=around), weight, groups=groups)
        return F.conv2d(upfirdn2d(x, resample_filter, padding=around), weight, stride=down, groups=groups)
    return F.conv2d(x, weight, padding=padding, groups=groups)


def _transposed_convolution(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel group_channel kernel_y kernel_x"],
    stride: int,
    groups: int,
) -> Float[Tensor, "batch out_channel out_height out_width"]:
    """Convolve the zero-inserted image with ``weight`` as a correlation, in full: output stride * (n - 1) + kernel."""
    # group*out group_in ky kx -> group*group_in out ky kx, as conv_transpose2d wants it
    out_channels, group_channels, ky, kx = weight.shape
    weight = weight.flip([2, 3]).reshape(groups, out_channels // groups, group_channels, ky, kx).transpose(1, 2)
    weight = weight.reshape(groups * group_channels, out_channels // groups, ky, kx)
    return F.conv_transpose2d(x, weight, stride=stride, groups=groups)
