"""Compiled loops of the gradients of 3 x 3 convolutions. Importing this module needs numba.

All arrays are flat float32, images channels-last with a multiple of the vector length of channels; sizes and offsets
count elements. The transposed transforms are described in ``winograd_kernels`` (a *point*) and in ``upconv_kernels``.

numba's cache on disk watches this file only: after editing what it imports, remove ``__pycache__/*.nb?``.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types

from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import (
    NARROW_PANEL,
    PANEL,
    ROWS,
    VECTORS,
    WIDTH,
    _address,
    _load,
    _multiply_add,
    _splat,
    _store,
    fma,
    intrinsic,
    load,
    splat,
    store,
)
from panohead.ops.cpu.winograd_kernels import A2, A3, B2, B3, SKEW, TILE, A, B, _data_tile, _locate, _to_points

_INDEX = ir.IntType(64)


class Buffers(NamedTuple):
    """Scratch memory of one thread: points of windows and of tiles, one column of points, a window with its border."""

    windows: Any
    tiles: Any
    column: Any
    patch: Any


class Sums(NamedTuple):
    """Products summed over tiles: "kind_of_point row column"; rows are channels of the windows."""

    values: Any
    rows: Any
    columns: Any
    narrow: Any


def _accumulate_block(rows_count: int, vectors: int) -> Any:
    """Return an intrinsic: ``out[rows, lanes] += left[depth, rows]^T @ right[depth, lanes]``, ``right`` contiguous."""

    @intrinsic
    def accumulate(
        typing_context: Any, left: Any, left_offset: Any, left_stride: Any, right: Any, right_offset: Any, out: Any,
        out_offset: Any, out_stride: Any, depth: Any,
    ) -> Any:  # fmt: skip
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, a_offset, a_stride, b, b_offset, c, c_offset, c_stride, depth = arguments
            kinds = signature.args
            first = _address(context, builder, kinds[0], a, a_offset)
            panel = _address(context, builder, kinds[3], b, b_offset)
            target = _address(context, builder, kinds[5], c, c_offset)
            places = []
            for row in range(rows_count):
                at = builder.mul(c_stride, _INDEX(row))
                places += [builder.gep(target, [builder.add(at, _INDEX(v * WIDTH))]) for v in range(vectors)]
            before = [_load(builder, place) for place in places]
            sums = _emit_sums(builder, before, first, a_stride, panel, depth, rows_count, vectors)
            for place, value in zip(places, sums, strict=True):
                _store(builder, value, place)
            return context.get_dummy_value()

        index = types.int64
        return types.void(left, index, index, right, index, out, index, index, index), emit

    return accumulate


def _emit_sums(
    builder: Any, start: list[Any], left: Any, stride: Any, right: Any, depth: Any, rows_count: int, vectors: int
) -> list[Any]:
    """Emit the loop over depth with all accumulators in registers, starting at the values ``start``."""
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_INDEX)
    step.add_incoming(_INDEX(0), before)
    sums = [builder.phi(value.type) for value in start]  # rows_count x vectors accumulators
    row_at = builder.gep(left, [builder.mul(step, stride)])
    lane_at = builder.gep(right, [builder.mul(step, _INDEX(vectors * WIDTH))])
    columns = [_load(builder, builder.gep(lane_at, [_INDEX(v * WIDTH)])) for v in range(vectors)]
    # sums[row, v] += left[step, row] * right[step, v]
    updated = []
    for row in range(rows_count):
        factor = _splat(builder, builder.load(builder.gep(row_at, [_INDEX(row)]), align=4))
        updated += [_multiply_add(builder, [factor, columns[v], sums[row * vectors + v]]) for v in range(vectors)]
    for phi, value, new in zip(sums, start, updated, strict=True):
        phi.add_incoming(value, before)
        phi.add_incoming(new, loop)
    following = builder.add(step, _INDEX(1))
    step.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    return updated


_accumulate_wide = _accumulate_block(ROWS, VECTORS)
_accumulate_narrow = _accumulate_block(ROWS, VECTORS // 2)


@jit(nogil=True)
def _accumulate(buffers: Any, block: Any, count: Any, window_pitch: Any, rows: Any, kinds: Any, sums: Any) -> Any:
    """Add ``windows[point]^T @ tiles[point]`` to ``sums[kind]`` for all points of a block of ``count`` tiles."""
    lanes = NARROW_PANEL if sums.narrow else PANEL
    panels = sums.columns // lanes
    for point in range(kinds.size):
        for panel in range(panels):
            # Tiles are packed in panels of output channels: point panel tile lane.
            right = point * (sums.columns * block + SKEW) + panel * block * lanes
            for row in range(0, rows, ROWS):
                left = point * block * window_pitch + point * SKEW + row
                # Points that share a matrix of the weight add to the same sums.
                to = (kinds[point] * sums.rows + row) * sums.columns + panel * lanes
                if sums.narrow:
                    _accumulate_narrow(
                        buffers.windows, left, window_pitch, buffers.tiles, right, sums.values, to, sums.columns, count
                    )
                else:
                    _accumulate_wide(
                        buffers.windows, left, window_pitch, buffers.tiles, right, sums.values, to, sums.columns, count
                    )


@jit(nogil=True)
def _pull_points(y0: Any, y1: Any, y2: Any, y3: Any) -> Any:
    """Apply the transpose of ``winograd_kernels._from_points``: four outputs to the five finite points."""
    even_a, odd_a = fma(splat(A2), y2, y0), fma(splat(A3), y3, splat(A) * y1)
    even_b, odd_b = fma(splat(B2), y2, y0), fma(splat(B3), y3, splat(B) * y1)
    return y0, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b


@jit(nogil=True)
def _pull_tile(
    images: Any, source: Any, base: Any, row_pitch: Any, factor_at: Any, column: Any, tiles: Any, point_pitch: Any,
    at: Any, panel_pitch: Any, lanes: Any,
) -> Any:  # fmt: skip
    """Transform a 4 x 4 tile, scaled by the factors, to 36 points: the transpose of the output of a tile."""
    channels = images.channels
    for c in range(0, channels, WIDTH):
        factor = load(images.factors, factor_at + c)
        # Columns: 4 x 4 pixels to 6 x 4; the point at infinity is the last output alone.
        for j in range(4):
            s = base + j * channels + c
            y0, y1 = load(source, s) * factor, load(source, s + row_pitch) * factor
            y2, y3 = load(source, s + 2 * row_pitch) * factor, load(source, s + 3 * row_pitch) * factor
            v0, v1, v2, v3, v4 = _pull_points(y0, y1, y2, y3)
            store(column, j * WIDTH, v0)
            store(column, (4 + j) * WIDTH, v1)
            store(column, (8 + j) * WIDTH, v2)
            store(column, (12 + j) * WIDTH, v3)
            store(column, (16 + j) * WIDTH, v4)
            store(column, (20 + j) * WIDTH, y3)
        # Rows: 6 x 4 to 6 x 6.
        for i in range(6):
            w, to = 4 * i * WIDTH, 6 * i * point_pitch + at + c // lanes * panel_pitch + c % lanes
            y3 = load(column, w + 3 * WIDTH)
            v0, v1, v2, v3, v4 = _pull_points(
                load(column, w), load(column, w + WIDTH), load(column, w + 2 * WIDTH), y3
            )  # fmt: skip
            store(tiles, to, v0)
            store(tiles, to + point_pitch, v1)
            store(tiles, to + 2 * point_pitch, v2)
            store(tiles, to + 3 * point_pitch, v3)
            store(tiles, to + 4 * point_pitch, v4)
            store(tiles, to + 5 * point_pitch, y3)


@jit(nogil=True)
def weight_gradient(
    windows: Any, tiles: Any, first: Any, last: Any, block: Any, kinds: Any, buffers: Any, sums: Any
) -> None:
    """Add the products of a convolution's inputs ``windows`` and the gradients ``tiles`` of its outputs to ``sums``.

    Only the channels [first, last) of the inputs, to which these sums belong; all output channels.
    """
    height, width, channels, outs = windows.height, windows.width, windows.channels, tiles.channels
    across = (width + TILE - 1) // TILE
    each = across * ((height + TILE - 1) // TILE)
    total = each * (windows.values.size // (height * width * channels))
    lanes = NARROW_PANEL if sums.narrow else PANEL
    pitch = last - first + SKEW
    point_pitch = sums.columns * block + SKEW
    for start in range(0, total, block):
        count = min(block, total - start)
        for t in range(count):
            image, rest = (start + t) // each, (start + t) % each
            row, column = rest // across * TILE, rest % across * TILE
            # A 6 x 6 window of the input (padding of 1) belongs to 4 x 4 outputs.
            inside = _locate(windows.values, image, row - 1, column - 1, height, width, channels, 6, buffers.patch)
            base = ((image * height + row - 1) * width + column - 1) * channels if inside else 0
            _data_tile(
                windows.values if inside else buffers.patch, base + first, (width if inside else 6) * channels,
                channels, last - first, windows.factors, image * channels + first, buffers.column, buffers.windows,
                block * pitch + SKEW, t * pitch,
            )  # fmt: skip
            inside = _locate(tiles.values, image, row, column, height, width, outs, 4, buffers.patch)
            base = ((image * height + row) * width + column) * outs if inside else 0
            _pull_tile(
                tiles, tiles.values if inside else buffers.patch, base, (width if inside else 4) * outs,
                image * outs, buffers.column, buffers.tiles, point_pitch, t * lanes, block * lanes, lanes,
            )  # fmt: skip
        _accumulate(buffers, block, count, pitch, last - first, kinds, sums)


@jit(nogil=True)
def _low_pass_9(source: Any, at: Any, step: Any) -> Any:
    """Return the nine sums (1, 3, 3, 1) of twelve samples."""
    a, b, c = load(source, at), load(source, at + step), load(source, at + 2 * step)
    d = load(source, at + 3 * step)
    t0 = fma(splat(3.0), b + c, a + d)
    a = load(source, at + 4 * step)
    t1 = fma(splat(3.0), c + d, b + a)
    b = load(source, at + 5 * step)
    t2 = fma(splat(3.0), d + a, c + b)
    c = load(source, at + 6 * step)
    t3 = fma(splat(3.0), a + b, d + c)
    d = load(source, at + 7 * step)
    t4 = fma(splat(3.0), b + c, a + d)
    a = load(source, at + 8 * step)
    t5 = fma(splat(3.0), c + d, b + a)
    b = load(source, at + 9 * step)
    t6 = fma(splat(3.0), d + a, c + b)
    c = load(source, at + 10 * step)
    t7 = fma(splat(3.0), a + b, d + c)
    d = load(source, at + 11 * step)
    t8 = fma(splat(3.0), b + c, a + d)
    return t0, t1, t2, t3, t4, t5, t6, t7, t8


@jit(nogil=True)
def _down_window(
    source: Any, base: Any, row_pitch: Any, pixel_pitch: Any, first: Any, last: Any, factors: Any, factor_at: Any,
    column: Any, data: Any, point_pitch: Any, at: Any,
) -> Any:  # fmt: skip
    """Transform a low-passed 12 x 12 window to 9 x 9: per axis five points of the even samples, then four odd ones."""
    for c in range(first, last, WIDTH):
        factor = load(factors, factor_at + c)
        # Columns: 12 x 12 samples, low-passed to 9 x 12, of which the even five go to points.
        for j in range(12):
            t0, t1, t2, t3, t4, t5, t6, t7, t8 = _low_pass_9(source, base + j * pixel_pitch + c, row_pitch)
            v0, v1, v2, v3, v4 = _to_points(t0, t2, t4, t6, t8)
            w = j * WIDTH
            store(column, w, v0)
            store(column, w + 12 * WIDTH, v1)
            store(column, w + 24 * WIDTH, v2)
            store(column, w + 36 * WIDTH, v3)
            store(column, w + 48 * WIDTH, v4)
            store(column, w + 60 * WIDTH, t1)
            store(column, w + 72 * WIDTH, t3)
            store(column, w + 84 * WIDTH, t5)
            store(column, w + 96 * WIDTH, t7)
        # Rows alike: 9 x 12 to 9 x 9.
        for i in range(9):
            t0, t1, t2, t3, t4, t5, t6, t7, t8 = _low_pass_9(column, 12 * i * WIDTH, WIDTH)
            v0, v1, v2, v3, v4 = _to_points(t0 * factor, t2 * factor, t4 * factor, t6 * factor, t8 * factor)
            to = 9 * i * point_pitch + at + c - first
            store(data, to, v0)
            store(data, to + point_pitch, v1)
            store(data, to + 2 * point_pitch, v2)
            store(data, to + 3 * point_pitch, v3)
            store(data, to + 4 * point_pitch, v4)
            store(data, to + 5 * point_pitch, t1 * factor)
            store(data, to + 6 * point_pitch, t3 * factor)
            store(data, to + 7 * point_pitch, t5 * factor)
            store(data, to + 8 * point_pitch, t7 * factor)


@jit(nogil=True)
def _pull_down_tile(
    images: Any, source: Any, base: Any, row_pitch: Any, factor_at: Any, column: Any, tiles: Any, point_pitch: Any,
    at: Any, panel_pitch: Any, lanes: Any,
) -> Any:  # fmt: skip
    """Transform a scaled 4 x 4 tile to 9 x 9 points: the transpose of ``downconv_kernels._output_tile``."""
    channels = images.channels
    for c in range(0, channels, WIDTH):
        factor = load(images.factors, factor_at + c)
        for j in range(4):
            # Even samples meet taps 0 and 2 (five points), odd samples tap 1: the outputs themselves.
            s, w = base + j * channels + c, j * WIDTH
            y0, y1 = load(source, s) * factor, load(source, s + row_pitch) * factor
            y2, y3 = load(source, s + 2 * row_pitch) * factor, load(source, s + 3 * row_pitch) * factor
            v0, v1, v2, v3, v4 = _pull_points(y0, y1, y2, y3)
            store(column, w, v0)
            store(column, w + 4 * WIDTH, v1)
            store(column, w + 8 * WIDTH, v2)
            store(column, w + 12 * WIDTH, v3)
            store(column, w + 16 * WIDTH, v4)
            store(column, w + 20 * WIDTH, y0)
            store(column, w + 24 * WIDTH, y1)
            store(column, w + 28 * WIDTH, y2)
            store(column, w + 32 * WIDTH, y3)
        for i in range(9):
            w, to = 4 * i * WIDTH, 9 * i * point_pitch + at + c // lanes * panel_pitch + c % lanes
            y0, y1 = load(column, w), load(column, w + WIDTH)
            y2, y3 = load(column, w + 2 * WIDTH), load(column, w + 3 * WIDTH)
            v0, v1, v2, v3, v4 = _pull_points(y0, y1, y2, y3)
            store(tiles, to, v0)
            store(tiles, to + point_pitch, v1)
            store(tiles, to + 2 * point_pitch, v2)
            store(tiles, to + 3 * point_pitch, v3)
            store(tiles, to + 4 * point_pitch, v4)
            store(tiles, to + 5 * point_pitch, y0)
            store(tiles, to + 6 * point_pitch, y1)
            store(tiles, to + 7 * point_pitch, y2)
            store(tiles, to + 8 * point_pitch, y3)


@jit(nogil=True)
def down_weight_gradient(
    windows: Any, tiles: Any, first: Any, last: Any, block: Any, kinds: Any, buffers: Any, sums: Any
) -> None:
    """Add products as ``weight_gradient`` for a convolution from ``windows`` to ``tiles`` of half their size."""
    height, width, channels, outs = windows.height, windows.width, windows.channels, tiles.channels
    across = (tiles.width + TILE - 1) // TILE
    each = across * ((tiles.height + TILE - 1) // TILE)
    total = each * (windows.values.size // (height * width * channels))
    lanes = NARROW_PANEL if sums.narrow else PANEL
    pitch = last - first + SKEW
    point_pitch = sums.columns * block + SKEW
    for start in range(0, total, block):
        count = min(block, total - start)
        for t in range(count):
            image, rest = (start + t) // each, (start + t) % each
            row, column = rest // across * TILE, rest % across * TILE
            y, x = 2 * row - 2, 2 * column - 2  # 4 x 4 outputs need 9 x 9 low-passed samples, of 12 x 12
            inside = _locate(windows.values, image, y, x, height, width, channels, 12, buffers.patch)
            base = ((image * height + y) * width + x) * channels if inside else 0
            _down_window(
                windows.values if inside else buffers.patch, base, (width if inside else 12) * channels, channels,
                first, last, windows.factors, image * channels, buffers.column, buffers.windows,
                block * pitch + SKEW, t * pitch,
            )  # fmt: skip
            inside = _locate(tiles.values, image, row, column, tiles.height, tiles.width, outs, 4, buffers.patch)
            base = ((image * tiles.height + row) * tiles.width + column) * outs if inside else 0
            _pull_down_tile(
                tiles, tiles.values if inside else buffers.patch, base, (tiles.width if inside else 4) * outs,
                image * outs, buffers.column, buffers.tiles, point_pitch, t * lanes, block * lanes, lanes,
            )  # fmt: skip
        _accumulate(buffers, block, count, pitch, last - first, kinds, sums)
