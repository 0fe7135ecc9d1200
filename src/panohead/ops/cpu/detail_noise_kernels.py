"""The compiled loop of :class:`panohead.models.detail_noise.DetailNoise`: every point once, from crown to grain.

Importing this module needs numba. The interpolation is ``grid_sample``'s with mirrored borders.
"""

import math
from typing import Any

import numpy as np

from panohead.ops.cpu.jit import jit

_F = np.float32
_PI = np.float32(math.pi)
_CUBIC = np.float32(-0.75)  # grid_sample's bicubic coefficient
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@jit(fastmath=_FAST, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _mirrored(position: Any, last: Any) -> Any:
    """Mirror a position at 0 and ``last``."""
    position = abs(position) % (_F(2) * last)
    return position if position <= last else _F(2) * last - position


@jit(fastmath=_FAST, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _mirrored_index(index: Any, last: Any) -> Any:
    """Mirror an index at 0 and ``last``."""
    index = abs(index) % (2 * last)
    return index if index <= last else 2 * last - index


@jit(fastmath=_FAST, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _cubic_weight(t: Any) -> Any:
    """Return the weight of a neighbor at distance ``t``, up to 2."""
    a = _CUBIC
    if t <= _F(1):
        return ((a + _F(2)) * t - (a + _F(3))) * t * t + _F(1)
    return ((a * t - _F(5) * a) * t + _F(8) * a) * t - _F(4) * a


@jit(fastmath=_FAST, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _smooth(table: Any, column: Any, row: Any) -> Any:
    """Read a table (row, column) at a place, bicubic."""
    rows, columns = table.shape
    left, top = math.floor(column), math.floor(row)
    total = _F(0)
    for j in range(-1, 3):
        down = _mirrored_index(int(top) + j, rows - 1)
        along = _F(0)
        for i in range(-1, 3):
            right = _mirrored_index(int(left) + i, columns - 1)
            along += _cubic_weight(abs(column - _F(left) - _F(i))) * table[down, right]
        total += _cubic_weight(abs(row - _F(top) - _F(j))) * along
    return total


@jit(fastmath=_FAST, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _linear(values: Any, start: Any, columns: Any, rows: Any, column: Any, row: Any) -> Any:
    """Read a table of a flat array from ``start`` on, bilinear."""
    left = min(int(column), columns - 2)
    top = min(int(row), rows - 2)
    u, v = column - _F(left), row - _F(top)
    at = start + top * columns + left
    upper = values[at] + u * (values[at + 1] - values[at])
    at += columns
    lower = values[at] + u * (values[at + 1] - values[at])
    return upper + v * (lower - upper)


@jit(fastmath=_FAST, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _grain(volume: Any, x: Any, y: Any, z: Any) -> Any:
    """Read a volume (z, y, x) at grid coordinates, -1 to 1, trilinear between the middles of texels."""
    side = volume.shape[0]
    half, last = _F(side) / _F(2), _F(side - 1)
    # Mirrored at the texels' outer borders, as grid_sample without aligned corners.
    px = min(max(_mirrored((x + _F(1)) * half, _F(side)) - _F(0.5), _F(0)), last)
    py = min(max(_mirrored((y + _F(1)) * half, _F(side)) - _F(0.5), _F(0)), last)
    pz = min(max(_mirrored((z + _F(1)) * half, _F(side)) - _F(0.5), _F(0)), last)
    ix, iy, iz = min(int(px), side - 2), min(int(py), side - 2), min(int(pz), side - 2)
    u, v, w = px - _F(ix), py - _F(iy), pz - _F(iz)
    total = _F(0)
    for k in range(2):
        for j in range(2):
            first, second = volume[iz + k, iy + j, ix], volume[iz + k, iy + j, ix + 1]
            total += (w if k else _F(1) - w) * (v if j else _F(1) - v) * (first + u * (second - first))
    return total


@jit(fastmath=_FAST, nogil=True)
def detail_noise(
    points: Any,
    skull: Any,
    dome: Any,
    wave: Any,
    wave_size: Any,
    tables: Any,
    starts: Any,
    first_level: Any,
    rows: Any,
    strands: Any,
    grain: Any,
    grain_widths: Any,
    out: Any,
) -> None:
    """Write the noise of points (point 3) to ``out`` (point channel).

    Args:
        wave: table of the swing (row, column), bicubic.
        wave_size: swing and length of the waves, world units.
        tables: strands' tables one after another; for level i and kind k (rows, 2^(first_level + i) + 1) from
            ``starts[i, k]`` on.
        strands: width and length of every kind.
        grain: volumes (kind z y x).
    """
    levels = len(starts)
    for n in range(len(points)):
        x, y, z = points[n, 0] - skull[0], points[n, 1] - skull[1], points[n, 2] - skull[2]
        radius: Any = math.sqrt(x * x + z * z)
        around = math.atan2(x, z) / _PI
        down = dome * math.atan2(radius, max(y, _F(0))) - min(y, _F(0))
        column = (around + _F(1)) * _F(0.5) * _F(wave.shape[1] - 1)
        swing = _smooth(wave, column, _mirrored(down / wave_size[1], _F(wave.shape[0] - 1))) * _F(1.5)
        around += wave_size[0] / _PI * swing / max(radius, _F(0.05))
        turn = ((around + _F(1)) * _F(0.5)) % _F(1)
        circumference: Any = max(radius, _F(1e-6)) * (_F(2) * _PI)
        for kind in range(len(strands)):
            level = math.log2(circumference / strands[kind, 0]) - _F(first_level)
            level = min(max(level, _F(0)), _F(levels - 1))
            lower = int(level)
            share = level - _F(lower)
            row = _mirrored(down / strands[kind, 1], _F(rows - 1))
            total = _F(0)
            for upper in range(2):
                weight = share if upper else _F(1) - share
                if weight > _F(0):
                    count = 1 << (first_level + lower + upper)
                    start = starts[lower + upper, kind]
                    total += math.sqrt(weight) * _linear(tables, start, count + 1, rows, turn * _F(count), row)
            out[n, kind] = total * _F(1.5)
        for kind in range(len(grain)):
            scale = _F(2) / (grain_widths[kind] * _F(grain.shape[1]))
            value = _grain(grain[kind], points[n, 0] * scale, points[n, 1] * scale, points[n, 2] * scale)
            out[n, len(strands) + kind] = value * _F(1.5**1.5)
