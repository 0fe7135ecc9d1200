"""The compiled loops of :mod:`panohead.rendering.trigrid_cpu`: tri-grid sampling and its gradients, texel by texel.

``points`` are (point, 3), ``axes`` (3, 3). The kernels work on a range, hold no lock and share nothing but what each of
them alone writes.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from panohead.ops.cpu.jit import jit


class Texels(NamedTuple):
    """The tri-grid of one head: ``values`` is flat, a texel is one run of ``channels``."""

    values: Any
    strides: Any  # distances between planes, slices, rows, columns, in elements
    sizes: Any  # numbers of slices, rows, columns
    channels: Any


@jit(inline="always")
def _cell(coordinate: Any, size: int) -> Any:
    """Index of the texel below a coordinate in [-1, 1] and the distance from it, in texels.

    Pixel edges, not centers, lie at +-1 (``align_corners=False``): position = ((coordinate + 1) size - 1) / 2.
    """
    position = ((coordinate + np.float32(1)) * size - np.float32(1)) * np.float32(0.5)
    below = math.floor(position)
    return int(below), np.float32(position - below)


@jit(nogil=True, fastmath=True)
def gather(texels: Any, points: Any, axes: Any, scale: Any, out: Any) -> None:
    """Write the mean over the planes of the trilinear features at the points to ``out`` (point, channel)."""
    (depth, height, width), strides, channels = texels.sizes, texels.strides, texels.channels
    total = np.zeros(channels, np.float32)
    third = np.float32(1 / 3)
    for n in range(points.shape[0]):
        total[:] = 0
        for k in range(3):
            x0, fx = _cell(points[n, axes[k, 0]] * scale, width)
            y0, fy = _cell(points[n, axes[k, 1]] * scale, height)
            z0, fz = _cell(points[n, axes[k, 2]] * scale, depth)
            for corner in range(8):  # bits: x, y, z
                dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                x, y, z = x0 + dx, y0 + dy, z0 + dz
                if 0 <= x < width and 0 <= y < height and 0 <= z < depth:
                    share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                    at = k * strides[0] + z * strides[1] + y * strides[2] + x * strides[3]
                    texel = texels.values[at : at + channels]
                    for c in range(channels):
                        total[c] += np.float32(share) * texel[c]
        for c in range(channels):
            out[n, c] = total[c] * third


@jit(nogil=True, fastmath=True)
def scatter(grad_out: Any, points: Any, axes: Any, scale: Any, k: int, texels: Any) -> None:
    """Add the gradient of plane ``k`` to ``texels``."""
    (depth, height, width), strides, channels = texels.sizes, texels.strides, texels.channels
    third = np.float32(1 / 3)
    for n in range(points.shape[0]):
        x0, fx = _cell(points[n, axes[k, 0]] * scale, width)
        y0, fy = _cell(points[n, axes[k, 1]] * scale, height)
        z0, fz = _cell(points[n, axes[k, 2]] * scale, depth)
        for corner in range(8):
            dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
            x, y, z = x0 + dx, y0 + dy, z0 + dz
            if 0 <= x < width and 0 <= y < height and 0 <= z < depth:
                share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                at = k * strides[0] + z * strides[1] + y * strides[2] + x * strides[3]
                texel = texels.values[at : at + channels]
                for c in range(channels):
                    texel[c] += np.float32(share * third) * grad_out[n, c]


@jit(nogil=True, fastmath=True)
def point_gradient(grad_out: Any, texels: Any, points: Any, axes: Any, scale: Any, grad_points: Any) -> None:
    """Write the gradient of the points to ``grad_points`` (point, 3); outside lie texels of value zero."""
    (depth, height, width), strides, channels = texels.sizes, texels.strides, texels.channels
    for n in range(points.shape[0]):
        grad_points[n, :] = 0
        for k in range(3):
            x0, fx = _cell(points[n, axes[k, 0]] * scale, width)
            y0, fy = _cell(points[n, axes[k, 1]] * scale, height)
            z0, fz = _cell(points[n, axes[k, 2]] * scale, depth)
            gx = gy = gz = np.float32(0)
            for corner in range(8):
                dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                x, y, z = x0 + dx, y0 + dy, z0 + dz
                if 0 <= x < width and 0 <= y < height and 0 <= z < depth:
                    dot = np.float32(0)
                    at = k * strides[0] + z * strides[1] + y * strides[2] + x * strides[3]
                    texel = texels.values[at : at + channels]
                    for c in range(channels):
                        dot += texel[c] * grad_out[n, c]
                    wx, wy, wz = fx if dx else 1 - fx, fy if dy else 1 - fy, fz if dz else 1 - fz
                    gx += np.float32((1 if dx else -1) * wy * wz) * dot
                    gy += np.float32((1 if dy else -1) * wx * wz) * dot
                    gz += np.float32((1 if dz else -1) * wx * wy) * dot
            # d(texel position) / d(point) = scale * size / 2, and the mean over three planes.
            grad_points[n, axes[k, 0]] += gx * scale * width / np.float32(6)
            grad_points[n, axes[k, 1]] += gy * scale * height / np.float32(6)
            grad_points[n, axes[k, 2]] += gz * scale * depth / np.float32(6)
