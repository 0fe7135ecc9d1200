"""Compiled loop of the convolution that halves an image: the transpose of the one in ``upconv_kernels``.

Per axis an output is the sum of taps 0 and 2 at two neighboring even samples of the low-passed image (five points give
four outputs) and of tap 1 at the odd sample between. 9 x 9 products per 4 x 4 outputs replace 12 x 12.
"""

from typing import Any

from panohead.ops.cpu.gradient_kernels import _down_window
from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import PANEL, WIDTH, load, splat, store
from panohead.ops.cpu.winograd_kernels import GROUP, SKEW, TILE, _finish, _from_points, _locate, _multiply


@jit(nogil=True)
def _output_tile(
    sums: Any, at: Any, pitch: Any, column: Any, target: Any, base: Any, rows: Any, columns: Any, scale: Any,
    bias: Any, ending: Any,
) -> Any:  # fmt: skip
    """Transform 9 x 9 products of one vector of channels to the (up to) 4 x 4 pixels of a tile: columns, then rows."""
    # Columns: five points of the even samples, then the products of the odd ones are added.
    for j in range(9):
        s, w = at + j * pitch, j * WIDTH
        m0, m1, m2 = load(sums, s), load(sums, s + 9 * pitch), load(sums, s + 18 * pitch)
        y0, y1, y2, y3 = _from_points(m0, m1, m2, load(sums, s + 27 * pitch), load(sums, s + 36 * pitch))
        store(column, w, y0 + load(sums, s + 45 * pitch))
        store(column, w + 9 * WIDTH, y1 + load(sums, s + 54 * pitch))
        store(column, w + 18 * WIDTH, y2 + load(sums, s + 63 * pitch))
        store(column, w + 27 * WIDTH, y3 + load(sums, s + 72 * pitch))
    slope, gain, limit = splat(ending.slope), splat(ending.gain), splat(ending.limit)
    # Rows: 4 x 9 to 4 x 4, then the end of the layer.
    step = target.channels
    for i in range(rows):
        w, to = 9 * i * WIDTH, base + i * target.width * step
        m0, m1, m2 = load(column, w), load(column, w + WIDTH), load(column, w + 2 * WIDTH)
        y0, y1, y2, y3 = _from_points(m0, m1, m2, load(column, w + 3 * WIDTH), load(column, w + 4 * WIDTH))
        store(target.values, to, _finish(y0 + load(column, w + 5 * WIDTH), scale, bias, slope, gain, limit))
        if columns > 1:
            y1 = y1 + load(column, w + 6 * WIDTH)
            store(target.values, to + step, _finish(y1, scale, bias, slope, gain, limit))
        if columns > 2:
            y2 = y2 + load(column, w + 7 * WIDTH)
            store(target.values, to + 2 * step, _finish(y2, scale, bias, slope, gain, limit))
        if columns > 3:
            y3 = y3 + load(column, w + 8 * WIDTH)
            store(target.values, to + 3 * step, _finish(y3, scale, bias, slope, gain, limit))


@jit(nogil=True)
def down_convolve(
    images: Any, weights: Any, ending: Any, target: Any, first: Any, last: Any, block: Any, scratch: Any
) -> None:
    """Apply the low-pass and convolve with stride 2: the tiles [first, last), counted over the batch.

    ``ending.scale`` includes the factor of the low-pass, whose taps are (1, 3, 3, 1) here.
    """
    height, width, channels = images.height, images.width, images.channels
    across = (target.width + TILE - 1) // TILE
    each = across * ((target.height + TILE - 1) // TILE)
    data_pitch, sums_pitch = block * (channels + SKEW) + SKEW, block * GROUP + SKEW
    for start in range(first, last, block):
        count = min(block, last - start)
        scratch.needed[:] = count
        for t in range(count):
            image, rest = (start + t) // each, (start + t) % each
            # The low-pass has padding 2, in pixels of the large image (docs/reference.md 2.9).
            y, x = 2 * TILE * (rest // across) - 2, 2 * TILE * (rest % across) - 2
            inside = _locate(images.values, image, y, x, height, width, channels, 12, scratch.patch)
            base = ((image * height + y) * width + x) * channels if inside else 0
            _down_window(
                images.values if inside else scratch.patch, base, (width if inside else 12) * channels, channels,
                0, channels, images.factors, image * channels, scratch.column, scratch.data, data_pitch,
                t * (channels + SKEW),
            )  # fmt: skip
        # [tile, in] @ [in, out] at all 81 points, GROUP output channels at a time.
        for panel in range(target.first_panel, target.last_panel, GROUP // PANEL):
            panels = min(GROUP // PANEL, target.last_panel - panel)
            _multiply(
                scratch.data, data_pitch, channels, weights.values, panel, weights.kinds, scratch.needed, scratch.sums,
                sums_pitch, panels,
            )  # fmt: skip
            end = min(panels * PANEL, target.channels - panel * PANEL)
            for t in range(count):
                image, rest = (start + t) // each, (start + t) % each
                row, column = rest // across * TILE, rest % across * TILE
                rows, columns = min(TILE, target.height - row), min(TILE, target.width - column)
                pixel = (image * target.height + row) * target.width + column
                for c in range(0, end, WIDTH):
                    n = panel * PANEL + c
                    _output_tile(
                        scratch.sums, t * GROUP + c, sums_pitch, scratch.column, target,
                        pixel * target.channels + n, rows, columns, load(ending.scale, image * target.channels + n),
                        load(ending.bias, n), ending,
                    )  # fmt: skip
