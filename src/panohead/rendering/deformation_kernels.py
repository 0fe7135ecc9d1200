"""The compiled form of :func:`panohead.rendering.deformation.canonical_points`, for the kernels that render rays.

Importing this module needs numba. Constants and flags that all of them share are here, below the others.
"""

from functools import partial
from typing import Any

import numpy as np

from panohead.ops.cpu.jit import jit

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)

# No "nnan" and "ninf": a broken tri-grid must give NaN, not anything. The rest lets LLVM use vectors.
_FAST = {"contract", "reassoc", "nsz", "arcp"}
# For functions called by kernels only. Hand them np.int64(0) instead of 0, or they are compiled for the number 0 anew.
_inner = partial(jit, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_inner(fastmath=_FAST, forceinline=True)
def _cell(coordinate: Any, cells: Any) -> Any:
    """Lower corner of the deformation's cell around a grid coordinate, and the place in it; the last one outside."""
    position = min(max((coordinate + _ONE) * (_HALF * np.float32(cells)), _ZERO), np.float32(cells))
    first = min(max(int(position), 0), cells - 1)
    return first, position - np.float32(first)


@_inner(fastmath=_FAST)
def _offset(x: Any, y: Any, z: Any, grid: Any) -> Any:
    """Return the deformation at a point, all in grid coordinates."""
    side, offsets = grid.cells + 1, grid.offsets
    column, along_x = _cell(x, grid.cells)
    row, along_y = _cell(y, grid.cells)
    slice_, along_z = _cell(z, grid.cells)
    dx, dy, dz = _ZERO, _ZERO, _ZERO
    for corner in range(8):  # bits: x, y, z
        right, upper, back = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (along_x if right else _ONE - along_x) * (along_y if upper else _ONE - along_y)
        weight *= along_z if back else _ONE - along_z
        at = 3 * (((slice_ + back) * side + row + upper) * side + column + right)
        dx += weight * offsets[at]
        dy += weight * offsets[at + 1]
        dz += weight * offsets[at + 2]
    return dx, dy, dz


@_inner(forceinline=True)
def canonical(x: Any, y: Any, z: Any, grid: Any) -> Any:
    """Grid coordinates of a point (world units) in the space of the planes (``deformation.canonical_points``)."""
    x, y, z = x * grid.scale, y * grid.scale, z * grid.scale
    if grid.cells > 0:
        dx, dy, dz = _offset(x, y, z, grid)
        x, y, z = x + dx, y + dy, z + dz
    return x, y, z
