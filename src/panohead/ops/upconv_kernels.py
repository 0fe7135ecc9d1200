"""The compiled loops of the up-convolution and of image upsampling. Importing this module needs numba.

Up-convolution: a stride-2 transposed convolution splits, per axis, into even outputs (two taps: five points give four
outputs) and odd outputs (one tap: the samples themselves). 9 x 9 products per 4 x 4 inputs replace 12 x 12. The rows
of the transposed convolution live in a ring (the new ones and the three before that the low-pass still needs), out of
which the low-pass (1, 3, 3, 1) makes the output.
"""

from typing import Any

from panohead.ops.jit import jit
from panohead.ops.simd import PANEL, WIDTH, fma, load, splat, store
from panohead.ops.winograd_kernels import GROUP, TILE, _finish, _from_points, _locate, _multiply, _to_points


@jit(nogil=True)
def _data_tile(
    source: Any, base: Any, row_pitch: Any, pixel_pitch: Any, channels: Any, style: Any, style_at: Any,
    work: Any, data: Any, data_pitch: Any, data_at: Any,
) -> Any:  # fmt: skip
    """A 5 x 5 window, scaled by the style, to 9 x 9: per axis five points, then the last four samples."""
    for c in range(0, channels, WIDTH):
        factor = load(style, style_at + c)
        for j in range(5):
            at, w = base + j * pixel_pitch + c, j * WIDTH
            d0, d1 = load(source, at) * factor, load(source, at + row_pitch) * factor
            d2, d3 = load(source, at + 2 * row_pitch) * factor, load(source, at + 3 * row_pitch) * factor
            d4 = load(source, at + 4 * row_pitch) * factor
            v0, v1, v2, v3, v4 = _to_points(d0, d1, d2, d3, d4)
            store(work, w, v0)
            store(work, w + 5 * WIDTH, v1)
            store(work, w + 10 * WIDTH, v2)
            store(work, w + 15 * WIDTH, v3)
            store(work, w + 20 * WIDTH, v4)
            store(work, w + 25 * WIDTH, d1)
            store(work, w + 30 * WIDTH, d2)
            store(work, w + 35 * WIDTH, d3)
            store(work, w + 40 * WIDTH, d4)
        for i in range(9):
            w, to = 5 * i * WIDTH, 9 * i * data_pitch + data_at + c
            d0, d1, d2 = load(work, w), load(work, w + WIDTH), load(work, w + 2 * WIDTH)
            d3, d4 = load(work, w + 3 * WIDTH), load(work, w + 4 * WIDTH)
            v0, v1, v2, v3, v4 = _to_points(d0, d1, d2, d3, d4)
            store(data, to, v0)
            store(data, to + data_pitch, v1)
            store(data, to + 2 * data_pitch, v2)
            store(data, to + 3 * data_pitch, v3)
            store(data, to + 4 * data_pitch, v4)
            store(data, to + 5 * data_pitch, d1)
            store(data, to + 6 * data_pitch, d2)
            store(data, to + 7 * data_pitch, d3)
            store(data, to + 8 * data_pitch, d4)


@jit(nogil=True)
def _ring_tile(
    sums: Any, at: Any, pitch: Any, work: Any, ring: Any, base: Any, ring_rows: Any, row_pitch: Any, row: Any
) -> Any:
    """9 x 9 products of one vector of channels to 8 x 8 outputs of the transposed convolution, into the ring."""
    for j in range(9):
        s, w = at + j * pitch, j * WIDTH
        m0, m1, m2 = load(sums, s), load(sums, s + 9 * pitch), load(sums, s + 18 * pitch)
        y0, y1, y2, y3 = _from_points(m0, m1, m2, load(sums, s + 27 * pitch), load(sums, s + 36 * pitch))
        store(work, w, y0)
        store(work, w + 18 * WIDTH, y1)
        store(work, w + 36 * WIDTH, y2)
        store(work, w + 54 * WIDTH, y3)
        for odd in range(4):
            store(work, w + (18 * odd + 9) * WIDTH, load(sums, s + 9 * (5 + odd) * pitch))
    for i in range(2 * TILE):
        w, to = 9 * i * WIDTH, base + (row + i) % ring_rows * row_pitch
        m0, m1, m2 = load(work, w), load(work, w + WIDTH), load(work, w + 2 * WIDTH)
        y0, y1, y2, y3 = _from_points(m0, m1, m2, load(work, w + 3 * WIDTH), load(work, w + 4 * WIDTH))
        store(ring, to, y0)
        store(ring, to + GROUP, load(work, w + 5 * WIDTH))
        store(ring, to + 2 * GROUP, y1)
        store(ring, to + 3 * GROUP, load(work, w + 6 * WIDTH))
        store(ring, to + 4 * GROUP, y2)
        store(ring, to + 5 * GROUP, load(work, w + 7 * WIDTH))
        store(ring, to + 6 * GROUP, y3)
        store(ring, to + 7 * GROUP, load(work, w + 8 * WIDTH))


@jit(nogil=True)
def _low_pass(a: Any, b: Any, c: Any, d: Any) -> Any:
    return fma(splat(3.0), b + c, a + d)


@jit(nogil=True)
def _output_row(
    ring: Any, base: Any, ring_rows: Any, row_pitch: Any, row: Any, out: Any, out_at: Any, columns: Any, outs: Any, noise: Any,
    noise_at: Any, scale: Any, bias: Any, slope: Any, gain: Any, limit: Any,
) -> Any:  # fmt: skip
    """Low-pass of the ring rows row - 1 .. row + 2 in both directions, then the end of the layer; one vector."""
    r0, r1 = base + (row - 1 + ring_rows) % ring_rows * row_pitch, base + row % ring_rows * row_pitch
    r2, r3 = base + (row + 1) % ring_rows * row_pitch, base + (row + 2) % ring_rows * row_pitch
    a = _low_pass(load(ring, r0), load(ring, r1), load(ring, r2), load(ring, r3))
    at = GROUP
    b = _low_pass(load(ring, r0 + at), load(ring, r1 + at), load(ring, r2 + at), load(ring, r3 + at))
    at = 2 * GROUP
    c = _low_pass(load(ring, r0 + at), load(ring, r1 + at), load(ring, r2 + at), load(ring, r3 + at))
    for column in range(columns):
        at += GROUP
        d = _low_pass(load(ring, r0 + at), load(ring, r1 + at), load(ring, r2 + at), load(ring, r3 + at))
        shift = bias + splat(noise[noise_at + column])
        store(out, out_at + column * outs, _finish(_low_pass(a, b, c, d), scale, shift, slope, gain, limit))
        a, b, c = b, c, d


@jit(nogil=True)
def _output_rows(
    ring: Any, ring_rows: Any, row_pitch: Any, begin: Any, end: Any, out: Any, image: Any, height: Any, width: Any,
    outs: Any, first_panel: Any, last_panel: Any, noise: Any, noise_batch: Any, scale: Any, bias: Any, slope: Any,
    gain: Any, limit: Any,
) -> Any:  # fmt: skip
    """The output rows [begin, end); height and width are those of the output."""
    for first in range(first_panel * PANEL, min(last_panel * PANEL, outs), GROUP):
        base = (first - first_panel * PANEL) // GROUP * ring_rows * row_pitch
        for row in range(begin, end):
            pixel = (image * height + row) * width
            for c in range(0, min(GROUP, last_panel * PANEL - first, outs - first), WIDTH):
                n = first + c
                _output_row(
                    ring, base + c, ring_rows, row_pitch, row, out, pixel * outs + n, width, outs, noise,
                    image * noise_batch + row * width, load(scale, image * outs + n), load(bias, n),
                    splat(slope), splat(gain), splat(limit),
                )  # fmt: skip


@jit(nogil=True)
def up_convolve(
    x: Any, style: Any, weights: Any, order: Any, kinds: Any, scale: Any, bias: Any, noise: Any, noise_batch: Any,
    out: Any, image: Any, height: Any, width: Any, channels: Any, outs: Any, first_row: Any, last_row: Any,
    first_panel: Any, last_panel: Any, block: Any, strips: Any, slope: Any, gain: Any, limit: Any, data: Any,
    sums: Any, patch: Any, work: Any, ring: Any,
) -> Any:  # fmt: skip
    """Up-convolution of one image: tile rows [first, last), panels [first, last). ``scale`` includes the filter's 1/16.

    The ring (8 * strips + 3 rows) must come zeroed. Tile rows finish the output rows up to two before their last.
    """
    across = width // TILE + 1
    data_pitch, sums_pitch = block * (channels + 16) + 16, block * GROUP + 16
    row_pitch = (2 * TILE * across + 1) * GROUP
    ring_rows = 2 * TILE * strips + 3
    top = max(first_row - 1, 0)
    while top < last_row:
        # The row before the first is there only to fill the ring.
        tile_rows = min(strips, last_row - top) if top >= first_row else 1
        for start in range(0, tile_rows * across, block):
            count = min(block, tile_rows * across - start)
            for t in range(count):
                row = (top + (start + t) // across) * TILE - 1
                column = (start + t) % across * TILE - 1
                at = t * (channels + 16)
                if _locate(x, image, row, column, height, width, channels, 5, patch):
                    base = ((image * height + row) * width + column) * channels
                    _data_tile(
                        x, base, width * channels, channels, channels, style, image * channels, work, data,
                        data_pitch, at,
                    )  # fmt: skip
                else:
                    _data_tile(
                        patch, 0, 5 * channels, channels, channels, style, image * channels, work, data, data_pitch, at
                    )
            for panel in range(first_panel, last_panel, GROUP // PANEL):
                panels = min(GROUP // PANEL, last_panel - panel)
                _multiply(data, data_pitch, channels, weights, panel, order, kinds, count, sums, sums_pitch, panels)
                base = (panel - first_panel) * PANEL // GROUP * ring_rows * row_pitch
                for t in range(count):
                    row = (top + (start + t) // across) * 2 * TILE
                    at = base + (2 * TILE * ((start + t) % across) + 1) * GROUP
                    for c in range(0, panels * PANEL, WIDTH):
                        _ring_tile(sums, t * GROUP + c, sums_pitch, work, ring, at + c, ring_rows, row_pitch, row)
        if top >= first_row:
            begin, end = max(2 * TILE * top - 2, 0), min(2 * TILE * (top + tile_rows) - 2, 2 * height)
            _output_rows(
                ring, ring_rows, row_pitch, begin, end, out, image, 2 * height, 2 * width, outs, first_panel,
                last_panel, noise, noise_batch, scale, bias, slope, gain, limit,
            )  # fmt: skip
        top += tile_rows
