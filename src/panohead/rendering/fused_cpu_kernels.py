"""The compiled loops of ``panohead.rendering.fused_cpu``. Importing this module needs numba.

All floats are float32. ``texels`` is flat, a texel is one run of channels; ``layout`` (a tuple of int) says where it is, see
``LAYOUT``. ``hidden_weight`` is packed in panels for ``multiply_block``: [panel, channel, PANEL]. The samples of one
ray are evaluated in blocks, each into the next free rows (*slots*) of ``hidden``.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from panohead.ops.jit import jit
from panohead.ops.simd import PANEL, ROWS, WIDTH, fma, intrinsic, load, multiply_block, splat, store

LAYOUT = ("plane_stride", "slice_stride", "row_stride", "column_stride", "depth", "height", "width", "flat", "axes")
"""Entries of ``layout``; strides in elements, ``flat`` 1 for bilinear look-ups, and nine axes (width, height, slice)."""

BLOCK = 4 * ROWS
"""Samples evaluated together: enough to fill the matrix product, few enough to stop soon behind a surface."""

LINEAR, SIGMOID, LEAKY = 0, 1, 2
"""Colour activations. With LINEAR the hidden units are composited, and the caller applies the colour layer."""

_EMPTY = np.float32(-1000.0)  # density.EMPTY
_UNKNOWN, _CROPPED = -2, -1  # instead of a slot
_LINE = 16  # elements per cache line
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)

# No "nnan" and "ninf": a broken tri-grid must give NaN, not anything. The rest lets LLVM use vectors.
_FAST = {"contract", "reassoc", "nsz", "arcp"}

# Minimax polynomials: 2^f - 1 = f (E1 + E2 f + ...) on +-1/2 and log(1 + e) = e (L0 + L1 e + ...) on [0, 1], with
# relative errors of 9e-8 and 2e-7. A machine's own exp and log are not vectorised.
_LOG2_E = np.float32(math.log2(math.e))
_E1, _E2, _E3 = np.float32(0.69314698), np.float32(0.24022242), np.float32(0.055507337)
_E4, _E5 = np.float32(0.0096715128), np.float32(0.0013264727)
_L0, _L1, _L2 = np.float32(0.99999981), np.float32(-0.49997405), np.float32(0.33275480)
_L3, _L4, _L5 = np.float32(-0.24495464), np.float32(0.17745243), np.float32(-0.10768173)
_L6, _L7 = np.float32(0.044089635), np.float32(-0.0085392077)


@jit(nogil=True, fastmath=_FAST, forceinline=True)
def _decay(x: Any) -> Any:
    """exp(-x) for x >= 0; exactly 1 at 0, about 1e-38 instead of anything smaller."""
    power = max(-x * _LOG2_E, np.float32(-126.0))
    whole = np.int32(power - _HALF)
    f = power - np.float32(whole)
    fraction = _ONE + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * _E5))))
    return fraction * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@jit(nogil=True, fastmath=_FAST, forceinline=True)
def _softplus(x: Any) -> Any:
    e = _decay(abs(x))
    log = _L0 + e * (_L1 + e * (_L2 + e * (_L3 + e * (_L4 + e * (_L5 + e * (_L6 + e * _L7))))))
    return max(x, _ZERO) + e * log


@jit(nogil=True, fastmath=_FAST, forceinline=True)
def _neighbours(coordinate: Any, size: Any) -> Any:
    """Both neighbours on an axis of ``size`` texels and their weights, zero for those outside (as grid_sample does)."""
    position = ((coordinate + _ONE) * np.float32(size) - _ONE) * _HALF
    position = min(max(position, np.float32(-2.0)), np.float32(size + 1))
    whole = np.floor(position)
    part = position - whole
    first = int(whole)
    low = _ONE - part if 0 <= first < size else _ZERO
    high = part if -1 <= first < size - 1 else _ZERO
    return min(max(first, 0), size - 1), min(max(first + 1, 0), size - 1), low, high


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


@jit(nogil=True, forceinline=True)
def _note(texels: Any, corners: Any, weights: Any, row: Any, at: Any, offset: Any, weight: Any) -> None:
    """Note one texel of a sample with its weight, and fetch it (its first 32 channels)."""
    corners[row, at], weights[row, at] = offset, weight
    _prefetch(texels, offset)
    _prefetch(texels, offset + _LINE)


@jit(nogil=True, fastmath=_FAST, forceinline=True)
def _locate_in(
    plane: Any, x: Any, y: Any, z: Any, texels: Any, layout: Any, corners: Any, weights: Any, row: Any
) -> None:
    """Note the eight texels of one plane around a point."""
    u = x if layout[8 + 3 * plane] == 0 else y if layout[8 + 3 * plane] == 1 else z
    v = x if layout[9 + 3 * plane] == 0 else y if layout[9 + 3 * plane] == 1 else z
    w = x if layout[10 + 3 * plane] == 0 else y if layout[10 + 3 * plane] == 1 else z
    x0, x1, left, right = _neighbours(u, layout[6])
    y0, y1, lower, upper = _neighbours(v, layout[5])
    z0, z1, front, back = _neighbours(w, layout[4])
    if layout[7] == 1:
        z0, z1, front, back = 0, 0, _ONE, _ZERO
    x0, x1 = x0 * layout[3] + plane * layout[0], x1 * layout[3] + plane * layout[0]
    y0, y1, z0, z1 = y0 * layout[2], y1 * layout[2], z0 * layout[1], z1 * layout[1]
    a, b, c, d = left * lower, right * lower, left * upper, right * upper
    at = 8 * plane
    _note(texels, corners, weights, row, at, x0 + y0 + z0, a * front)
    _note(texels, corners, weights, row, at + 1, x1 + y0 + z0, b * front)
    _note(texels, corners, weights, row, at + 2, x0 + y1 + z0, c * front)
    _note(texels, corners, weights, row, at + 3, x1 + y1 + z0, d * front)
    _note(texels, corners, weights, row, at + 4, x0 + y0 + z1, a * back)
    _note(texels, corners, weights, row, at + 5, x1 + y0 + z1, b * back)
    _note(texels, corners, weights, row, at + 6, x0 + y1 + z1, c * back)
    _note(texels, corners, weights, row, at + 7, x1 + y1 + z1, d * back)


@jit(nogil=True, forceinline=True)
def _locate(x: Any, y: Any, z: Any, texels: Any, layout: Any, corners: Any, weights: Any, row: Any) -> None:
    """Note the 24 texels around a point (grid coordinates).

    All samples of a block are located before the first is blended, so that memory answers in the meantime.
    """
    _locate_in(0, x, y, z, texels, layout, corners, weights, row)
    _locate_in(1, x, y, z, texels, layout, corners, weights, row)
    _locate_in(2, x, y, z, texels, layout, corners, weights, row)


@jit(nogil=True, forceinline=True)
def _blend(texels: Any, corners: Any, weights: Any, count: Any, features: Any) -> None:
    """Sums of the three planes' features at the located points, to the rows of ``features``."""
    channels = features.shape[1]
    for row in range(count):
        for channel in range(0, channels, WIDTH):
            total = splat(_ZERO)
            for i in range(24):
                total = fma(splat(weights[row, i]), load(texels, corners[row, i] + channel), total)
            store(features, row * channels + channel, total)


@jit(nogil=True)
def _multiply(rows: Any, count: Any, weight: Any, products: Any, first: Any) -> None:
    """Rows times a packed weight, to the rows of ``products`` from ``first`` on; up to ROWS - 1 more are written."""
    depth, width = rows.shape[1], products.shape[1]
    for row in range(0, count, ROWS):
        for panel in range(width // PANEL):
            multiply_block(
                rows, row * depth, depth, weight, panel * depth * PANEL,
                products, (first + row) * width + panel * PANEL, width, depth,
            )  # fmt: skip


@jit(nogil=True, fastmath=_FAST, forceinline=True)
def _density(hidden: Any, row: Any, bias: Any, weight: Any) -> Any:
    """Hidden units of a sample, in place, from the sums of the first layer; their density without its bias."""
    density = _ZERO
    for i in range(bias.shape[0]):
        unit = _softplus(hidden[row, i] + bias[i])
        hidden[row, i] = unit
        density += unit * weight[i]
    return density


@jit(nogil=True)
def query(
    points: Any, first: Any, last: Any, texels: Any, layout: Any, scale: Any, hidden_weight: Any, hidden_bias: Any,
    density_weight: Any, density_bias: Any, densities: Any,
) -> None:  # fmt: skip
    """Raw density at points[first:last] (world units)."""
    channels = hidden_weight.shape[1]
    features, hidden = np.zeros((BLOCK, channels), np.float32), np.empty((BLOCK, hidden_bias.size), np.float32)
    corners, weights = np.empty((BLOCK, 24), np.int64), np.empty((BLOCK, 24), np.float32)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for i in range(count):
            x, y, z = points[start + i, 0] * scale, points[start + i, 1] * scale, points[start + i, 2] * scale
            _locate(x, y, z, texels, layout, corners, weights, i)
        _blend(texels, corners, weights, count, features)
        _multiply(features, count, hidden_weight, hidden, 0)
        for i in range(count):
            densities[start + i] = _density(hidden, i, hidden_bias, density_weight) + density_bias


@jit(nogil=True)
def _collect(
    order: Any, position: Any, total: Any, origins: Any, directions: Any, ray: Any, limit: Any, scale: Any,
    texels: Any, layout: Any, depth: Any, density: Any, slot: Any, used: Any, corners: Any, weights: Any, pending: Any,
) -> Any:  # fmt: skip
    """Locate the next unknown samples of a ray, a block at most; empty the cropped ones.

    Returns the position behind the last sample dealt with, and how many await their density in ``pending``.
    """
    count = 0
    while position < total and count < BLOCK:
        sample = order[position]
        position += 1
        if slot[sample] != _UNKNOWN:
            continue
        # Not contracted to fused operations (no fast flags here): at the edge of the crop the last bit decides.
        x = origins[ray, 0] + depth[sample] * directions[ray, 0]
        y = origins[ray, 1] + depth[sample] * directions[ray, 1]
        z = origins[ray, 2] + depth[sample] * directions[ray, 2]
        if abs(x) > limit or abs(z) > limit:
            slot[sample], density[sample] = _CROPPED, _EMPTY
            continue
        _locate(x * scale, y * scale, z * scale, texels, layout, corners, weights, count)
        slot[sample], pending[count] = used + count, sample
        count += 1
    return position, count


@jit(nogil=True, fastmath=_FAST)
def _march(order: Any, count: Any, depth: Any, density: Any, weight: Any, thickness: Any) -> None:
    """Weights of the intervals between ``count`` samples in order (midpoint rule; compositing.interval_weights)."""
    for i in range(count - 1):
        here, there = order[i], order[i + 1]
        thickness[i] = _HALF * (density[here] + density[there]) - _ONE
        weight[i] = depth[there] - depth[here]
    for i in range(count - 1):
        weight[i] = _ONE - _decay(_softplus(thickness[i]) * weight[i])
    passed = _ONE
    for i in range(count - 1):
        opacity = weight[i]
        weight[i] = opacity * passed
        passed *= _ONE - opacity + np.float32(1e-10)


@jit(nogil=True)
def _sort(values: Any, first: Any, last: Any) -> None:
    """Insertion sort: there are few values, often sorted already."""
    for i in range(first + 1, last):
        value = values[i]
        j = i - 1
        while j >= first and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@jit(nogil=True)
def _importance(depth: Any, coarse: Any, weight: Any, u: Any, cumulated: Any) -> None:
    """Depths behind the coarse ones, from sorted ``u`` (sampling.importance_depths, whose quirks are kept)."""
    count = coarse - 3
    total = 0.0
    for i in range(count):
        before, here, after = weight[i], weight[i + 1], weight[i + 2]
        cumulated[i + 1] = (max(before, here) + max(here, after)) * _HALF + np.float32(0.01) + np.float32(1e-5)
        total += cumulated[i + 1]
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


@jit(nogil=True)
def _merge(depth: Any, coarse: Any, order: Any) -> None:
    """The order of all samples by depth; both parts of ``depth`` are sorted."""
    i, j = 0, coarse
    for position in range(order.shape[0]):
        if j >= order.shape[0] or (i < coarse and depth[i] <= depth[j]):
            order[position] = i
            i += 1
        else:
            order[position] = j
            j += 1


@jit(nogil=True, fastmath=_FAST)
def _colour(rows: Any, count: Any, bias: Any, activation: Any) -> None:
    """Bias and activation of the colours of every sample (decoder.activate_colour), in place."""
    for row in range(count):
        for i in range(rows.shape[1]):
            value = rows[row, i] + bias[i]
            if activation == SIGMOID:
                e = _decay(abs(value))
                value = (_ONE if value >= _ZERO else e) / (_ONE + e) * np.float32(1.002) - np.float32(0.001)
            else:
                value = max(value, value * np.float32(0.2)) * np.float32(math.sqrt(2))
            rows[row, i] = value


@jit(nogil=True)
def _settle(
    order: Any, count: Any, depth: Any, slot: Any, weight: Any, shares: Any, used: Any, near: Any, far: Any
) -> Any:
    """Share every interval's weight among its two samples (``shares``, by slot); depth and weight of the ray."""
    for i in range(used):
        shares[i] = _ZERO
    total, distance, before = _ZERO, _ZERO, _ZERO
    for i in range(count):
        after = weight[i] if i < count - 1 else _ZERO
        total += after
        distance += _HALF * (before + after) * depth[order[i]]
        if slot[order[i]] >= 0:
            shares[slot[order[i]]] = _HALF * (before + after)
        before = after
    if total > _ZERO:
        return min(max(distance / total, near), far), total
    return far, total


@jit(nogil=True)
def render(
    rays: Any, texels: Any, layout: Any, scale: Any, limit: Any, opaque: Any, near: Any, far: Any, hidden_weight: Any,
    hidden_bias: Any, density_weight: Any, density_bias: Any, activation: Any, colour_weight: Any, colour_bias: Any,
    origins: Any, directions: Any, depths: Any, u: Any, composites: Any, ray_depths: Any, ray_weights: Any,
) -> None:  # fmt: skip
    """The given rays, in that order. ``opaque``: optical depth behind which nothing is looked at any more."""
    coarse, fine = depths.shape[1], u.shape[1]
    samples, channels = coarse + fine, hidden_weight.shape[1]
    depth, density, weight = np.empty(samples, np.float32), np.empty(samples, np.float32), np.empty(samples, np.float32)
    thickness, shares, quantiles = np.empty_like(depth), np.empty_like(depth), np.empty(fine, np.float32)
    slot, order, pending = np.empty(samples, np.int64), np.empty(samples, np.int64), np.empty(BLOCK, np.int64)
    features, corners = np.zeros((BLOCK, channels), np.float32), np.empty((BLOCK, 24), np.int64)
    weights = np.empty((BLOCK, 24), np.float32)
    hidden = np.empty((samples + ROWS, hidden_bias.size), np.float32)
    colours = np.empty((samples + ROWS if activation != LINEAR else 0, colour_bias.size), np.float32)
    for ray in rays:
        slot[:] = _UNKNOWN
        order[:coarse] = np.arange(coarse)
        depth[:coarse] = depths[ray]
        used = count = 0
        for total in (coarse, samples):
            if total > coarse:
                _march(order, count, depth, density, weight, thickness)
                weight[max(count - 1, 0) : coarse] = _ZERO
                quantiles[:] = u[ray]
                _sort(quantiles, 0, fine)
                _importance(depth, coarse, weight, quantiles, cumulated=thickness)
                _sort(depth, coarse, samples)  # rounding may swap neighbours
                _merge(depth, coarse, order)
            elif count > 0:
                break
            count, absorbed = 0, _ZERO
            while count < total and absorbed < opaque:
                start = max(count, 1)
                count, waiting = _collect(
                    order, count, total, origins, directions, ray, limit, scale, texels, layout, depth, density,
                    slot, used, corners, weights, pending,
                )  # fmt: skip
                _blend(texels, corners, weights, waiting, features)
                _multiply(features, waiting, hidden_weight, hidden, used)
                for i in range(waiting):
                    density[pending[i]] = _density(hidden, used + i, hidden_bias, density_weight) + density_bias
                used += waiting
                for i in range(start, count):
                    # A lower bound of the optical depth that costs no logarithm: softplus(x) >= max(x, 0).
                    mean = _HALF * (density[order[i - 1]] + density[order[i]]) - _ONE
                    absorbed += max(mean, _ZERO) * (depth[order[i]] - depth[order[i - 1]])
        _march(order, count, depth, density, weight, thickness)
        ray_depths[ray], ray_weights[ray] = _settle(order, count, depth, slot, weight, shares, used, near, far)
        values = hidden
        if activation != LINEAR:
            _multiply(hidden, used, colour_weight, colours, 0)
            _colour(colours, used, colour_bias, activation)
            values = colours
        for channel in range(0, values.shape[1], WIDTH):
            sums = splat(_ZERO)
            for i in range(used):
                sums = fma(splat(shares[i]), load(values, i * values.shape[1] + channel), sums)
            store(composites, ray * values.shape[1] + channel, sums)
