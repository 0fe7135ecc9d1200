"""Fast 3 x 3 convolutions for inference on a CPU: minimal filtering, fused with the layer's style and activation.

F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): 36 products make 16
outputs, instead of 144. The up-convolution of a StyleGAN2 block is computed alike (81 products instead of 144). The
weight of a modulated convolution stays shared, with the style on its input and the demodulation on its output
(docs/reference.md 2.6), so one packed weight serves all styles and frames.

The plain formulation is the reference; callers ask :func:`unsupported` and :func:`worthwhile` first.
"""

import math
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from panohead.ops.cpu.jit import available, load_failure
from panohead.ops.cpu.kernel_arguments import ConvEpilogue, Images, OutputImages, PointWeights, TileScratch
from panohead.ops.cpu.threads import cut, run
from panohead.ops.cpu.winograd_weights import PackedWeight

FusedActivation = Literal["linear", "lrelu"]
_Part = tuple[int, int, int, int]
"""First and last unit (tile or row of tiles), first and last panel of output channels; the last ones excluded."""

_KERNELS = "panohead.ops.cpu.upconv_kernels"  # imports the other kernels
_CHANNEL_MULTIPLE = 16
_SLOPES: dict[FusedActivation, float] = {"linear": 1.0, "lrelu": 0.2}
_GAINS: dict[FusedActivation, float] = {"linear": 1.0, "lrelu": math.sqrt(2)}
_BLOCK = 24  # tiles per block; their points stay in the second- or third-level cache
_STEP = 96  # tiles between two emptyings of the up-convolution's ring buffer


def unsupported(x: Tensor, weight: Tensor) -> str | None:
    """Return why this module cannot convolve ``x`` with ``weight``, in a few words; None if it can."""
    if x.device.type != "cpu" or weight.device.type != "cpu":
        return "not on a CPU"
    if x.dtype != torch.float32 or weight.dtype != torch.float32:
        return "not float32"
    if weight.ndim != 4 or tuple(weight.shape[2:]) != (3, 3):
        return "not a 3x3 convolution"
    if weight.shape[0] % _CHANNEL_MULTIPLE or weight.shape[1] % _CHANNEL_MULTIPLE:
        return f"channels are not multiples of {_CHANNEL_MULTIPLE}"
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return "gradients are wanted"
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    # Last: other devices need not wait for numba's import.
    return "numba is not installed" if not available() else load_failure(_KERNELS)


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Return True where the fast path is likely the faster one, for this shape of input.

    Measured on an AVX-512 machine: with fewer pixels (over the batch) reading the four times larger packed weight
    costs more than the products saved, with fewer channels the panels of the matrix product stay empty.
    """
    return x.shape[0] * x.shape[2] * x.shape[3] >= 64 and weight.shape[0] >= 32


def conv3x3_winograd(
    x: Float32[Tensor, "batch in_channel height width"],
    packed: PackedWeight,
    *,
    style: Float[Tensor, "batch in_channel"] | None = None,
    demodulation: Float[Tensor, "batch out_channel"] | None = None,
    noise: Float[Tensor, "*noise_batch height width"] | None = None,
    bias: Float[Tensor, " out_channel"] | None = None,
    activation: FusedActivation = "linear",
    gain: float | None = None,
    clamp: float | None = None,
) -> Float32[Tensor, "batch out_channel height width"]:
    """Return ``clamp(gain * act(demodulation * conv2d(style * x, weight, padding=1) + noise + bias))``.

    Args:
        x: of any strides; channels-last is read in place.
        packed: from :func:`panohead.ops.cpu.winograd_weights.pack_weight`.
        noise: one map for all channels, [h, w] or [1 or batch, 1, h, w].
        gain: applied after the activation; None takes the activation's own.
        clamp: limit of the absolute value after the gain, or None.

    Returns:
        A channels-last tensor that carries no gradient. It does not depend on the number of threads. The rounding
        error, in units of the output's rms, is 1 to 2e-6 rms and 3e-5 at most (direct float32: 0.3e-6 and 2e-6).
    """
    from panohead.ops.cpu import winograd_kernels as kernels

    batch, channels, height, width = x.shape
    outs = _check(packed, channels, up=False)
    ending = _ending(batch, outs, height * width, demodulation, noise, bias, activation, gain, clamp)
    out = torch.empty(batch, height, width, outs)  # channels-last
    given, weights, target = _images(x, style), PointWeights(_flat(packed.values), np.arange(36)), _flat(out)
    tiles = batch * -(-height // kernels.TILE) * -(-width // kernels.TILE)

    def work(part: _Part) -> None:
        first, last, *panels = part
        block = _block(last - first)
        scratch = _scratch(36, block, channels, column=36, patch=36)
        kernels.convolve(
            given, weights, ending, OutputImages(target, height, width, outs, *panels), first, last, block, scratch
        )

    run(work, _split(tiles, packed.values.shape[0], torch.get_num_threads(), least=_BLOCK))
    return out.permute(0, 3, 1, 2)


def upconv3x3(
    x: Float32[Tensor, "batch in_channel height width"],
    packed: PackedWeight,
    *,
    style: Float[Tensor, "batch in_channel"] | None = None,
    demodulation: Float[Tensor, "batch out_channel"] | None = None,
    noise: Float[Tensor, "*noise_batch out_height out_width"] | None = None,
    bias: Float[Tensor, " out_channel"] | None = None,
    activation: FusedActivation = "linear",
    gain: float | None = None,
    clamp: float | None = None,
) -> Float32[Tensor, "batch out_channel out_height out_width"]:
    """Apply a stride-2 transposed convolution (size 2h + 1), then the low-pass outer([1,3,3,1])/16 with padding 1 (2h).

    ``packed`` is from :func:`panohead.ops.cpu.winograd_weights.pack_up_weight`, of the weight as stored (not flipped,
    docs/reference.md 2.9). All else is as in :func:`conv3x3_winograd`.
    """
    from panohead.ops.cpu import upconv_kernels
    from panohead.ops.cpu import winograd_kernels as kernels

    batch, channels, height, width = x.shape
    outs = _check(packed, channels, up=True)
    ending = _ending(batch, outs, 4 * height * width, demodulation, noise, bias, activation, gain, clamp)
    ending = ending._replace(scale=ending.scale / np.float32(16))  # 4 (gain of upsampling) / 64 (sum of the taps)
    out = torch.empty(batch, 2 * height, 2 * width, outs)
    given, weights, target = _images(x, style), PointWeights(_flat(packed.values), up_kinds()), _flat(out)
    down, across = height // kernels.TILE + 1, width // kernels.TILE + 1

    def work(part: tuple[int, _Part]) -> None:
        image, (first, last, first_panel, last_panel) = part
        strips = min(max(_STEP // across, 1), last - first)
        block = _block(strips * across)
        scratch = _scratch(81, block, channels, column=81, patch=25)
        groups = -(-(last_panel - first_panel) * kernels.PANEL // kernels.GROUP)
        row = (2 * kernels.TILE * across + 1) * kernels.GROUP
        ring = _zeros(groups * (2 * kernels.TILE * strips + 3) * row)
        to = OutputImages(target, 2 * height, 2 * width, outs, first_panel, last_panel)
        upconv_kernels.up_convolve(given, weights, ending, to, image, first, last, block, strips, scratch, ring)

    parts = _split(down, packed.values.shape[0], -(-torch.get_num_threads() // batch), least=16)
    run(work, [(image, part) for image in range(batch) for part in parts])
    return out.permute(0, 3, 1, 2)


def _check(packed: PackedWeight, channels: int, *, up: bool) -> int:
    if packed.up != up or packed.in_channels != channels:
        kind = "an up-convolution" if packed.up else "a convolution"
        raise ValueError(f"weight packed for {kind} of {packed.in_channels} channels; the input has {channels}")
    return packed.out_channels


def _flat(x: Tensor) -> Any:
    """Return the elements in order as a numpy array, in place where the tensor is contiguous."""
    return x.detach().to(torch.float32).contiguous().view(-1).numpy()


def _or(x: Tensor | None, size: int, default: float) -> Any:
    return np.full(size, default, np.float32) if x is None else _flat(x)


def _zeros(size: int) -> Any:
    """Return zeros on a cache-line boundary, by numpy: torch would start a team of threads in every worker."""
    spare = np.zeros(size + 16, np.float32)
    first = -spare.ctypes.data % 64 // spare.itemsize
    return spare[first : first + size]


def _block(tiles: int) -> int:
    """Return the number of tiles at a time: whole rows of blocks of the matrix product."""
    from panohead.ops.cpu.simd import ROWS

    return min(_BLOCK, tiles + -tiles % ROWS)


def _images(x: Tensor, factors: Tensor | None) -> Images:
    """Return images "batch channel height width" as the kernels take them; factors None are 1."""
    batch, channels, height, width = x.shape
    return Images(_flat(x.permute(0, 2, 3, 1)), _or(factors, batch * channels, 1.0), height, width, channels)


def _scratch(points: int, block: int, channels: int, *, column: int, patch: int) -> TileScratch:
    """Return the buffers of one thread; ``column`` in vectors, ``patch`` in pixels."""
    from panohead.ops.cpu.winograd_kernels import GROUP, SKEW, WIDTH

    return TileScratch(
        data=_zeros(points * (block * (channels + SKEW) + SKEW)),
        sums=_zeros(points * (block * GROUP + SKEW)),
        column=_zeros(column * WIDTH),
        patch=_zeros(patch * channels),
        needed=np.zeros(points, np.int64),
    )


def up_kinds() -> Any:
    """Return the matrix of each of the 81 points: per axis the last four of nine products share that of tap 1."""
    axis = np.minimum(np.arange(9), 5)
    return (6 * axis[:, None] + axis).ravel()


def _ending(
    batch: int,
    outs: int,
    pixels: int,
    demodulation: Tensor | None,
    noise: Tensor | None,
    bias: Tensor | None,
    activation: FusedActivation,
    gain: float | None,
    clamp: float | None,
) -> ConvEpilogue:
    maps = _or(noise, pixels, 0.0)  # (1 or batch) pixel
    if maps.size not in (pixels, batch * pixels):
        raise ValueError(f"noise has {maps.size} numbers for {batch} images of {pixels} pixels")
    return ConvEpilogue(
        scale=_or(demodulation, batch * outs, 1.0),
        bias=_or(bias, outs, 0.0),
        noise=maps,
        noise_pitch=pixels if maps.size > pixels else 0,
        slope=np.float32(_SLOPES[activation]),
        gain=np.float32(_GAINS[activation] if gain is None else gain),
        limit=np.float32(math.inf if clamp is None else clamp),
    )


def _split(units: int, panels: int, threads: int, least: int) -> list[_Part]:
    """Share the work among threads: by units where every thread gets ``least`` of them, else by output channels."""
    from panohead.ops.cpu.winograd_kernels import GROUP, PANEL

    groups, size = -(-panels * PANEL // GROUP), GROUP // PANEL
    if units >= threads * least or groups < threads:
        return [(*part, 0, panels) for part in cut(units, min(threads, units))]
    return [(0, units, first * size, min(last * size, panels)) for first, last in cut(groups, threads)]
