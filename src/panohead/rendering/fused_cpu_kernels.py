"""The compiled loops of ``panohead.rendering.fused_cpu``. Importing this module needs numba.

All floats are float32. ``texels`` is flat, a texel is one run of channels; ``layout`` (int64) says where it is, see
``LAYOUT``. ``hidden_weight`` is packed in panels for ``multiply_block``: [panel, channel, PANEL]. The samples of one
ray are evaluated in blocks, each into the next free rows (*slots*) of ``hidden``.
"""

import math
from typing import Any

import numpy as np

from panohead.ops.jit import jit
from panohead.ops.simd import PANEL, ROWS, WIDTH, fma, load, multiply_block, splat, store

LAYOUT = ("plane_stride", "slice_stride", "row_stride", "column_stride", "depth", "height", "width", "flat", "axes")
"""Entries of ``layout``; strides in elements, ``flat`` 1 for bilinear look-ups, and nine axes (width, height, slice)."""

BLOCK = 4 * ROWS
"""Samples evaluated together: enough to fill the matrix product, few enough to stop soon behind a surface."""

LINEAR, SIGMOID, LEAKY = 0, 1, 2
"""Colour activations. With LINEAR the hidden units are composited, and the caller applies the colour layer."""

_EMPTY = np.float32(-1000.0)  # density.EMPTY
_UNKNOWN, _CROPPED = -2, -1  # instead of a slot
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


@jit(nogil=True, fastmath=_FAST, forceinline=True)
def _corners(layout: Any, plane: Any, point: Any) -> Any:
    """Where in ``texels`` the eight texels around a point lie, and their weights."""
    axes = layout[8 + 3 * plane : 11 + 3 * plane]
    x0, x1, left, right = _neighbours(point[axes[0]], layout[6])
    y0, y1, lower, upper = _neighbours(point[axes[1]], layout[5])
    z0, z1, front, back = _neighbours(point[axes[2]], layout[4])
    if layout[7] == 1:
        z0, z1, front, back = 0, 0, _ONE, _ZERO
    origin = plane * layout[0]
    x0, x1 = x0 * layout[3], x1 * layout[3]
    y0, y1 = y0 * layout[2] + origin, y1 * layout[2] + origin
    z0, z1 = z0 * layout[1], z1 * layout[1]
    a, b, c, d = left * lower, right * lower, left * upper, right * upper
    return (
        (y0 + x0 + z0, y0 + x1 + z0, y1 + x0 + z0, y1 + x1 + z0, y0 + x0 + z1, y0 + x1 + z1, y1 + x0 + z1, y1 + x1 + z1),
        (a * front, b * front, c * front, d * front, a * back, b * back, c * back, d * back),
    )  # fmt: skip


@jit(nogil=True, forceinline=True)
def _blend(texels: Any, corners: Any, weights: Any, channel: Any, total: Any) -> Any:
    """Add the weighted vectors of the eight corners."""
    total = fma(splat(weights[0]), load(texels, corners[0] + channel), total)
    total = fma(splat(weights[1]), load(texels, corners[1] + channel), total)
    total = fma(splat(weights[2]), load(texels, corners[2] + channel), total)
    total = fma(splat(weights[3]), load(texels, corners[3] + channel), total)
    total = fma(splat(weights[4]), load(texels, corners[4] + channel), total)
    total = fma(splat(weights[5]), load(texels, corners[5] + channel), total)
    total = fma(splat(weights[6]), load(texels, corners[6] + channel), total)
    return fma(splat(weights[7]), load(texels, corners[7] + channel), total)


@jit(nogil=True, forceinline=True)
def _look_up(texels: Any, layout: Any, point: Any, features: Any, row: Any) -> None:
    """Sum of the three planes' features at a point (grid coordinates) to a row of ``features``."""
    channels = features.shape[1]
    c0, w0 = _corners(layout, 0, point)
    c1, w1 = _corners(layout, 1, point)
    c2, w2 = _corners(layout, 2, point)
    for channel in range(0, channels, WIDTH):
        total = _blend(texels, c0, w0, channel, splat(_ZERO))
        total = _blend(texels, c1, w1, channel, total)
        total = _blend(texels, c2, w2, channel, total)
        store(features, row * channels + channel, total)


@jit(nogil=True)
def _multiply(rows: Any, first_row: Any, count: Any, weight: Any, products: Any, first: Any) -> None:
    """Rows times a packed weight, to the rows of ``products`` from ``first`` on; up to ROWS - 1 more are written."""
    depth, width = rows.shape[1], products.shape[1]
    for row in range(0, count, ROWS):
        for panel in range(width // PANEL):
            multiply_block(
                rows, (first_row + row) * depth, depth, weight, panel * depth * PANEL,
                products, (first + row) * width + panel * PANEL, width, depth,
            )  # fmt: skip


@jit(nogil=True, fastmath=_FAST)
def _density(units: Any, bias: Any, weight: Any) -> Any:
    """Hidden units in place, from the sums of the first layer; their density without its bias."""
    density = _ZERO
    for i in range(units.shape[0]):
        units[i] = _softplus(units[i] + bias[i])
        density += units[i] * weight[i]
    return density


@jit(nogil=True)
def query(
    points: Any, first: Any, last: Any, texels: Any, layout: Any, scale: Any, hidden_weight: Any, hidden_bias: Any,
    density_weight: Any, density_bias: Any, features: Any, hidden: Any, densities: Any,
) -> None:  # fmt: skip
    """Raw density at points[first:last] (world units). ``features`` and ``hidden`` hold a block."""
    point = np.empty(3, np.float32)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for i in range(count):
            for axis in range(3):
                point[axis] = points[start + i, axis] * scale
            _look_up(texels, layout, point, features, i)
        _multiply(features, 0, count, hidden_weight, hidden, 0)
        for i in range(count):
            densities[start + i] = _density(hidden[i], hidden_bias, density_weight) + density_bias


@jit(nogil=True)
def _collect(
    order: Any, position: Any, total: Any, origin: Any, direction: Any, limit: Any, scale: Any, texels: Any,
    layout: Any, depth: Any, density: Any, slot: Any, used: Any, features: Any, pending: Any, point: Any,
) -> Any:  # fmt: skip
    """Look up the next unknown samples of a ray, a block at most; empty the cropped ones.

    Returns the position behind the last sample dealt with, and how many await their density in ``pending``.
    """
    count = 0
    while position < total and count < BLOCK:
        sample = order[position]
        position += 1
        if slot[sample] != _UNKNOWN:
            continue
        for axis in range(3):
            point[axis] = origin[axis] + depth[sample] * direction[axis]
        if abs(point[0]) > limit or abs(point[2]) > limit:
            slot[sample] = _CROPPED
            density[sample] = _EMPTY
            continue
        for axis in range(3):
            point[axis] *= scale
        _look_up(texels, layout, point, features, count)
        slot[sample] = used + count
        pending[count] = sample
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
    features, point = np.zeros((BLOCK, channels), np.float32), np.empty(3, np.float32)
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
                    order, count, total, origins[ray], directions[ray], limit, scale, texels, layout, depth, density,
                    slot, used, features, pending, point,
                )  # fmt: skip
                _multiply(features, 0, waiting, hidden_weight, hidden, used)
                for i in range(waiting):
                    units = hidden[used + i]
                    density[pending[i]] = _density(units, hidden_bias, density_weight) + density_bias
                used += waiting
                for i in range(start, count):
                    # A lower bound of the optical depth that costs no logarithm: softplus(x) >= max(x, 0).
                    mean = _HALF * (density[order[i - 1]] + density[order[i]]) - _ONE
                    absorbed += max(mean, _ZERO) * (depth[order[i]] - depth[order[i - 1]])
        _march(order, count, depth, density, weight, thickness)
        ray_depths[ray], ray_weights[ray] = _settle(order, count, depth, slot, weight, shares, used, near, far)
        values = hidden
        if activation != LINEAR:
            _multiply(hidden, 0, used, colour_weight, colours, 0)
            _colour(colours, used, colour_bias, activation)
            values = colours
        for channel in range(0, values.shape[1], WIDTH):
            sums = splat(_ZERO)
            for i in range(used):
                sums = fma(splat(shares[i]), load(values, i * values.shape[1] + channel), sums)
            store(composites, ray * values.shape[1] + channel, sums)
