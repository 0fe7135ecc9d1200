"""The compiled loops of ``panohead.ops.cpu.winograd``. Importing this module needs numba.

All arrays are flat float32 (images channels-last), all sizes and offsets count elements. A *point* is one of the
numbers at which the Toom-Cook polynomials of a tile are evaluated: a convolution becomes one matrix product
[tile, in] @ [in, out] per point, of which GROUP output channels at a time pass through the cache.
"""

from typing import Any

from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import (
    NARROW_PANEL,
    PANEL,
    ROWS,
    WIDTH,
    fma,
    load,
    maximum,
    minimum,
    multiply_block,
    multiply_narrow_block,
    splat,
    store,
)

# The finite points are 0, +-A, +-B. With 3/4 and 3/2 rounding errors are half of those of the usual 1 and 2, and the
# squares and cubes used below are exact in float32.
A, B = 0.75, 1.5
A2, B2, A3, B3 = A**2, B**2, A**3, B**3
POINTS = (0.0, A, -A, B, -B)

GROUP = max(64 // PANEL, 1) * PANEL
TILE = 4  # outputs per tile and axis (inputs per tile in the up-convolution)
SKEW = 16  # keeps the rows and points of a buffer from competing for the same lines of the cache


@jit(nogil=True)
def _to_points(d0: Any, d1: Any, d2: Any, d3: Any, d4: Any) -> Any:
    """Transform five samples to their values at 0, A, -A, B, -B."""
    # With the factors x, x^2 - A^2 and x^2 - B^2: even and odd parts are shared by +-A and by +-B.
    even_a, odd_a = fma(splat(-B2), d2, d4), fma(splat(-B2), d1, d3)
    even_b, odd_b = fma(splat(-A2), d2, d4), fma(splat(-A2), d1, d3)
    zero = fma(splat(-A2), fma(splat(-B2), d0, d2), even_a)
    plus_a, minus_a = fma(splat(A), odd_a, even_a), fma(splat(-A), odd_a, even_a)
    plus_b, minus_b = fma(splat(B), odd_b, even_b), fma(splat(-B), odd_b, even_b)
    return zero, plus_a, minus_a, plus_b, minus_b


@jit(nogil=True)
def _at_infinity(d1: Any, d3: Any, d5: Any) -> Any:
    """Transform six samples to the point at infinity, which filters of three taps have."""
    return fma(splat(-A2), fma(splat(-B2), d1, d3), fma(splat(-B2), d3, d5))


@jit(nogil=True)
def _from_points(zero: Any, plus_a: Any, minus_a: Any, plus_b: Any, minus_b: Any) -> Any:
    """Transform products at the five finite points to four outputs."""
    # y_k = sum over the points p of p^k m(p): even powers take sums of +-p, odd powers differences.
    even_a, odd_a = plus_a + minus_a, plus_a - minus_a
    even_b, odd_b = plus_b + minus_b, plus_b - minus_b
    y0 = zero + even_a + even_b
    y1 = fma(splat(A), odd_a, splat(B) * odd_b)
    y2 = fma(splat(A2), even_a, splat(B2) * even_b)
    y3 = fma(splat(A3), odd_a, splat(B3) * odd_b)
    return y0, y1, y2, y3


@jit(nogil=True)
def _finish(value: Any, scale: Any, shift: Any, slope: Any, gain: Any, limit: Any) -> Any:
    """Demodulate (``scale``), add noise and bias (``shift``), leaky ReLU, gain, clamp."""
    value = fma(value, scale, shift)
    value = maximum(value, value * slope) * gain
    return minimum(limit, maximum(splat(0.0) - limit, value))


@jit(nogil=True)
def _locate(
    x: Any, image: Any, row: Any, column: Any, height: Any, width: Any, channels: Any, size: Any, patch: Any
) -> Any:
    """Return True if the size x size window lies inside; else copy it to ``patch``, zeros where it leaves the image."""
    if row >= 0 and column >= 0 and row + size <= height and column + size <= width:
        return True
    for i in range(size):
        for j in range(size):
            target = (i * size + j) * channels
            inside = 0 <= row + i < height and 0 <= column + j < width
            source = ((image * height + row + i) * width + column + j) * channels
            for c in range(0, channels, WIDTH):
                store(patch, target + c, load(x, source + c) if inside else splat(0.0))
    return False


@jit(nogil=True)
def _multiply(
    data: Any, data_pitch: Any, depth: Any, weights: Any, first: Any, kinds: Any, rows: Any, sums: Any,
    sums_pitch: Any, panels: Any,
) -> Any:  # fmt: skip
    """Compute ``sums[point] = data[point, :rows[point]] @ weights[kind of point]``, panels [first, first + panels).

    Weights of so few output channels that half a panel holds them are packed in one such panel.
    """
    matrices = kinds.max() + 1
    if weights.size == matrices * depth * NARROW_PANEL:
        for point in range(kinds.size):
            for row in range(0, rows[point], ROWS):
                multiply_narrow_block(
                    data, point * data_pitch + row * (depth + SKEW), depth + SKEW, weights,
                    kinds[point] * depth * NARROW_PANEL, sums, point * sums_pitch + row * GROUP, GROUP, depth,
                )  # fmt: skip
        return
    for point in range(kinds.size):
        for panel in range(panels):
            right = ((first + panel) * matrices + kinds[point]) * depth * PANEL
            for row in range(0, rows[point], ROWS):
                multiply_block(
                    data, point * data_pitch + row * (depth + SKEW), depth + SKEW, weights, right,
                    sums, point * sums_pitch + row * GROUP + panel * PANEL, GROUP, depth,
                )  # fmt: skip


@jit(nogil=True)
def _data_tile(
    source: Any, base: Any, row_pitch: Any, pixel_pitch: Any, channels: Any, style: Any, style_at: Any,
    work: Any, data: Any, data_pitch: Any, data_at: Any,
) -> Any:  # fmt: skip
    """Transform a 6 x 6 window, scaled by the style, to 36 points: columns, then rows."""
    for c in range(0, channels, WIDTH):
        factor = load(style, style_at + c)
        # Columns: 6 x 6 samples to 6 points x 6 in ``work``.
        for j in range(6):
            at = base + j * pixel_pitch + c
            d0, d1 = load(source, at) * factor, load(source, at + row_pitch) * factor
            d2, d3 = load(source, at + 2 * row_pitch) * factor, load(source, at + 3 * row_pitch) * factor
            d4, d5 = load(source, at + 4 * row_pitch) * factor, load(source, at + 5 * row_pitch) * factor
            v0, v1, v2, v3, v4 = _to_points(d0, d1, d2, d3, d4)
            store(work, j * WIDTH, v0)
            store(work, (6 + j) * WIDTH, v1)
            store(work, (12 + j) * WIDTH, v2)
            store(work, (18 + j) * WIDTH, v3)
            store(work, (24 + j) * WIDTH, v4)
            store(work, (30 + j) * WIDTH, _at_infinity(d1, d3, d5))
        # Rows: to 6 x 6 points, each a matrix product of its own.
        for i in range(6):
            at, to = 6 * i * WIDTH, 6 * i * data_pitch + data_at + c
            d0, d1, d2 = load(work, at), load(work, at + WIDTH), load(work, at + 2 * WIDTH)
            d3, d4, d5 = load(work, at + 3 * WIDTH), load(work, at + 4 * WIDTH), load(work, at + 5 * WIDTH)
            v0, v1, v2, v3, v4 = _to_points(d0, d1, d2, d3, d4)
            store(data, to, v0)
            store(data, to + data_pitch, v1)
            store(data, to + 2 * data_pitch, v2)
            store(data, to + 3 * data_pitch, v3)
            store(data, to + 4 * data_pitch, v4)
            store(data, to + 5 * data_pitch, _at_infinity(d1, d3, d5))


@jit(nogil=True)
def _output_tile(
    sums: Any, at: Any, pitch: Any, work: Any, target: Any, base: Any, rows: Any, columns: Any, noise_at: Any,
    scale: Any, bias: Any, ending: Any,
) -> Any:  # fmt: skip
    """Transform 36 points of one vector of channels to the (up to) 4 x 4 pixels of a tile: columns, then rows."""
    for j in range(6):
        m0, m1, m2 = load(sums, at + j * pitch), load(sums, at + (6 + j) * pitch), load(sums, at + (12 + j) * pitch)
        m3, m4 = load(sums, at + (18 + j) * pitch), load(sums, at + (24 + j) * pitch)
        y0, y1, y2, y3 = _from_points(m0, m1, m2, m3, m4)
        store(work, j * WIDTH, y0)
        store(work, (6 + j) * WIDTH, y1)
        store(work, (12 + j) * WIDTH, y2)
        # The point at infinity adds to the highest power only.
        store(work, (18 + j) * WIDTH, y3 + load(sums, at + (30 + j) * pitch))
    out, step, noise = target.values, target.channels, ending.noise
    slope, gain, limit = splat(ending.slope), splat(ending.gain), splat(ending.limit)
    for i in range(rows):
        w, to, n = 6 * i * WIDTH, base + i * target.width * step, noise_at + i * target.width
        m0, m1, m2 = load(work, w), load(work, w + WIDTH), load(work, w + 2 * WIDTH)
        m3, m4, m5 = load(work, w + 3 * WIDTH), load(work, w + 4 * WIDTH), load(work, w + 5 * WIDTH)
        y0, y1, y2, y3 = _from_points(m0, m1, m2, m3, m4)
        store(out, to, _finish(y0, scale, bias + splat(noise[n]), slope, gain, limit))
        if columns > 1:
            store(out, to + step, _finish(y1, scale, bias + splat(noise[n + 1]), slope, gain, limit))
        if columns > 2:
            store(out, to + 2 * step, _finish(y2, scale, bias + splat(noise[n + 2]), slope, gain, limit))
        if columns > 3:
            store(out, to + 3 * step, _finish(y3 + m5, scale, bias + splat(noise[n + 3]), slope, gain, limit))


@jit(nogil=True)
def convolve(
    images: Any, weights: Any, ending: Any, target: Any, first_tile: Any, last_tile: Any, block: Any, scratch: Any
) -> Any:
    """Compute the 3 x 3 convolution of the tiles [first, last) (counted over the batch), panels of ``target``."""
    height, width, channels, outs = images.height, images.width, images.channels, target.channels
    data, work = scratch.data, scratch.column
    across = (width + TILE - 1) // TILE
    tiles = across * ((height + TILE - 1) // TILE)
    data_pitch, sums_pitch = block * (channels + SKEW) + SKEW, block * GROUP + SKEW
    # Blocks of tiles whose transformed data fit the cache; all their output channels before the next block.
    for start in range(first_tile, last_tile, block):
        count = min(block, last_tile - start)
        scratch.needed[:] = count
        for t in range(count):
            image, rest = (start + t) // tiles, (start + t) % tiles
            row, column = rest // across * TILE - 1, rest % across * TILE - 1  # padding of 1
            inside = _locate(images.values, image, row, column, height, width, channels, 6, scratch.patch)
            base = ((image * height + row) * width + column) * channels if inside else 0
            row_step = width * channels if inside else 6 * channels
            _data_tile(
                images.values if inside else scratch.patch, base, row_step, channels, channels, images.factors,
                image * channels, work, data, data_pitch, t * (channels + SKEW),
            )  # fmt: skip
        for panel in range(target.first_panel, target.last_panel, GROUP // PANEL):
            panels = min(GROUP // PANEL, target.last_panel - panel)
            _multiply(
                data, data_pitch, channels, weights.values, panel, weights.kinds, scratch.needed, scratch.sums,
                sums_pitch, panels,
            )  # fmt: skip
            # Channels of this group, without the padding of the last panel.
            end = min(panels * PANEL, outs - panel * PANEL)
            for t in range(count):
                image, rest = (start + t) // tiles, (start + t) % tiles
                row, column = rest // across * TILE, rest % across * TILE
                rows, columns = min(TILE, height - row), min(TILE, width - column)
                pixel = (image * height + row) * width + column
                for c in range(0, end, WIDTH):
                    n = panel * PANEL + c
                    _output_tile(
                        scratch.sums, t * GROUP + c, sums_pitch, work, target, pixel * outs + n, rows, columns,
                        image * ending.noise_pitch + row * width + column, load(ending.scale, image * outs + n),
                        load(ending.bias, n), ending,
                    )  # fmt: skip
