"""The compiled loops of ``panohead.ops.cpu.fir``. Importing this module needs numba.

Along one axis every output is ``sum over i of x[i] w[up i + before - down o]`` with w = (1, 3, 3, 1) / 8. Columns are
combined first, into one row that stays in the cache, then this row.
"""

from functools import partial
from typing import Any

import numpy as np

from panohead.ops.cpu.jit import jit

MARGIN = 8
"""Zeros before a row: the maximum padding there."""

_SMALL, _LARGE = np.float32(0.125), np.float32(0.375)
_ZERO = np.float32(0)
_FAST = {"contract", "reassoc", "nsz"}
_inner = partial(jit, no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=_FAST)


@_inner(forceinline=True)
def _tap(up: Any, down: Any, before: Any, out: Any, number: Any, size: Any) -> Any:
    """Index and weight of the ``number``-th input under the filter at an output; weight 0 outside the image."""
    first = down * out - before
    # Inputs lie at multiples of up after the insertion of zeros.
    first = -((-first) // up)  # rounded up: the first input whose place is not before the filter
    index = first + number
    tap = up * index + before - down * out
    if tap > 3 or index < 0 or index >= size:
        return min(max(index, 0), size - 1), _ZERO
    return index, _LARGE if 0 < tap < 3 else _SMALL


@_inner()
def _combine_columns(image: Any, row: Any, out: Any, up: Any, down: Any, before: Any, gain: Any) -> None:
    """Write one row of the output's height to ``row[MARGIN:]``, from the input rows under the filter."""
    height, width = image.shape
    a, wa = _tap(up, down, before, out, np.int64(0), height)
    b, wb = _tap(up, down, before, out, np.int64(1), height)
    wa, wb = wa * gain, wb * gain
    # Slices, because an index that might be negative keeps LLVM from using vectors.
    to, one, other = row[MARGIN : MARGIN + width], image[a], image[b]
    if up == 2:  # two of the four taps meet inserted zeros
        for x in range(width):
            to[x] = wa * one[x] + wb * other[x]
        return
    # Without zeros between them four inputs are under the filter.
    c, wc = _tap(up, down, before, out, np.int64(2), height)
    d, wd = _tap(up, down, before, out, np.int64(3), height)
    wc, wd = wc * gain, wd * gain
    third, fourth = image[c], image[d]
    for x in range(width):
        to[x] = (wa * one[x] + wb * other[x]) + (wc * third[x] + wd * fourth[x])


@_inner()
def _smooth_row(row: Any, out: Any, before: Any) -> None:
    """Filter a row without resampling."""
    at, width = MARGIN - before, out.shape[0]
    a, b = row[at : at + width], row[at + 1 : at + 1 + width]
    c, d = row[at + 2 : at + 2 + width], row[at + 3 : at + 3 + width]
    for x in range(width):
        out[x] = _SMALL * (a[x] + d[x]) + _LARGE * (b[x] + c[x])


@_inner()
def _halve_row(row: Any, out: Any, before: Any) -> None:
    """Filter a row and keep every second output."""
    from_here = row[MARGIN - before :]
    for x in range(out.shape[0]):
        i = 2 * x
        out[x] = _SMALL * (from_here[i] + from_here[i + 3]) + _LARGE * (from_here[i + 1] + from_here[i + 2])


@_inner()
def _double_row(row: Any, out: Any, before: Any) -> None:
    """Filter a row with zeros between its pixels: outputs in pairs of two taps each.

    The parity of ``before`` decides which output of a pair has the larger weight on its left pixel.
    """
    pairs, odd = out.shape[0] // 2, before % 2
    at = MARGIN - (before - odd) // 2
    a, b, c = row[at : at + pairs + 1], row[at + 1 : at + pairs + 2], row[at + 2 : at + pairs + 3]
    if odd == 0:
        for x in range(pairs):
            out[2 * x] = _SMALL * a[x] + _LARGE * b[x]
            out[2 * x + 1] = _LARGE * b[x] + _SMALL * c[x]
        if out.shape[0] % 2 == 1:
            out[2 * pairs] = _SMALL * a[pairs] + _LARGE * b[pairs]
        return
    for x in range(pairs):
        out[2 * x] = _LARGE * a[x] + _SMALL * b[x]
        out[2 * x + 1] = _SMALL * a[x] + _LARGE * b[x]
    if out.shape[0] % 2 == 1:
        out[2 * pairs] = _LARGE * a[pairs] + _SMALL * b[pairs]


@jit(nogil=True)
def resample(images: Any, out: Any, up: Any, down: Any, before: Any, gain: Any) -> None:
    """Resample images (image, height, width) to ``out``; ``before`` is padding at the top and left, at most MARGIN."""
    height, width = out.shape[1], out.shape[2]
    row = np.zeros(2 * MARGIN + images.shape[2] + 2 * width + 4, np.float32)
    for n in range(images.shape[0]):
        for y in range(height):
            _combine_columns(images[n], row, y, up, down, before[0], gain)
            if up == 2:
                _double_row(row, out[n, y], before[1])
            elif down == 2:
                _halve_row(row, out[n, y], before[1])
            else:
                _smooth_row(row, out[n, y], before[1])
