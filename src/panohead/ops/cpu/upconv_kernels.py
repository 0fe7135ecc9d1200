"""The compiled loops of the up-convolution and of image upsampling. Importing this module needs numba.

Up-convolution: a stride-2 transposed convolution splits, per axis, into even outputs (two taps: five points give four
outputs) and odd outputs (one tap: the samples themselves). 9 x 9 products per 4 x 4 inputs replace 12 x 12. The rows
of the transposed convolution live in a ring (the new ones and the three before that the low-pass still needs), out of
which the low-pass (1, 3, 3, 1) makes the output.
"""

from typing import Any

from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import PANEL, WIDTH, fma, load, splat, store
from panohead.ops.cpu.winograd_kernels import GROUP, SKEW, TILE, _finish, _from_points, _locate, _multiply, _to_points


@jit(nogil=True)
def _data_tile(
    source: Any, base: Any, row_pitch: Any, pixel_pitch: Any, channels: Any, style: Any, style_at: Any,
    work: Any, data: Any, data_pitch: Any, data_at: Any,
) -> Any:  # fmt: skip
    """Transform a 5 x 5 window, scaled by the style, to 9 x 9: per axis five points, then the last four samples."""
    for c in range(0, channels, WIDTH):
        factor = load(style, style_at + c)
        # Columns: 5 x 5 samples to 9 x 5 in ``work``.
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
        # Rows: 9 x 5 to 9 x 9, each number a matrix product of its own.
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
    """Write 8 x 8 outputs of the transposed convolution to the ring, from 9 x 9 products; one vector of channels."""
    # Columns: points give even output rows, the last four samples odd ones.
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
    # Rows alike; the ring wraps around.
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
    """a + 3 b + 3 c + d."""
    return fma(splat(3.0), b + c, a + d)


@jit(nogil=True)
def _output_row(
    ring: Any, base: Any, ring_rows: Any, row_pitch: Any, row: Any, target: Any, out_at: Any, noise_at: Any, scale: Any,
    bias: Any, ending: Any,
) -> Any:  # fmt: skip
    """Write the low-pass of the ring rows row - 1 .. row + 2 in both directions, activated; one vector of channels."""
    r0, r1 = base + (row - 1 + ring_rows) % ring_rows * row_pitch, base + row % ring_rows * row_pitch
    r2, r3 = base + (row + 1) % ring_rows * row_pitch, base + (row + 2) % ring_rows * row_pitch
    out, outs, noise = target.values, target.channels, ending.noise
    slope, gain, limit = splat(ending.slope), splat(ending.gain), splat(ending.limit)
    # Columns first: a, b, c, d are four neighboring columns, filtered vertically once each.
    a = _low_pass(load(ring, r0), load(ring, r1), load(ring, r2), load(ring, r3))
    at = GROUP
    b = _low_pass(load(ring, r0 + at), load(ring, r1 + at), load(ring, r2 + at), load(ring, r3 + at))
    at = 2 * GROUP
    c = _low_pass(load(ring, r0 + at), load(ring, r1 + at), load(ring, r2 + at), load(ring, r3 + at))
    for column in range(target.width):
        at += GROUP
        d = _low_pass(load(ring, r0 + at), load(ring, r1 + at), load(ring, r2 + at), load(ring, r3 + at))
        shift = bias + splat(noise[noise_at + column])
        store(out, out_at + column * outs, _finish(_low_pass(a, b, c, d), scale, shift, slope, gain, limit))
        a, b, c = b, c, d


@jit(nogil=True)
def _output_rows(
    ring: Any, ring_rows: Any, row_pitch: Any, begin: Any, end: Any, target: Any, image: Any, ending: Any
) -> Any:
    """Write the output rows [begin, end) of one image."""
    outs, start, stop = target.channels, target.first_panel * PANEL, target.last_panel * PANEL
    for first in range(start, min(stop, outs), GROUP):
        base = (first - start) // GROUP * ring_rows * row_pitch
        for row in range(begin, end):
            pixel = (image * target.height + row) * target.width
            for c in range(0, min(GROUP, stop - first, outs - first), WIDTH):
                n = first + c
                _output_row(
                    ring, base + c, ring_rows, row_pitch, row, target, pixel * outs + n,
                    image * ending.noise_pitch + row * target.width, load(ending.scale, image * outs + n),
                    load(ending.bias, n), ending,
                )  # fmt: skip


@jit(nogil=True)
def _tile(index: Any, rows: Any, columns: Any, whole_rows: Any, whole_columns: Any) -> Any:
    """Row and column of a tile in the order: whole tiles, then those of the last row, then those of the last column.

    Where a side is a multiple of TILE the last row (column) of tiles holds only the last row of samples: it is not
    whole, and of its products only those of point 0 are not zero.
    """
    if index < whole_rows * whole_columns:
        return index // whole_columns, index % whole_columns
    if index < rows * whole_columns:
        index -= whole_rows * whole_columns
        return whole_rows + index // whole_columns, index % whole_columns
    return index - rows * whole_columns, whole_columns


@jit(nogil=True)
def _count_needed(
    start: Any, count: Any, rows: Any, columns: Any, whole_rows: Any, whole_columns: Any, needed: Any
) -> Any:  # fmt: skip
    """Count the tiles of the block [start, start + count), ordered as in ``_tile``, that need each of the 81 points."""
    inner = min(max(whole_rows * whole_columns - start, 0), count)
    upper = min(max(rows * whole_columns - start, 0), count)
    side = min(max(rows * whole_columns + (columns - whole_columns) * whole_rows - start, 0), count)
    # Point (i, j) of 9 x 9: the first row also for tiles that are not whole vertically, the first column horizontally.
    needed[:] = inner
    needed[:9] = upper
    needed[::9] = side
    needed[0] = count


@jit(nogil=True)
def _clear_unneeded(sums: Any, at: Any, pitch: Any, needed: Any, t: Any) -> Any:
    """Write zeros to the products of tile ``t`` at points that it did not need."""
    for point in range(needed.size):
        if t >= needed[point]:
            for c in range(0, GROUP, WIDTH):
                store(sums, at + point * pitch + c, splat(0.0))


@jit(nogil=True)
def up_convolve(
    images: Any, weights: Any, ending: Any, target: Any, image: Any, first_row: Any, last_row: Any, block: Any,
    strips: Any, scratch: Any, ring: Any,
) -> Any:  # fmt: skip
    """Compute the up-convolution of one image: tile rows [first, last), panels of ``target``.

    ``ending.scale`` includes 4 / 64 = 1 / 16: the gain of upsampling and the sum of the filter's taps.

    The ring (8 * strips + 3 rows) must come zeroed. Tile rows finish the output rows up to two before their last.
    """
    height, width, channels = images.height, images.width, images.channels
    data, sums, work = scratch.data, scratch.sums, scratch.column
    # One tile more than TILE fits: the transposed convolution has 2 n + 1 outputs.
    down, across = height // TILE + 1, width // TILE + 1
    whole_columns = across - 1 if width % TILE == 0 else across
    data_pitch, sums_pitch = block * (channels + SKEW) + SKEW, block * GROUP + SKEW
    # One column of zeros before the image; the low-pass reaches one row and column over it.
    row_pitch = (2 * TILE * across + 1) * GROUP
    ring_rows = 2 * TILE * strips + 3
    top = max(first_row - 1, 0)
    while top < last_row:
        # The row before the first is there only to fill the ring.
        rows = min(strips, last_row - top) if top >= first_row else 1
        whole_rows = rows - 1 if top + rows == down and height % TILE == 0 else rows
        for start in range(0, rows * across, block):
            count = min(block, rows * across - start)
            _count_needed(start, count, rows, across, whole_rows, whole_columns, scratch.needed)
            for t in range(count):
                tile_row, tile_column = _tile(start + t, rows, across, whole_rows, whole_columns)
                row, column = (top + tile_row) * TILE - 1, tile_column * TILE - 1
                inside = _locate(images.values, image, row, column, height, width, channels, 5, scratch.patch)
                base = ((image * height + row) * width + column) * channels if inside else 0
                row_step = width * channels if inside else 5 * channels
                _data_tile(
                    images.values if inside else scratch.patch, base, row_step, channels, channels, images.factors,
                    image * channels, work, data, data_pitch, t * (channels + SKEW),
                )  # fmt: skip
            # [tile, in] @ [in, out] at every point, GROUP output channels at a time.
            for panel in range(target.first_panel, target.last_panel, GROUP // PANEL):
                panels = min(GROUP // PANEL, target.last_panel - panel)
                _multiply(
                    data, data_pitch, channels, weights.values, panel, weights.kinds, scratch.needed, sums, sums_pitch,
                    panels,
                )  # fmt: skip
                base = (panel - target.first_panel) * PANEL // GROUP * ring_rows * row_pitch
                for t in range(count):
                    tile_row, tile_column = _tile(start + t, rows, across, whole_rows, whole_columns)
                    _clear_unneeded(sums, t * GROUP, sums_pitch, scratch.needed, t)
                    at = base + (2 * TILE * tile_column + 1) * GROUP
                    row = 2 * TILE * (top + tile_row)
                    for c in range(0, panels * PANEL, WIDTH):
                        _ring_tile(sums, t * GROUP + c, sums_pitch, work, ring, at + c, ring_rows, row_pitch, row)
        if top >= first_row:
            begin, end = max(2 * TILE * top - 2, 0), min(2 * TILE * (top + rows) - 2, 2 * height)
            _output_rows(ring, ring_rows, row_pitch, begin, end, target, image, ending)
        top += rows


@jit(nogil=True)
def _add_pair(out: Any, at: Any, pixel_pitch: Any, a: Any, b: Any, c: Any) -> Any:
    """Add to ``out`` the two output pixels of the middle one of three neighbors along a row."""
    # (a + 3 b) / 4 and (3 b + c) / 4, where a, b, c are already filtered vertically, times 4: 1 / 16.
    store(out, at, fma(splat(1 / 16), fma(splat(3.0), b, a), load(out, at)))
    store(out, at + pixel_pitch, fma(splat(1 / 16), fma(splat(3.0), b, c), load(out, at + pixel_pitch)))


@jit(nogil=True)
def add_upsampled(
    x: Any, out: Any, height: Any, width: Any, channels: Any, first_row: Any, last_row: Any
) -> Any:  # fmt: skip
    """Upsample by 2 the input rows [first, last), counted over the batch, and add them to ``out``."""
    pitch = width * channels
    for index in range(first_row, last_row):
        row, middle = index % height, index * pitch
        for half in range(2):
            # The neighbor of the upper output row is the row above, that of the lower one the row below.
            outside = row == 0 if half == 0 else row == height - 1
            other, target = middle if outside else middle + (2 * half - 1) * pitch, (2 * index + half) * 2 * pitch
            weight = splat(0.0) if outside else splat(1.0)
            for c in range(0, channels, WIDTH):
                a = splat(0.0)
                b = fma(splat(3.0), load(x, middle + c), load(x, other + c) * weight)
                for column in range(width):
                    following = splat(0.0)
                    if column + 1 < width:
                        at = (column + 1) * channels + c
                        following = fma(splat(3.0), load(x, middle + at), load(x, other + at) * weight)
                    _add_pair(out, target + 2 * column * channels + c, channels, a, b, following)
                    a, b = b, following
