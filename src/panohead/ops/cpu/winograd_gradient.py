"""Gradients of the convolutions of :mod:`panohead.ops.cpu.winograd` on a CPU, and the convolution that halves an image.

The gradient of the inputs is a convolution with the transposed, flipped weight, by the same kernels. That of the weight
is computed at the points of the Toom-Cook polynomials, where a tile's part of it is an outer product: a quarter of the
direct formulation's products (81 of 144 for the up-convolution).

Images are channels-last in memory with a multiple of 16 channels.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from panohead.ops.cpu.kernel_arguments import ConvEpilogue, OutputImages, PointWeights
from panohead.ops.cpu.threads import cut, run
from panohead.ops.cpu.winograd import _block, _flat, _images, _or, _scratch, _split, _zeros, up_kinds
from panohead.ops.cpu.winograd_weights import PackedWeight, down_transform, plain_transform

_ROWS = 48  # a multiple of the vector length and of the height of both blocks of the matrix product
_MAX_ROWS = 192
# Tiles accumulated in registers before the sums return to memory: more of them for more than _MANY products of
# channels.
_TILES, _TILES_OF_MANY = 48, 96
_MANY = 1 << 17

LOW_PASS_UP, LOW_PASS_DOWN = 1 / 16, 1 / 64
"""Factors that normalize the taps outer([1, 3, 3, 1]): to a sum of 4 (up-convolution) and to a sum of 1."""


def downconv3x3(
    x: Float32[Tensor, "batch in_channel height width"],
    packed: PackedWeight,
    *,
    low_pass: float,
    factors: Float[Tensor, "batch in_channel"] | None = None,
    scale: Float[Tensor, "batch out_channel"] | None = None,
) -> Float32[Tensor, "batch out_channel half_height half_width"]:
    """Return ``scale * conv2d(low_pass(factors * x), weight, stride=2)``, the transpose of ``winograd.upconv3x3``.

    ``packed`` is from ``pack_up_weight`` of the *flipped* weight; the size of ``x`` is even; ``low_pass`` is the factor
    of the taps outer([1, 3, 3, 1]).
    """
    from panohead.ops.cpu import downconv_kernels as kernels

    batch, channels, height, width = x.shape
    outs, down, across = packed.out_channels, height // 2, width // 2
    out = torch.empty(batch, down, across, outs)
    given, weights, target = _images(x, factors), PointWeights(_flat(packed.values), up_kinds()), _flat(out)
    one, nothing = np.float32(1), np.zeros(0, np.float32)
    ending = ConvEpilogue(
        scale=_or(scale, batch * outs, 1.0) * np.float32(low_pass),
        bias=np.zeros(outs, np.float32),
        noise=nothing,
        noise_pitch=0,
        slope=one,
        gain=one,
        limit=np.float32(math.inf),
    )
    tiles = batch * -(-down // 4) * -(-across // 4)  # 4 x 4 outputs each

    def work(part: tuple[int, int, int, int]) -> None:
        first, last, *panels = part
        block = _block(last - first)
        scratch = _scratch(81, block, channels, column=108, patch=144)
        to = OutputImages(target, down, across, outs, *panels)
        kernels.down_convolve(given, weights, ending, to, first, last, block, scratch)

    run(work, _split(tiles, packed.values.shape[0], torch.get_num_threads(), least=24))
    return out.permute(0, 3, 1, 2)


def weight_gradient(
    x: Float32[Tensor, "batch in_channel height width"],
    grad: Float32[Tensor, "batch out_channel height width"],
    *,
    style: Float[Tensor, "batch in_channel"] | None = None,
    scale: Float[Tensor, "batch out_channel"] | None = None,
) -> Float32[Tensor, "3 3 in_channel out_channel"]:
    """Return the weight's gradient of ``conv2d(style * x, weight, padding=1)`` for output gradient ``scale * grad``."""
    from panohead.ops.cpu.gradient_kernels import weight_gradient as kernel

    tiles = x.shape[0] * -(-x.shape[2] // 4) * -(-x.shape[3] // 4)
    points = _point_sums(kernel, (x, style), (grad, scale), np.arange(36), tiles)
    return _to_taps(points, plain_transform(), 1.0)


def down_weight_gradient(
    large: Float32[Tensor, "batch large_channel height width"],
    small: Float32[Tensor, "batch small_channel half_height half_width"],
    *,
    low_pass: float,
    large_factors: Float[Tensor, "batch large_channel"] | None = None,
    small_factors: Float[Tensor, "batch small_channel"] | None = None,
) -> Float32[Tensor, "3 3 large_channel small_channel"]:
    """Return ``sum over pixels i of low_pass(large)[2 i + tap] * small[i]``.

    The gradient of the weight of ``downconv3x3`` and of ``upconv3x3`` alike.
    """
    from panohead.ops.cpu.gradient_kernels import down_weight_gradient as kernel

    tiles = small.shape[0] * -(-small.shape[2] // 4) * -(-small.shape[3] // 4)
    points = _point_sums(kernel, (large, large_factors), (small, small_factors), up_kinds(), tiles)
    return _to_taps(points, down_transform(), low_pass)


def _point_sums(
    kernel: Callable[..., None],
    windows: tuple[Tensor, Tensor | None],
    tiles: tuple[Tensor, Tensor | None],
    kinds: Any,
    count: int,
) -> Tensor:
    """Return sums over ``count`` tiles of outer products by kind of point: "kind window_channel tile_channel"."""
    from panohead.ops.cpu.gradient_kernels import SKEW, Buffers, Sums
    from panohead.ops.cpu.simd import NARROW_PANEL, PANEL, ROWS

    given = [_images(*x) for x in (windows, tiles)]
    ins, outs = given[0].channels, given[1].channels
    narrow = outs <= NARROW_PANEL
    lanes = NARROW_PANEL if narrow else PANEL
    # Columns of the sums: output channels in whole panels.
    columns, block = outs + -outs % lanes, min(_TILES if ins * outs <= _MANY else _TILES_OF_MANY, count)
    # Threads share the rows of the sums (input channels), so that no two write to the same ones.
    parts = _row_parts(ins)
    found = [torch.zeros(int(kinds.max()) + 1, last - first + -(last - first) % ROWS, columns) for first, last in parts]

    def work(number: int) -> None:
        first, last = parts[number]
        pitch = last - first + SKEW
        buffers = Buffers(
            _zeros(kinds.size * (block * pitch + SKEW)),
            _zeros(kinds.size * (block * columns + SKEW)),
            _column(),
            _zeros((144 if kinds.size == 81 else 36) * max(ins, outs)),
        )
        values = found[number]
        sums = Sums(values.view(-1).numpy(), values.shape[1], columns, narrow)
        kernel(*given, first, last, block, kinds, buffers, sums)

    run(work, list(range(len(parts))))
    # kind window_channel tile_channel, without the padding of rows and panels
    cut_out = [x[:, : last - first, :outs] for x, (first, last) in zip(found, parts, strict=True)]
    return cut_out[0] if len(parts) == 1 else torch.cat(cut_out, dim=1)


def _row_parts(channels: int) -> list[tuple[int, int]]:
    """Divide the channels of the windows into tasks for all threads, each within the second-level cache."""
    units = -(-channels // _ROWS)
    pieces = min(units, max(torch.get_num_threads(), -(-channels // _MAX_ROWS)))
    return [(_ROWS * first, min(_ROWS * last, channels)) for first, last in cut(units, pieces)]


def _to_taps(points: Tensor, transform: Tensor, factor: float) -> Float32[Tensor, "3 3 row column"]:
    """Map the gradient at the points to that of the taps: the transpose of the weight's transform."""
    both = (torch.kron(transform, transform) * factor).float()  # 36 points, 9 taps
    return (both.T @ points.reshape(36, -1)).reshape(3, 3, *points.shape[1:])


def _column() -> Any:
    from panohead.ops.cpu.simd import WIDTH

    return _zeros(108 * WIDTH)
