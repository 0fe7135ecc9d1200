"""The compiled loops of ``panohead.rendering.fused_gradient``. Importing this module needs numba.

They are those of ``fused_cpu_kernels`` with noise on the densities, and the backward pass: rays are evaluated once
more, front to back, and the chain rule is applied to a ray while it is in the cache.
"""

from typing import Any, NamedTuple

import numpy as np

from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import ROWS, WIDTH, fma, load, splat, store
from panohead.rendering.deformation_kernels import canonical
from panohead.rendering.fused_cpu_kernels import (
    _FAST,
    _HALF,
    _ONE,
    _UNKNOWN,
    _ZERO,
    Samples,
    _activate,
    _blend,
    _collect,
    _compose,
    _decay,
    _inner,
    _march,
    _multiply,
    _neighbors,
    _new_block,
    _refine,
    _settle,
    _softplus,
)

_GROUP = 4  # samples that share a load of a weight
_NONE = np.float32(1e-20)
"""Light, or influence of a density on a ray, that counts as none. It is far below rounding; products of such numbers
are denormal, and arithmetic with those is a hundred times slower."""


class ForwardCache(NamedTuple):
    """Samples for the backward pass, by ray and in the order of depth."""

    depths: Any
    noise: Any  # of the raw densities; empty where there is none


class OutputGradients(NamedTuple):
    """Gradients of the loss with respect to the outputs of the forward pass, by ray."""

    composites: Any
    depth: Any
    weight: Any


class DecoderGradients(NamedTuple):
    """Gradients of the decoder, summed over some rays; ``weight`` is (input, hidden)."""

    weight: Any
    bias: Any
    density_weight: Any
    density_bias: Any  # one number


class Sampled(NamedTuple):
    """Gradients of the features (summed over the planes) of all samples, and which samples have one."""

    features: Any
    live: Any


class _Scratch(NamedTuple):
    """Memory for one ray: features by slot; noise, share and gradients by sample; arriving light by interval."""

    features: Any
    noise: Any
    share: Any
    share_grad: Any
    density_grad: Any
    light: Any  # transmittance in front of the interval


@_inner()
def _new_samples(total: Any, width: Any) -> Any:
    return Samples(
        np.empty(total, np.float32), np.empty(total, np.float32), np.empty(total, np.int64), np.empty(total, np.int64),
        np.empty(total, np.float32), np.empty(total, np.float32),
        np.zeros((total + ROWS + _GROUP, width), np.float32),
    )  # fmt: skip


@_inner()
def _new_scratch(total: Any, channels: Any) -> Any:
    return _Scratch(
        np.zeros((total + ROWS + _GROUP, channels), np.float32),
        np.zeros(total, np.float32), np.empty(total, np.float32), np.empty(total, np.float32),
        np.empty(total, np.float32), np.empty(total, np.float32),
    )  # fmt: skip


@_inner()
def _evaluate(
    rays: Any, ray: Any, samples: Any, scratch: Any, total: Any, used: Any, grid: Any, layer: Any, density: Any,
    block: Any,
) -> Any:  # fmt: skip
    """``fused_cpu_kernels._evaluate`` with noise on the densities; features stay, by slot."""
    position, absorbed = np.int64(0), _ZERO
    while position < total and absorbed < rays.opaque:
        start = position if position > 0 else 1
        position, count = _collect(rays, ray, samples, position, total, used, grid, block)
        features = scratch.features[used:]
        _blend(grid.texels, block.corners, block.weights, count, features)
        _multiply(features, count, layer.weight, samples.hidden, used)
        for i in range(count):
            sample = block.members[i]
            units = _activate(samples.hidden, used + i, layer.bias, density.weight)
            samples.density[sample] = units + density.bias + scratch.noise[sample]
        used += count
        for i in range(start, position):
            here, there = samples.order[i - 1], samples.order[i]
            mean = _HALF * (samples.density[here] + samples.density[there]) - _ONE
            absorbed += max(mean, _ZERO) * (samples.depth[there] - samples.depth[here])
    return position, used


@jit(nogil=True)
def forward(
    which: Any, rays: Any, noise: Any, grid: Any, layer: Any, density: Any, composites: Any, ray_depths: Any,
    ray_weights: Any, saved: Any,
) -> None:  # fmt: skip
    """Composite the hidden units of the rays ``which``; ``u`` and its noise are in order of ``u``.

    ``noise`` is (ray, sample), samples of the second pass behind those of the first; empty for none.
    """
    coarse, fine = rays.depths.shape[1], rays.u.shape[1]
    total = coarse + fine
    samples, scratch = _new_samples(total, layer.bias.size), _new_scratch(total, layer.weight.shape[1])
    block, shares, u = _new_block(layer.weight.shape[1]), np.empty(total, np.float32), np.empty(fine, np.float32)
    for ray in which:
        for i in range(total):
            samples.slot[i], samples.order[i] = _UNKNOWN, i
        for i in range(noise.shape[1]):
            scratch.noise[i] = noise[ray, i]
        for i in range(coarse):
            samples.depth[i] = rays.depths[ray, i]
        count, used = _evaluate(rays, ray, samples, scratch, coarse, np.int64(0), grid, layer, density, block)
        if fine > 0:
            for i in range(fine):
                u[i] = rays.u[ray, i]
            _refine(samples, coarse, count, u)
            count, used = _evaluate(rays, ray, samples, scratch, total, used, grid, layer, density, block)
        _march(samples, count)
        distance, ray_weights[ray] = _settle(samples, count, used, shares)
        ray_depths[ray] = min(max(distance, rays.near), rays.far)
        _compose(samples.hidden, shares, used, composites, ray)
        for i in range(total):
            saved.depths[ray, i] = samples.depth[samples.order[i]]
        for i in range(noise.shape[1]):
            saved.noise[ray, i] = noise[ray, samples.order[i]]


@_inner(fastmath=_FAST)
def _dot(one: Any, other: Any) -> Any:
    """Scalar product."""
    total = _ZERO
    for i in range(one.shape[0]):
        total += one[i] * other[i]
    return total


@_inner(fastmath=_FAST)
def _shares(samples: Any, scratch: Any, count: Any) -> Any:
    """As ``_march`` with opacities instead of weights; the share of every sample; sum of depth x share, and weight."""
    opacity, light = samples.weight, scratch.light
    for i in range(count - 1):
        mean = _HALF * (samples.density[i] + samples.density[i + 1]) - _ONE
        samples.thickness[i] = mean
        opacity[i] = _ONE - _decay(_softplus(mean) * (samples.depth[i + 1] - samples.depth[i]))
    arriving, before, total, distance = _ONE, _ZERO, _ZERO, _ZERO
    for i in range(count):
        after = opacity[i] * arriving if i < count - 1 else _ZERO
        scratch.share[i] = _HALF * (before + after)
        total += after
        distance += scratch.share[i] * samples.depth[i]
        before = after
        if i < count - 1:
            light[i] = arriving
            arriving *= _ONE - opacity[i] + np.float32(1e-10)
            arriving = arriving if arriving > _NONE else _ZERO
    return distance, total


@_inner(fastmath=_FAST)
def _march_backward(
    samples: Any, scratch: Any, count: Any, distance: Any, distance_grad: Any, weight_grad: Any
) -> None:
    """Gradient of the densities from those of the shares, of the ray's depth and of its weight, back to front.

    With T_i the light that arrives, a_i the opacity, w_i = a_i T_i and g_i = dL/dw_i: T_{i+1} = T_i (1 - a_i), so
    dL/da_i = T_i (g_i - B_i) where B_i = a_{i+1} g_{i+1} + (1 - a_{i+1}) B_{i+1} is what the light behind is worth.
    """
    behind, last = _ZERO, _ZERO
    for i in range(count - 2, -1, -1):
        near, far = samples.depth[i], samples.depth[i + 1]
        # g_i: an interval's weight goes in halves to its two samples, to the ray's weight and to its mean depth.
        interval_grad = _HALF * (scratch.share_grad[i] + scratch.share_grad[i + 1]) + weight_grad
        interval_grad += distance_grad * (_HALF * (near + far) - distance)
        passed = _ONE - samples.weight[i]
        # a = 1 - exp(-thickness), so d a / d thickness = 1 - a; the derivative of softplus is the logistic function of
        # the mean raw density.
        e = _decay(abs(samples.thickness[i]))
        influence = scratch.light[i] * passed * ((_ONE if samples.thickness[i] >= _ZERO else e) / (_ONE + e))
        influence = influence if influence > _NONE else _ZERO
        slope = _HALF * influence * (interval_grad - behind) * (far - near)
        behind = interval_grad * samples.weight[i] + (passed + np.float32(1e-10)) * behind
        scratch.density_grad[i + 1] = last + slope
        last = slope
    scratch.density_grad[0] = last


@_inner(fastmath=_FAST)
def _units_backward(
    hidden: Any, slot: Any, to: Any, share: Any, grad: Any, density_grad: Any, weight: Any, sums: Any
) -> None:  # fmt: skip
    """Write the gradient before the activation of the hidden units of a slot to the slot ``to``; add to the sums."""
    for i in range(weight.shape[0]):
        unit = hidden[slot, i]
        sums.density_weight[i] += density_grad * unit
        # The derivative of softplus in terms of its value: 1 - exp(-softplus(x)).
        before = (share * grad[i] + density_grad * weight[i]) * (_ONE - _decay(unit))
        sums.bias[i] += before
        hidden[to, i] = before
    sums.density_bias[0] += density_grad


@_inner()
def _weight_backward(hidden: Any, features: Any, used: Any, weight: Any) -> None:
    """Add features^T x gradient before the activation; rows behind ``used`` are zero up to a whole group."""
    width, channels = hidden.shape[1], features.shape[1]
    for row in range(0, used, _GROUP):
        for unit in range(0, width, WIDTH):
            a, b = load(hidden, row * width + unit), load(hidden, (row + 1) * width + unit)
            c, d = load(hidden, (row + 2) * width + unit), load(hidden, (row + 3) * width + unit)
            for channel in range(channels):
                total = load(weight, channel * width + unit)
                total = fma(splat(features[row, channel]), a, total)
                total = fma(splat(features[row + 1, channel]), b, total)
                total = fma(splat(features[row + 2, channel]), c, total)
                total = fma(splat(features[row + 3, channel]), d, total)
                store(weight, channel * width + unit, total)


@_inner()
def _features_backward(hidden: Any, used: Any, weight: Any, features: Any) -> None:
    """Write gradient before the activation x weight (hidden, channel) to the rows of ``features``."""
    channels, width = features.shape[1], hidden.shape[1]
    for row in range(0, used, _GROUP):
        for channel in range(0, channels, WIDTH):
            a, b, c, d = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
            for unit in range(width):
                column = load(weight, unit * channels + channel)
                a = fma(splat(hidden[row, unit]), column, a)
                b = fma(splat(hidden[row + 1, unit]), column, b)
                c = fma(splat(hidden[row + 2, unit]), column, c)
                d = fma(splat(hidden[row + 3, unit]), column, d)
            store(features, row * channels + channel, a)
            store(features, (row + 1) * channels + channel, b)
            store(features, (row + 2) * channels + channel, c)
            store(features, (row + 3) * channels + channel, d)


@jit(nogil=True)
def backward(
    which: Any, rays: Any, saved: Any, grid: Any, layer: Any, density: Any, weight: Any, grad: Any, sums: Any,
    sampled: Any,
) -> None:  # fmt: skip
    """Compute gradients of the decoder, summed over the rays ``which``, and of every sample's features.

    ``weight`` is that of ``layer`` as (hidden, channel). ``sums`` are added to.
    """
    total, channels = saved.depths.shape[1], layer.weight.shape[1]
    samples, scratch = _new_samples(total, layer.bias.size), _new_scratch(total, channels)
    block = _new_block(channels)
    for ray in which:
        for i in range(total):
            samples.slot[i], samples.order[i], samples.depth[i] = _UNKNOWN, i, saved.depths[ray, i]
        for i in range(saved.noise.shape[1]):
            scratch.noise[i] = saved.noise[ray, i]
        count, used = _evaluate(rays, ray, samples, scratch, total, np.int64(0), grid, layer, density, block)
        distance, total_weight = _shares(samples, scratch, count)
        composite = grad.composites[ray]
        for i in range(count):
            slot = samples.slot[i]
            scratch.share_grad[i] = _dot(samples.hidden[slot], composite) if slot >= 0 else _ZERO
        distance_grad = grad.depth[ray] / total_weight if total_weight > _ZERO else _ZERO
        distance = distance / total_weight if total_weight > _ZERO else _ZERO
        _march_backward(samples, scratch, count, distance, distance_grad, grad.weight[ray])
        # Samples without influence have no gradient. Slots are in order here: those of the others close ranks.
        used = np.int64(0)
        for i in range(count):
            slot, share, density_grad = samples.slot[i], scratch.share[i], scratch.density_grad[i]
            if slot < 0 or (share == _ZERO and density_grad == _ZERO):
                samples.slot[i] = _UNKNOWN
                continue
            _units_backward(samples.hidden, slot, used, share, composite, density_grad, density.weight, sums)
            if used < slot:
                scratch.features[used] = scratch.features[slot]
            samples.slot[i] = used
            used += 1
        samples.hidden[used : used + _GROUP] = _ZERO
        _weight_backward(samples.hidden, scratch.features, used, sums.weight)
        _features_backward(samples.hidden, used, weight, scratch.features)
        for i in range(total):
            slot = samples.slot[i] if i < count else _UNKNOWN
            sampled.live[ray, i] = slot >= 0
            if slot >= 0:
                for channel in range(channels):
                    sampled.features[ray, i, channel] = scratch.features[slot, channel]


@_inner()
def _place(rays: Any, ray: Any, depth: Any, axes: Any, plane: Any, grid: Any) -> Any:
    """Coordinates of a sample along width, height and slices of a plane."""
    x, y, z = canonical(
        rays.origins[ray, 0] + depth * rays.directions[ray, 0],
        rays.origins[ray, 1] + depth * rays.directions[ray, 1],
        rays.origins[ray, 2] + depth * rays.directions[ray, 2],
        grid,
    )
    u, v, w = axes[3 * plane], axes[3 * plane + 1], axes[3 * plane + 2]
    return (
        x if u == 0 else y if u == 1 else z,
        x if v == 0 else y if v == 1 else z,
        x if w == 0 else y if w == 1 else z,
    )


@_inner()
def _add(texels: Any, offset: Any, share: Any, row: Any, at: Any, channels: Any) -> None:
    """Add a row of gradients times a texel's share to the texel."""
    factor = splat(share)
    for channel in range(0, channels, WIDTH):
        store(texels, offset + channel, fma(factor, load(row, at + channel), load(texels, offset + channel)))


@jit(nogil=True)
def scatter(which: Any, rays: Any, saved: Any, grid: Any, sampled: Any, plane: Any, texels: Any) -> None:
    """Add the gradient of one plane of one head to ``texels``, flat as those of ``grid``."""
    total, channels = sampled.features.shape[1], sampled.features.shape[2]
    axes, strides, sizes = grid.axes, grid.strides, grid.sizes
    for ray in which:
        for i in range(total):
            if not sampled.live[ray, i]:
                continue
            x, y, z = _place(rays, ray, saved.depths[ray, i], axes, plane, grid)
            x0, x1, left, right = _neighbors(x, sizes[2])
            y0, y1, lower, upper = _neighbors(y, sizes[1])
            z0, z1, front, back = _neighbors(z, sizes[0])
            if grid.flat:
                z0, z1, front, back = 0, 0, _ONE, _ZERO
            x0, x1 = x0 * strides[3] + plane * strides[0], x1 * strides[3] + plane * strides[0]
            y0, y1, z0, z1 = y0 * strides[2], y1 * strides[2], z0 * strides[1], z1 * strides[1]
            a, b, c, d = left * lower, right * lower, left * upper, right * upper
            at = (ray * total + i) * channels
            _add(texels, x0 + y0 + z0, a * front, sampled.features, at, channels)
            _add(texels, x1 + y0 + z0, b * front, sampled.features, at, channels)
            _add(texels, x0 + y1 + z0, c * front, sampled.features, at, channels)
            _add(texels, x1 + y1 + z0, d * front, sampled.features, at, channels)
            _add(texels, x0 + y0 + z1, a * back, sampled.features, at, channels)
            _add(texels, x1 + y0 + z1, b * back, sampled.features, at, channels)
            _add(texels, x0 + y1 + z1, c * back, sampled.features, at, channels)
            _add(texels, x1 + y1 + z1, d * back, sampled.features, at, channels)


@_inner(fastmath=_FAST, forceinline=True)
def _slopes(coordinate: Any, size: Any) -> Any:
    """Derivatives of both of ``_neighbors``' weights with respect to the coordinate, zero for those outside."""
    position = ((coordinate + _ONE) * np.float32(size) - _ONE) * _HALF
    first = int(np.floor(min(max(position, np.float32(-2.0)), np.float32(size + 1))))
    slope = np.float32(size) * _HALF
    return -slope if 0 <= first < size else _ZERO, slope if -1 <= first < size - 1 else _ZERO


@_inner(forceinline=True)
def _point_backward(u: Any, v: Any, w: Any, plane: Any, grid: Any, features: Any, at: Any) -> Any:
    """Gradient with respect to one plane's coordinates of a point: three vectors whose lanes are to be summed."""
    strides, sizes, texels = grid.strides, grid.sizes, grid.texels
    x0, x1, left, right = _neighbors(u, sizes[2])
    y0, y1, lower, upper = _neighbors(v, sizes[1])
    z0, z1, front, back = _neighbors(w, sizes[0])
    left_slope, right_slope = _slopes(u, sizes[2])
    lower_slope, upper_slope = _slopes(v, sizes[1])
    front_slope, back_slope = _slopes(w, sizes[0])
    if grid.flat:
        z0, z1, front, back, front_slope, back_slope = 0, 0, _ONE, _ZERO, _ZERO, _ZERO
    x0, x1 = x0 * strides[3] + plane * strides[0], x1 * strides[3] + plane * strides[0]
    y0, y1, z0, z1 = y0 * strides[2], y1 * strides[2], z0 * strides[1], z1 * strides[1]
    along_x, along_y, along_z = splat(_ZERO), splat(_ZERO), splat(_ZERO)
    for channel in range(0, features.shape[2], WIDTH):
        grad = load(features, at + channel)
        # Along x first: the four edges of the cell, and what changes along them.
        a0, a1 = load(texels, x0 + y0 + z0 + channel), load(texels, x1 + y0 + z0 + channel)
        b0, b1 = load(texels, x0 + y1 + z0 + channel), load(texels, x1 + y1 + z0 + channel)
        c0, c1 = load(texels, x0 + y0 + z1 + channel), load(texels, x1 + y0 + z1 + channel)
        d0, d1 = load(texels, x0 + y1 + z1 + channel), load(texels, x1 + y1 + z1 + channel)
        a, b = fma(splat(left), a0, splat(right) * a1), fma(splat(left), b0, splat(right) * b1)
        c, d = fma(splat(left), c0, splat(right) * c1), fma(splat(left), d0, splat(right) * d1)
        low, high = fma(splat(lower), a, splat(upper) * b), fma(splat(lower), c, splat(upper) * d)
        along_z = fma(grad, fma(splat(front_slope), low, splat(back_slope) * high), along_z)
        low = fma(splat(lower_slope), a, splat(upper_slope) * b)
        high = fma(splat(lower_slope), c, splat(upper_slope) * d)
        along_y = fma(grad, fma(splat(front), low, splat(back) * high), along_y)
        x, y = fma(splat(left_slope), a0, splat(right_slope) * a1), fma(splat(left_slope), b0, splat(right_slope) * b1)
        low = fma(splat(lower), x, splat(upper) * y)
        x, y = fma(splat(left_slope), c0, splat(right_slope) * c1), fma(splat(left_slope), d0, splat(right_slope) * d1)
        high = fma(splat(lower), x, splat(upper) * y)
        along_x = fma(grad, fma(splat(front), low, splat(back) * high), along_x)
    return along_x, along_y, along_z


@_inner()
def _ray_backward(rays: Any, ray: Any, saved: Any, grid: Any, sampled: Any, plane: Any, sums: Any) -> None:
    """Lanes of the gradient of a ray by one plane's coordinates: origin in three rows, direction in three."""
    # A sample is origin + depth x direction: the direction's gradient is depth times the origin's.
    total, channels = sampled.features.shape[1], sampled.features.shape[2]
    x, y, z = splat(_ZERO), splat(_ZERO), splat(_ZERO)
    far_x, far_y, far_z = splat(_ZERO), splat(_ZERO), splat(_ZERO)
    for i in range(total):
        if not sampled.live[ray, i]:
            continue
        depth = saved.depths[ray, i]
        u, v, w = _place(rays, ray, depth, grid.axes, plane, grid)
        along_x, along_y, along_z = _point_backward(
            u, v, w, plane, grid, sampled.features, (ray * total + i) * channels
        )
        x, y, z = x + along_x, y + along_y, z + along_z
        far_x, far_y = fma(splat(depth), along_x, far_x), fma(splat(depth), along_y, far_y)
        far_z = fma(splat(depth), along_z, far_z)
    store(sums, np.int64(0), x)
    store(sums, WIDTH, y)
    store(sums, 2 * WIDTH, z)
    store(sums, 3 * WIDTH, far_x)
    store(sums, 4 * WIDTH, far_y)
    store(sums, 5 * WIDTH, far_z)


@jit(nogil=True)
def ray_gradients(which: Any, rays: Any, saved: Any, grid: Any, sampled: Any, origins: Any, directions: Any) -> None:
    """Write gradients of the rays ``which`` to ``origins`` and ``directions``, per world unit."""
    sums = np.empty((6, WIDTH), np.float32)
    for ray in which:
        origins[ray], directions[ray] = _ZERO, _ZERO
        for plane in range(3):
            _ray_backward(rays, ray, saved, grid, sampled, plane, sums)
            for k in range(3):
                origins[ray, grid.axes[3 * plane + k]] += sums[k].sum() * grid.scale
                directions[ray, grid.axes[3 * plane + k]] += sums[3 + k].sum() * grid.scale


@jit(nogil=True)
def point_gradients(which: Any, rays: Any, saved: Any, grid: Any, sampled: Any, points: Any) -> None:
    """Write gradients of the samples' places in the space of the planes to ``points``, per world unit."""
    total, channels = sampled.features.shape[1], sampled.features.shape[2]
    lanes = np.empty((3, WIDTH), np.float32)
    for ray in which:
        for i in range(total):
            points[ray, i] = _ZERO
            if not sampled.live[ray, i]:
                continue
            for plane in range(3):
                u, v, w = _place(rays, ray, saved.depths[ray, i], grid.axes, plane, grid)
                along = _point_backward(u, v, w, plane, grid, sampled.features, (ray * total + i) * channels)
                for k in range(3):
                    store(lanes, k * WIDTH, along[k])
                    points[ray, i, grid.axes[3 * plane + k]] += lanes[k].sum() * grid.scale
