"""Visibility by z-buffer: the nearest triangle or strand at each sample of a regular grid.

One sample is one ray through its center; depth, mask, normals and color all come from the same samples. Points are
given as (column, row, nearness) in samples, nearness being any measure that is linear on the screen and larger when
nearer: 1/depth for a camera, -depth for parallel light. Strands are ribbons that face the viewer.
"""

import numpy as np
from jaxtyping import Float32, Int32

from panohead.ops.cpu.jit import jit

EMPTY = np.float32(-1e30)
_BLOCK = 8  # side, in samples, of the squares that hidden ribbons are tested against


def empty_buffers(size: int) -> tuple[Float32[np.ndarray, "size size"], Int32[np.ndarray, "size size"]]:
    """Return nearness (``EMPTY`` everywhere) and hit index (-1 everywhere)."""
    return np.full((size, size), EMPTY, np.float32), np.full((size, size), -1, np.int32)


@jit()
def raster_triangles(screen, triangles, nearness, hit):  # type: ignore[no-untyped-def]
    """Draw triangles; ``hit`` gets the triangle's index."""
    size = nearness.shape[0]
    for index in range(len(triangles)):
        a, b, c = triangles[index]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        left, right = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0), min(int(np.floor(max(ax, bx, cx) - 0.5)), size - 1)
        top, bottom = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0), min(int(np.floor(max(ay, by, cy) - 0.5)), size - 1)
        if left > right or top > bottom:
            continue
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0:
            continue
        inverse = 1.0 / area
        az, bz, cz = screen[a, 2], screen[b, 2], screen[c, 2]
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                wb = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) * inverse
                wc = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) * inverse
                if wb >= 0 and wc >= 0 and wb + wc <= 1:
                    near = az + wb * (bz - az) + wc * (cz - az)
                    if near > nearness[row, column]:
                        nearness[row, column] = near
                        hit[row, column] = index


@jit()
def _farthest(nearness):  # type: ignore[no-untyped-def]
    """Return the least nearness in each square block of samples."""
    size = nearness.shape[0]
    blocks = (size + _BLOCK - 1) // _BLOCK
    out = np.full((blocks, blocks), np.float32(1e30))
    for row in range(size):
        for column in range(size):
            value = nearness[row, column]
            if value < out[row // _BLOCK, column // _BLOCK]:
                out[row // _BLOCK, column // _BLOCK] = value
    return out


@jit()
def raster_strands(screen, radius, follows, first, nearness, hit):  # type: ignore[no-untyped-def]
    """Draw the ribbon from each point to the next where ``follows`` is set; ``hit`` gets ``first`` + the point's
    index.

    ``radius`` is in samples; below .5 a ribbon would slip between samples, so .5 is the minimum. Ribbons behind all
    that is already drawn at their place are skipped.
    """
    size = nearness.shape[0]
    farthest = _farthest(nearness)
    blocks = farthest.shape[0]
    for index in range(len(screen) - 1):
        if not follows[index]:
            continue
        ax, ay, az = screen[index]
        bx, by, bz = screen[index + 1]
        ra, rb = max(radius[index], 0.5), max(radius[index + 1], 0.5)
        reach = max(ra, rb)
        if (
            max(ax, bx) + reach < 0
            or min(ax, bx) - reach > size
            or max(ay, by) + reach < 0
            or min(ay, by) - reach > size
        ):
            continue
        nearest = max(az, bz)
        nearest += abs(nearest) * np.float32(1e-5)  # above all rounding below
        pad = 1.5 * reach + 1.0
        left, right = max(min(ax, bx) - pad, 0.0), min(max(ax, bx) + pad, size - 1.0)
        top, bottom = max(min(ay, by) - pad, 0.0), min(max(ay, by) + pad, size - 1.0)
        hidden = True
        for block_row in range(int(top) // _BLOCK, min(int(bottom) // _BLOCK + 1, blocks)):
            for block_column in range(int(left) // _BLOCK, min(int(right) // _BLOCK + 1, blocks)):
                if nearest > farthest[block_row, block_column]:
                    hidden = False
        if hidden:
            continue
        dx, dy = bx - ax, by - ay
        length = (dx * dx + dy * dy) ** 0.5
        if length < 1e-6:
            continue
        # March along the axis that the ribbon follows more, and fill its width across.
        steep = abs(dy) > abs(dx)
        along_a, along_b, across_a, slope = (ay, by, ax, dx / dy) if steep else (ax, bx, ay, dy / dx)
        widen = length / (abs(dy) if steep else abs(dx))
        over = 0.5 * reach / widen
        low, high = min(along_a, along_b) - over, max(along_a, along_b) + over
        first_step, last_step = max(int(np.ceil(low - 0.5)), 0), min(int(np.floor(high - 0.5)), size - 1)
        for step in range(first_step, last_step + 1):
            t = min(max((step + 0.5 - along_a) / (along_b - along_a), 0.0), 1.0)
            middle = across_a + slope * (step + 0.5 - along_a)
            half = (ra + t * (rb - ra)) * widen
            near = az + t * (bz - az)
            start, end = max(int(np.ceil(middle - half - 0.5)), 0), min(int(np.floor(middle + half - 0.5)), size - 1)
            for side in range(start, end + 1):
                row, column = (step, side) if steep else (side, step)
                if near > nearness[row, column]:
                    nearness[row, column] = near
                    hit[row, column] = first + index


@jit()
def mark_needed(hit, triangles, needed):  # type: ignore[no-untyped-def]
    """Set ``needed`` for every mesh vertex and strand point that a hit interpolates between."""
    triangle_count = len(triangles)
    vertex_count = len(needed[0])
    for index in hit.ravel():
        if index < 0:
            continue
        if index < triangle_count:
            for k in range(3):
                needed[0][triangles[index, k]] = True
        else:
            needed[1][index - triangle_count] = True
            needed[1][index - triangle_count + 1] = True
    return vertex_count


@jit()
def interpolation(screen, triangles, strand_screen, hit, row, column, weights):  # type: ignore[no-untyped-def]
    """Write perspective-correct weights of the (three or two) points that the hit at a sample lies between, into
    ``weights``."""
    x, y = column + 0.5, row + 0.5
    index = hit[row, column]
    if index < len(triangles):
        a, b, c = triangles[index]
        ax, ay = screen[a, 0], screen[a, 1]
        bx, by, cx, cy = screen[b, 0] - ax, screen[b, 1] - ay, screen[c, 0] - ax, screen[c, 1] - ay
        inverse = 1.0 / (bx * cy - cx * by)
        wb = ((x - ax) * cy - cx * (y - ay)) * inverse
        wc = (bx * (y - ay) - (x - ax) * by) * inverse
        weights[0], weights[1], weights[2] = (1 - wb - wc) * screen[a, 2], wb * screen[b, 2], wc * screen[c, 2]
        total = weights[0] + weights[1] + weights[2]
        for k in range(3):
            weights[k] /= total
    else:
        start = index - len(triangles)
        dx = strand_screen[start + 1, 0] - strand_screen[start, 0]
        dy = strand_screen[start + 1, 1] - strand_screen[start, 1]
        along = (x - strand_screen[start, 0]) * dx + (y - strand_screen[start, 1]) * dy
        t = min(max(along / max(dx * dx + dy * dy, 1e-12), 0.0), 1.0)
        weights[0], weights[1], weights[2] = 1 - t, t, 0.0
