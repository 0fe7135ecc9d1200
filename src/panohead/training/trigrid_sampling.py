"""Differentiable tri-grid sampling on the CPU: compiled where numba is, PyTorch's ``grid_sample`` elsewhere.

Half of the time of a training step on a CPU goes into ``grid_sample`` on volumes, most of it backward. The kernel here
keeps the features of a texel together, so a corner is one vector operation. Gradients go to the planes alone: points
come from fixed cameras.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops.jit import available, jit
from panohead.rendering.field import TriGridField
from panohead.rendering.trigrid import sample_trigrid

prange: Any = range
if available():
    import numba

    prange = numba.prange

CHUNKS = 64


@jit(inline="always")
def _cell(coordinate: Any, size: int) -> Any:
    """Index of the texel below a coordinate in [-1, 1] and the way to the next one, in texels."""
    position = ((coordinate + 1) * size - 1) * np.float32(0.5)
    below = math.floor(position)
    return int(below), np.float32(position - below)


@jit(parallel=True, fastmath=True)
def _gather(planes: Any, points: Any, axes: Any, scale: Any, out: Any) -> None:
    batch, count, _ = points.shape
    _, _, depth, height, width, channels = planes.shape
    for task in prange(batch * CHUNKS):
        b, chunk = task // CHUNKS, task % CHUNKS
        total = np.zeros(channels, np.float32)
        for n in range(chunk * count // CHUNKS, (chunk + 1) * count // CHUNKS):
            total[:] = 0
            for k in range(3):
                x0, fx = _cell(points[b, n, axes[k, 0]] * scale, width)
                y0, fy = _cell(points[b, n, axes[k, 1]] * scale, height)
                z0, fz = _cell(points[b, n, axes[k, 2]] * scale, depth)
                for corner in range(8):
                    dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                    x, y, z = x0 + dx, y0 + dy, z0 + dz
                    if 0 <= x < width and 0 <= y < height and 0 <= z < depth:
                        share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                        share = np.float32(share / 3)
                        for c in range(channels):
                            total[c] += share * planes[b, k, z, y, x, c]
            for c in range(channels):
                out[b, n, c] = total[c]


@jit(parallel=True, fastmath=True)
def _scatter(grad_out: Any, points: Any, axes: Any, scale: Any, grad_planes: Any) -> None:
    batch, count, channels = grad_out.shape
    _, _, depth, height, width, _ = grad_planes.shape
    # One task owns one plane of one head: no two threads add to the same texel, so the sum has one order.
    for task in prange(batch * 3):
        b, k = task // 3, task % 3
        for n in range(count):
            x0, fx = _cell(points[b, n, axes[k, 0]] * scale, width)
            y0, fy = _cell(points[b, n, axes[k, 1]] * scale, height)
            z0, fz = _cell(points[b, n, axes[k, 2]] * scale, depth)
            for corner in range(8):
                dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                x, y, z = x0 + dx, y0 + dy, z0 + dz
                if 0 <= x < width and 0 <= y < height and 0 <= z < depth:
                    share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                    share = np.float32(share / 3)
                    for c in range(channels):
                        grad_planes[b, k, z, y, x, c] += share * grad_out[b, n, c]


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, texels: Tensor, points: Tensor, axes: np.ndarray, scale: float) -> Tensor:
        out = torch.empty(*points.shape[:2], texels.shape[-1])
        _gather(texels.detach().numpy(), points.numpy(), axes, np.float32(scale), out.numpy())
        ctx.save_for_backward(points)
        ctx.shape, ctx.axes, ctx.scale = texels.shape, axes, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (points,) = ctx.saved_tensors
        grad_texels = torch.zeros(ctx.shape)
        _scatter(grads[0].contiguous().numpy(), points.numpy(), ctx.axes, np.float32(ctx.scale), grad_texels.numpy())
        return grad_texels, None, None, None


@dataclass(frozen=True)
class TrainingField(TriGridField):
    """A :class:`TriGridField` whose sampling is compiled on CPUs with numba; the same numbers up to rounding."""

    texels: Float[Tensor, "batch 3 depth height width channel"] | None = None

    @staticmethod
    def of(field: TriGridField) -> "TrainingField":
        """The same field; the tri-grid is laid out once with its features last where the kernel will read it."""
        compiled = available() and field.planes.device.type == "cpu" and field.interpolation == "trilinear"
        texels = field.planes.permute(0, 1, 3, 4, 5, 2).contiguous() if compiled else None
        return TrainingField(field.planes, field.decoder, field.box_warp, field.axes, field.interpolation, texels)

    def features(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point channel"]:
        """Tri-grid features at the points (world units); no gradient to the points."""
        if self.texels is None:
            return sample_trigrid(
                self.planes, points, box_warp=self.box_warp, axes=self.axes, interpolation=self.interpolation
            )
        axes = np.asarray(self.axes, dtype=np.int64)
        sampled: Tensor = _Sample.apply(self.texels, points.contiguous(), axes, 2 / self.box_warp)
        return sampled

    def hidden(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point hidden"]:
        """Hidden units of the decoder at the points (world units)."""
        return self.decoder.hidden(self.features(points))
