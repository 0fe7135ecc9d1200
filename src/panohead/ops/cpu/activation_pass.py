"""Operations after a convolution in training, in one pass over memory forward and backward (``activation_kernels``).

Everything takes and returns channels-last memory with a multiple of 16 channels: :func:`padded` makes it so.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

from panohead.ops.cpu.threads import cut, run

CHANNEL_MULTIPLE = 16
_STRIP = 1 << 13  # elements; one strip of input stays in the first-level cache while its channels are processed in turn


@dataclass(frozen=True)
class Epilogue:
    """Activation of a layer, ``clamp(gain * leaky_relu(x))``: slope 1 for none, an infinite limit for none."""

    slope: float
    gain: float
    limit: float = math.inf

    def kernel(self) -> Any:
        """Return the same values for the kernels."""
        from panohead.ops.cpu.activation_kernels import KernelEpilogue

        return KernelEpilogue(*(np.float32(x) for x in (self.slope, self.gain, self.limit)))


@dataclass(frozen=True)
class PulledLayer:
    """Gradient before the ending, and its sums over pixels: alone, times the value, times the noise.

    ``noise`` is the sum over channels, None where it is not wanted.
    """

    gradient: Float32[Tensor, "batch channel height width"]
    total: Float32[Tensor, "batch channel"]
    with_value: Float32[Tensor, "batch channel"]
    with_noise: Float32[Tensor, "batch channel"]
    noise: Float32[Tensor, "batch 1 height width"] | None


def padded(x: Float32[Tensor, "batch channel height width"]) -> Float32[Tensor, "batch more height width"]:
    """Return ``x`` in channels-last memory with channels up to a multiple of 16: zeros, or those already in memory.

    A tensor that :func:`narrowed` returned comes back whole, without a copy.
    """
    batch, channels, height, width = x.shape
    whole = channels + -channels % CHANNEL_MULTIPLE
    strides = (height * width * whole, 1, width * whole, whole)
    end = x.storage_offset() + batch * height * width * whole
    if x.stride() == strides and end * x.element_size() <= x.untyped_storage().nbytes():
        return x.detach().as_strided((batch, whole, height, width), strides)
    if whole == channels:
        return x.detach().contiguous(memory_format=torch.channels_last)
    out = torch.zeros(batch, height, width, whole)  # batch height width more
    out[..., :channels] = x.detach().permute(0, 2, 3, 1)
    return out.permute(0, 3, 1, 2)


def narrowed(x: Float32[Tensor, "batch more height width"], channels: int) -> Tensor:
    """Return the first channels; nothing is copied."""
    return x if x.shape[1] == channels else x[:, :channels]


def widened(x: Tensor) -> Tensor:
    """Append zeros to the last axis (channels), up to a multiple of 16."""
    return F.pad(x.detach(), (0, -x.shape[-1] % CHANNEL_MULTIPLE))


def finish(x: Float32[Tensor, "batch channel height width"], bias: Tensor, ending: Epilogue) -> Tensor:
    """Return ``ending(x + bias)``."""
    from panohead.ops.cpu import activation_kernels as kernels

    out = torch.empty_like(x)
    values, target, shift, settings = _flat(x), _flat(out), _vector(bias), ending.kernel()
    _over_strips(x, lambda strips: kernels.finish(values, shift, settings, target, strips))
    return out


def pull_ending(grad: Tensor, results: Tensor, ending: Epilogue) -> tuple[Tensor, Float32[Tensor, "batch channel"]]:
    """Return the gradient before :func:`finish` from that of its ``results``, and its sums over pixels."""
    from panohead.ops.cpu import activation_kernels as kernels

    out, sums = torch.empty_like(results), _strip_sums(results)
    pulled, given, target, settings, to = _flat(grad), _flat(results), _flat(out), ending.kernel(), _vector(sums)
    _over_strips(results, lambda strips: kernels.pull_ending(pulled, given, settings, target, strips, to))
    return out, _of_images(sums, len(results))


def pull_layer(
    grad: Tensor, results: Tensor, ending: Epilogue, noise: Tensor | None, *, channels: int, noise_wanted: bool
) -> PulledLayer:
    """Compute the backward pass of ``ending(value + noise)`` (``value`` includes the bias) for a whole synthesis layer.

    Args:
        noise: [h, w] or [1 or batch, 1, h, w].
        channels: that count; the others fill the memory and have no part in the noise's gradient.
    """
    from panohead.ops.cpu import activation_kernels as kernels
    from panohead.ops.cpu.simd import WIDTH

    batch, _, height, width = results.shape
    out, settings = torch.empty_like(results), ending.kernel()
    pulled, given, target = _flat(grad), _flat(results), _flat(out)
    maps = np.empty(0, np.float32) if noise is None else _vector(noise)
    noise_pull = torch.empty(batch if noise_wanted else 0, 1, height, width)
    to_noise = kernels.Noise(
        maps,
        height * width if maps.size > height * width else 0,
        (np.arange(results.shape[1]) < channels).astype(np.float32),
        _vector(noise_pull),
    )
    sums = [_strip_sums(results) for _ in range(3)]
    to = kernels.StripSums(*(_vector(x) for x in sums))

    def work(strips: Any) -> None:
        room = np.empty(strips.length * WIDTH, np.float32)
        kernels.pull_layer(pulled, given, settings, to_noise, target, strips, to, room)

    _over_strips(results, work)
    total, with_value, with_noise = (_of_images(x, batch) for x in sums)
    return PulledLayer(out, total, with_value, with_noise, noise_pull if noise_wanted else None)


def pull_style(x: Tensor, pull: Tensor, style: Tensor) -> Float32[Tensor, "batch channel"]:
    """Turn the gradient ``pull`` of ``style * x`` into that of ``x``, in place; return that of ``style``."""
    from panohead.ops.cpu import activation_kernels as kernels

    sums = _strip_sums(x)
    given, pulled, factors, to = _flat(x), _flat(pull), _vector(style), _vector(sums)
    _over_strips(x, lambda strips: kernels.pull_style(given, pulled, factors, strips, to))
    return _of_images(sums, len(x))


def enlarge2x(x: Float32[Tensor, "batch channel height width"], to: Tensor | None) -> Tensor:
    """Return ``to + upsample2x(x)`` (``panohead.ops.cpu.upsample``), or without ``to``."""
    from panohead.ops.cpu.upconv_kernels import add_upsampled

    batch, channels, height, width = x.shape
    shape = (batch, 2 * height, 2 * width, channels)
    out = torch.zeros(shape) if to is None else to.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
    source, target = _flat(x), out.view(-1).numpy()
    rows = batch * height
    parts = [(first, min(first + 16, rows)) for first in range(0, rows, 16)]
    run(lambda part: add_upsampled(source, target, height, width, channels, *part), parts)
    return out.permute(0, 3, 1, 2)


def shrink2x(grad: Float32[Tensor, "batch channel height width"]) -> Tensor:
    """Apply the transpose of ``upsample2x``; the size of ``grad`` is even."""
    from panohead.ops.cpu import activation_kernels as kernels

    batch, channels, height, width = grad.shape
    out = torch.empty(batch, height // 2, width // 2, channels)
    pulled, target = _flat(grad), out.view(-1).numpy()
    rows = batch * height // 2
    parts = [(first, min(first + 16, rows)) for first in range(0, rows, 16)]
    run(lambda part: kernels.shrink(pulled, target, height // 2, width // 2, channels, *part), parts)
    return out.permute(0, 3, 1, 2)


def _flat(x: Tensor) -> Any:
    return x.detach().permute(0, 2, 3, 1).contiguous().view(-1).numpy()


def _vector(x: Tensor) -> Any:
    return x.detach().contiguous().view(-1).numpy()


def _strip_length(x: Tensor) -> int:
    return max(_STRIP // x.shape[1], 8)


def _strip_sums(x: Tensor) -> Tensor:
    strips = -(-x.shape[2] * x.shape[3] // _strip_length(x))
    return torch.empty(len(x) * strips, x.shape[1])  # (batch strip) channel


def _of_images(sums: Tensor, batch: int) -> Tensor:
    return sums.unflatten(0, (batch, -1)).sum(dim=1)  # batch strip channel -> batch channel


def _over_strips(x: Tensor, work: Callable[[Any], None]) -> None:
    """Call ``work`` with all strips of the batch, in as many runs as there are threads."""
    from panohead.ops.cpu.activation_kernels import Strips

    batch, channels, height, width = x.shape
    pixels, length = height * width, _strip_length(x)
    count = batch * -(-pixels // length)
    parts = cut(count, min(torch.get_num_threads(), count))
    run(lambda part: work(Strips(part[0], part[1], length, pixels, channels)), parts)
