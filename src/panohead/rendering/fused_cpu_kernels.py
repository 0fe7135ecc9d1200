"""The compiled loops of ``panohead.rendering.fused_cpu``. Importing this module needs numba.

All floats are float32. The samples of one ray are evaluated in blocks, each sample into the next free row of hidden
units (its *slot*); the samples of the second pass are numbered after those of the first.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import PANEL, ROWS, WIDTH, fma, intrinsic, load, multiply_block, splat, store
from panohead.rendering.deformation_kernels import _FAST, _HALF, _ONE, _ZERO, _inner, canonical

BLOCK = 2 * ROWS
"""Samples evaluated together: enough to fill the matrix product, few enough to stop soon behind a surface."""

LINEAR, SIGMOID, LEAKY = 0, 1, 2
"""Color activations. With LINEAR the hidden units are composited, and the caller applies the color layer."""


class Grid(NamedTuple):
    """The tri-grid of one head: ``texels`` is flat, a texel is one run of channels."""

    texels: Any
    strides: Any  # distances between planes, slices, rows, columns, in elements
    sizes: Any  # numbers of slices, rows, columns
    axes: Any  # world axes along width, height and slices of the three planes: nine numbers
    flat: Any  # sample the first slice only (bilinear)
    scale: Any  # world units to grid coordinates in [-1, 1]: 2 / box_warp
    offsets: Any  # deformation: what is added to grid coordinates, by slice, row, column; flat, of one element for none
    cells: Any  # its cells per side; 0 for none
    occupied: Any  # boxes that are not empty, by slice, row, column; flat, of one element for no knowledge
    boxes: Any  # their number per side; 0 for no knowledge


class PackedLayer(NamedTuple):
    """``weight`` is packed for ``multiply_block``: [panel, input, PANEL]; ``bias`` fills whole panels too."""

    weight: Any
    bias: Any


class DensityRow(NamedTuple):
    """The decoder's output row for density."""

    weight: Any
    bias: Any


class Rays(NamedTuple):
    """Rays of one head, depths of their first pass, quantiles of the second; and the limits of the volume."""

    origins: Any
    directions: Any
    depths: Any
    u: Any
    crop: Any  # samples with |x| or |z| above are empty
    near: Any
    far: Any  # limits of the resulting depths
    opaque: Any  # optical depth behind which no sample is evaluated


class Samples(NamedTuple):
    """Samples of one ray: ``order`` is by depth; weights (and ``thickness``, scratch) belong to the interval behind."""

    depth: Any
    density: Any
    slot: Any
    order: Any
    weight: Any
    thickness: Any
    hidden: Any


class Block(NamedTuple):
    """One block of samples: the 24 texels around each (offsets, weights), features, and numbers of the samples."""

    corners: Any
    weights: Any
    features: Any
    members: Any


_LINE = 16  # float32 elements per cache line of 64 bytes
_EMPTY = np.float32(-1000.0)  # density.EMPTY
_UNKNOWN, _CROPPED = -2, -1  # in place of a slot: not evaluated yet, emptied by the crop
# Minimax polynomials: 2^f - 1 = f (E1 + E2 f + ...) on +-1/2 and log(1 + e) = e (L0 + L1 e + ...) on [0, 1], with
# relative errors of 9e-8 and 2e-7. The C library's exp and log are not vectorized.
_LOG2_E = np.float32(math.log2(math.e))
_E1, _E2, _E3 = np.float32(0.69314698), np.float32(0.24022242), np.float32(0.055507337)
_E4, _E5 = np.float32(0.0096715128), np.float32(0.0013264727)
_L0, _L1, _L2 = np.float32(0.99999981), np.float32(-0.49997405), np.float32(0.33275480)
_L3, _L4, _L5 = np.float32(-0.24495464), np.float32(0.17745243), np.float32(-0.10768173)
_L6, _L7 = np.float32(0.044089635), np.float32(-0.0085392077)


@_inner(fastmath=_FAST, forceinline=True)
def _decay(x: Any) -> Any:
    """exp(-x) for x >= 0; exactly 1 at 0, 2^-100 (8e-31) instead of anything smaller, so that products stay normal."""
    # 2^power = 2^whole 2^f with |f| <= 1/2; whole goes into the exponent bits of a float32 (bias 127, 23 bits up).
    power = max(-x * _LOG2_E, np.float32(-100.0))
    whole = np.int32(power - _HALF)
    f = power - np.float32(whole)
    fraction = _ONE + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * _E5))))
    return fraction * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@_inner(fastmath=_FAST, forceinline=True)
def _softplus(x: Any) -> Any:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    e = _decay(abs(x))
    log = _L0 + e * (_L1 + e * (_L2 + e * (_L3 + e * (_L4 + e * (_L5 + e * (_L6 + e * _L7))))))
    return max(x, _ZERO) + e * log


@intrinsic
def _prefetch(typing_context: Any, array: Any, offset: Any) -> Any:
    """Ask for the cache line of an element, as far as the second-level cache."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [address, number(0), number(2), number(1)])  # to read, second level, data
        return context.get_dummy_value()

    return types.void(array, types.int64), emit


@_inner(fastmath=_FAST, forceinline=True)
def _neighbors(coordinate: Any, size: Any) -> Any:
    """Both neighbors on an axis of ``size`` texels and their weights, zero for those outside (as grid_sample does)."""
    # Pixel edges at +-1 (align_corners=False).
    position = ((coordinate + _ONE) * np.float32(size) - _ONE) * _HALF
    position = min(max(position, np.float32(-2.0)), np.float32(size + 1))
    whole = np.floor(position)
    part = position - whole
    first = int(whole)
    low = _ONE - part if 0 <= first < size else _ZERO
    high = part if -1 <= first < size - 1 else _ZERO
    return min(max(first, 0), size - 1), min(max(first + 1, 0), size - 1), low, high


@_inner(forceinline=True)
def _add_corner(texels: Any, block: Any, row: Any, at: Any, offset: Any, weight: Any) -> None:
    """Store one texel of a sample with its weight, and prefetch it (its first 32 channels)."""
    block.corners[row, at], block.weights[row, at] = offset, weight
    _prefetch(texels, offset)
    _prefetch(texels, offset + _LINE)


@_inner(fastmath=_FAST, forceinline=True)
def _locate_in(plane: Any, x: Any, y: Any, z: Any, grid: Any, block: Any, row: Any) -> None:
    """Store the eight texels of one plane around a point."""
    axes, strides, texels = grid.axes, grid.strides, grid.texels
    u = x if axes[3 * plane] == 0 else y if axes[3 * plane] == 1 else z
    v = x if axes[3 * plane + 1] == 0 else y if axes[3 * plane + 1] == 1 else z
    w = x if axes[3 * plane + 2] == 0 else y if axes[3 * plane + 2] == 1 else z
    x0, x1, left, right = _neighbors(u, grid.sizes[2])
    y0, y1, lower, upper = _neighbors(v, grid.sizes[1])
    z0, z1, front, back = _neighbors(w, grid.sizes[0])
    if grid.flat:
        z0, z1, front, back = 0, 0, _ONE, _ZERO
    x0, x1 = x0 * strides[3] + plane * strides[0], x1 * strides[3] + plane * strides[0]
    y0, y1, z0, z1 = y0 * strides[2], y1 * strides[2], z0 * strides[1], z1 * strides[1]
    a, b, c, d = left * lower, right * lower, left * upper, right * upper
    at = 8 * plane
    _add_corner(texels, block, row, at, x0 + y0 + z0, a * front)
    _add_corner(texels, block, row, at + 1, x1 + y0 + z0, b * front)
    _add_corner(texels, block, row, at + 2, x0 + y1 + z0, c * front)
    _add_corner(texels, block, row, at + 3, x1 + y1 + z0, d * front)
    _add_corner(texels, block, row, at + 4, x0 + y0 + z1, a * back)
    _add_corner(texels, block, row, at + 5, x1 + y0 + z1, b * back)
    _add_corner(texels, block, row, at + 6, x0 + y1 + z1, c * back)
    _add_corner(texels, block, row, at + 7, x1 + y1 + z1, d * back)


@_inner(forceinline=True)
def _locate(x: Any, y: Any, z: Any, grid: Any, block: Any, row: Any) -> None:
    """Store the 24 texels around a point (world units).

    All samples of a block are located before the first is blended, so that the prefetched texels arrive meanwhile.
    """
    x, y, z = canonical(x, y, z, grid)
    _locate_in(np.int64(0), x, y, z, grid, block, row)
    _locate_in(np.int64(1), x, y, z, grid, block, row)
    _locate_in(np.int64(2), x, y, z, grid, block, row)


@_inner(forceinline=True)
def _blend(texels: Any, corners: Any, weights: Any, count: Any, features: Any) -> None:
    """Write sums of the three planes' features at the located points to the rows of ``features``."""
    channels = features.shape[1]
    for row in range(count):
        for channel in range(0, channels, WIDTH):
            total = splat(_ZERO)
            for i in range(24):
                total = fma(splat(weights[row, i]), load(texels, corners[row, i] + channel), total)
            store(features, row * channels + channel, total)


@_inner()
def _multiply(rows: Any, count: Any, weight: Any, products: Any, first: Any) -> None:
    """Write rows times a packed weight to the rows of ``products`` from ``first`` on, and up to ROWS - 1 rows more."""
    depth, width = rows.shape[1], products.shape[1]
    for row in range(0, count, ROWS):
        for panel in range(width // PANEL):
            multiply_block(
                rows, row * depth, depth, weight, panel * depth * PANEL,
                products, (first + row) * width + panel * PANEL, width, depth,
            )  # fmt: skip


@_inner(fastmath=_FAST, forceinline=True)
def _activate(hidden: Any, row: Any, bias: Any, weight: Any) -> Any:
    """Turn the first layer's sums of a sample into hidden units, in place; return its density without the bias."""
    density = _ZERO
    for i in range(bias.shape[0]):
        unit = _softplus(hidden[row, i] + bias[i])
        hidden[row, i] = unit
        density += unit * weight[i]
    return density


@_inner()
def _new_block(channels: Any) -> Any:
    return Block(
        np.empty((BLOCK, 24), np.int64),
        np.empty((BLOCK, 24), np.float32),
        np.zeros((BLOCK, channels), np.float32),
        np.empty(BLOCK, np.int64),
    )


@jit(nogil=True)
def query(points: Any, first: Any, last: Any, grid: Any, layer: Any, density: Any, densities: Any) -> None:
    """Write raw density at points[first:last] (world units) to ``densities``."""
    block = _new_block(layer.weight.shape[1])
    hidden = np.empty((BLOCK, layer.bias.size), np.float32)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for i in range(count):
            _locate(points[start + i, 0], points[start + i, 1], points[start + i, 2], grid, block, i)
        _blend(grid.texels, block.corners, block.weights, count, block.features)
        _multiply(block.features, count, layer.weight, hidden, np.int64(0))
        for i in range(count):
            densities[start + i] = _activate(hidden, i, layer.bias, density.weight) + density.bias


@_inner(forceinline=True)
def _box(coordinate: Any, grid: Any) -> Any:
    """Number of the box around a coordinate (world units) along one axis."""
    return math.floor((coordinate * grid.scale + _ONE) * (_HALF * np.float32(grid.boxes)))


@_inner(forceinline=True)
def _is_empty(x: Any, y: Any, z: Any, grid: Any) -> Any:
    """Return whether a point (world units) is known to lie in empty space (``empty_space.in_empty_space``)."""
    boxes = grid.boxes
    if boxes == 0:
        return False
    column, row, slice_ = _box(x, grid), _box(y, grid), _box(z, grid)
    if min(column, row, slice_) < 0 or max(column, row, slice_) >= boxes:
        return False
    return not grid.occupied[(slice_ * boxes + row) * boxes + column]


@_inner()
def _collect(rays: Any, ray: Any, samples: Any, position: Any, total: Any, used: Any, grid: Any, block: Any) -> Any:
    """Locate the next unknown samples in order, a block at most; empty those in the crop and in empty space.

    Returns the position behind the last sample treated, and the number of samples in the block.
    """
    depth, count = samples.depth, np.int64(0)
    while position < total and count < BLOCK:
        sample = samples.order[position]
        position += 1
        if samples.slot[sample] != _UNKNOWN:
            continue
        # Not contracted to fused operations (no fast flags here): at the edge of the crop the last bit decides.
        x = rays.origins[ray, 0] + depth[sample] * rays.directions[ray, 0]
        y = rays.origins[ray, 1] + depth[sample] * rays.directions[ray, 1]
        z = rays.origins[ray, 2] + depth[sample] * rays.directions[ray, 2]
        if abs(x) > rays.crop or abs(z) > rays.crop or _is_empty(x, y, z, grid):
            samples.slot[sample], samples.density[sample] = _CROPPED, _EMPTY
            continue
        _locate(x, y, z, grid, block, count)
        samples.slot[sample], block.members[count] = used + count, sample
        count += 1
    return position, count


@_inner()
def _evaluate(
    rays: Any, ray: Any, samples: Any, total: Any, used: Any, grid: Any, layer: Any, density: Any, block: Any
) -> Any:
    """Evaluate the first ``total`` samples in order, front to back, until the ray is opaque.

    Returns the number of samples treated and the number of slots in use.
    """
    position, absorbed = np.int64(0), _ZERO
    while position < total and absorbed < rays.opaque:
        start = position if position > 0 else 1
        position, count = _collect(rays, ray, samples, position, total, used, grid, block)
        _blend(grid.texels, block.corners, block.weights, count, block.features)
        _multiply(block.features, count, layer.weight, samples.hidden, used)
        for i in range(count):
            units = _activate(samples.hidden, used + i, layer.bias, density.weight)
            samples.density[block.members[i]] = units + density.bias
        used += count
        for i in range(start, position):
            # A lower bound of the optical depth that costs no logarithm: softplus(x) >= max(x, 0).
            here, there = samples.order[i - 1], samples.order[i]
            mean = _HALF * (samples.density[here] + samples.density[there]) - _ONE
            absorbed += max(mean, _ZERO) * (samples.depth[there] - samples.depth[here])
    return position, used


@_inner(fastmath=_FAST)
def _march(samples: Any, count: Any) -> None:
    """Weights of the intervals between ``count`` samples in order (midpoint rule; compositing.interval_weights)."""
    # Three loops instead of one: the middle one has no dependence between intervals and becomes vectors.
    weight, thickness = samples.weight, samples.thickness
    for i in range(count - 1):
        here, there = samples.order[i], samples.order[i + 1]
        thickness[i] = _HALF * (samples.density[here] + samples.density[there]) - _ONE
        weight[i] = samples.depth[there] - samples.depth[here]
    for i in range(count - 1):
        weight[i] = _ONE - _decay(_softplus(thickness[i]) * weight[i])
    passed = _ONE  # transmittance in front of the interval
    for i in range(count - 1):
        opacity = weight[i]
        weight[i] = opacity * passed
        passed *= _ONE - opacity + np.float32(1e-10)


@_inner()
def _sort(values: Any, first: Any, last: Any) -> None:
    """Insertion sort: there are few values, often sorted already."""
    for i in range(first + 1, last):
        value = values[i]
        j = i - 1
        while j >= first and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@_inner()
def _importance(depth: Any, coarse: Any, weight: Any, u: Any, cumulated: Any) -> None:
    """Write depths after the coarse ones, from sorted ``u``: ``sampling.importance_depths``, step by step."""
    count = coarse - 3  # weights between the first and the last one
    total = 0.0
    for i in range(count):
        before, here, after = weight[i], weight[i + 1], weight[i + 2]
        cumulated[i + 1] = (max(before, here) + max(here, after)) * _HALF + np.float32(0.01) + np.float32(1e-5)
        total += cumulated[i + 1]
    # The cumulative sum in float64, as PyTorch's cumsum accumulates on a CPU.
    scale = np.float32(total)
    running, cumulated[0] = 0.0, _ZERO
    for i in range(count):
        running += np.float64(cumulated[i + 1] / scale)
        cumulated[i + 1] = np.float32(running)
    above = 0
    for i in range(u.shape[0]):
        while above <= count and cumulated[above] <= u[i]:
            above += 1
        low, high = max(above - 1, 0), min(above, count)
        width = cumulated[high] - cumulated[low]
        if width < np.float32(1e-5):
            width = _ONE
        near, far = _HALF * (depth[low] + depth[low + 1]), _HALF * (depth[high] + depth[high + 1])
        depth[coarse + i] = near + (u[i] - cumulated[low]) / width * (far - near)


@_inner()
def _merge(depth: Any, coarse: Any, order: Any) -> None:
    """Write the order of all samples by depth; both parts of ``depth`` are sorted."""
    i, j = 0, coarse
    for position in range(order.shape[0]):
        if j >= order.shape[0] or (i < coarse and depth[i] <= depth[j]):
            order[position] = i
            i += 1
        else:
            order[position] = j
            j += 1


@_inner()
def _refine(samples: Any, coarse: Any, count: Any, u: Any) -> None:
    """Place the second pass where the first, of which ``count`` samples were evaluated, found weight."""
    _march(samples, count)
    for i in range(count - 1, coarse):
        samples.weight[i] = _ZERO
    _sort(u, np.int64(0), u.shape[0])
    _importance(samples.depth, coarse, samples.weight, u, samples.thickness)
    _sort(samples.depth, coarse, samples.depth.shape[0])  # rounding may swap neighbors
    _merge(samples.depth, coarse, samples.order)


@_inner()
def _settle(samples: Any, count: Any, used: Any, shares: Any) -> Any:
    """Share every interval's weight among its two samples (``shares``, by slot); return mean depth and weight."""
    for i in range(used):
        shares[i] = _ZERO
    total, distance, before = _ZERO, _ZERO, _ZERO
    for i in range(count):
        sample = samples.order[i]
        after = samples.weight[i] if i < count - 1 else _ZERO
        total += after
        distance += _HALF * (before + after) * samples.depth[sample]
        if samples.slot[sample] >= 0:
            shares[samples.slot[sample]] = _HALF * (before + after)
        before = after
    return distance / total if total > _ZERO else np.float32(np.inf), total


@_inner(fastmath=_FAST)
def _color(rows: Any, count: Any, bias: Any, activation: Any) -> None:
    """Add bias and activation to the colors of every sample (``decoder_mlp.activate_color``), in place."""
    for row in range(count):
        for i in range(bias.shape[0]):
            value = rows[row, i] + bias[i]
            if activation == SIGMOID:
                e = _decay(abs(value))
                value = (_ONE if value >= _ZERO else e) / (_ONE + e) * np.float32(1.002) - np.float32(0.001)
            else:
                value = max(value, value * np.float32(0.2)) * np.float32(math.sqrt(2))
            rows[row, i] = value


@_inner()
def _compose(rows: Any, shares: Any, used: Any, composites: Any, ray: Any) -> None:
    """Write the weighted sum of the samples' rows to ``composites``."""
    width = rows.shape[1]
    for channel in range(0, width, WIDTH):
        total = splat(_ZERO)
        for i in range(used):
            total = fma(splat(shares[i]), load(rows, i * width + channel), total)
        store(composites, ray * width + channel, total)


@jit(nogil=True)
def render(
    which: Any, rays: Any, grid: Any, layer: Any, density: Any, activation: Any, color: Any, composites: Any,
    ray_depths: Any, ray_weights: Any,
) -> None:  # fmt: skip
    """Render the rays ``which``, in that order, to ``composites``, ``ray_depths`` and ``ray_weights``."""
    coarse, fine = rays.depths.shape[1], rays.u.shape[1]
    total, channels = coarse + fine, layer.weight.shape[1]
    samples = Samples(
        np.empty(total, np.float32), np.empty(total, np.float32), np.empty(total, np.int64), np.empty(total, np.int64),
        np.empty(total, np.float32), np.empty(total, np.float32), np.empty((total + ROWS, layer.bias.size), np.float32),
    )  # fmt: skip
    colors = np.empty((total + ROWS if activation != LINEAR else 0, color.bias.size), np.float32)
    block, shares, u = _new_block(channels), np.empty(total, np.float32), np.empty(fine, np.float32)
    for ray in which:
        for i in range(total):
            samples.slot[i], samples.order[i] = _UNKNOWN, i
        for i in range(coarse):
            samples.depth[i] = rays.depths[ray, i]
        count, used = _evaluate(rays, ray, samples, coarse, np.int64(0), grid, layer, density, block)
        if fine > 0:
            for i in range(fine):
                u[i] = rays.u[ray, i]
            _refine(samples, coarse, count, u)
            count, used = _evaluate(rays, ray, samples, total, used, grid, layer, density, block)
        _march(samples, count)
        distance, ray_weights[ray] = _settle(samples, count, used, shares)
        ray_depths[ray] = min(max(distance, rays.near), rays.far)
        if activation == LINEAR:
            _compose(samples.hidden, shares, used, composites, ray)
        else:
            _multiply(samples.hidden, used, color.weight, colors, np.int64(0))
            _color(colors, used, color.bias, activation)
            _compose(colors, shares, used, composites, ray)
