"""Differentiable tri-grid sampling on a CPU, for training: ``grid_sample`` takes half of a step's time otherwise.

The compiled kernels keep the channels of a texel together, so that a corner is one short run of memory. The reference
is :func:`panohead.rendering.trigrid.sample_trigrid`; callers ask :func:`unsupported` first.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths
from panohead.ops.cpu.jit import available, load_failure
from panohead.ops.cpu.threads import cut, run
from panohead.rendering.trigrid import (
    PANOHEAD_AXES,
    Interpolation,
    PlaneAxes,
    flat_texels,
    sample_trigrid,
    texel_contiguous,
)

_MIN_POINTS = 2048
_CHANNEL_MULTIPLE = 4


def unsupported(
    planes: Float[Tensor, "batch 3 channel depth height width"],
    points: Float[Tensor, "batch point 3"],
    interpolation: Interpolation = "trilinear",
) -> str | None:
    """Return why the compiled sampler is not used, in a few words; None if it is."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if interpolation != "trilinear":
        return "not a tri-grid"
    if planes.device.type != "cpu" or planes.dtype != torch.float32 or points.dtype != torch.float32:
        return "not float32 on a CPU"
    if planes.shape[2] % _CHANNEL_MULTIPLE or points.shape[1] < _MIN_POINTS:
        return "too small"
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    # Last: other devices need not wait for numba's import.
    return "numba is not installed" if not available() else load_failure("panohead.rendering.trigrid_kernels")


def sample_trigrid_cpu(
    planes: Float[Tensor, "batch 3 channel depth height width"],
    points: Float[Tensor, "batch point 3"],
    *,
    box_warp: float,
    axes: PlaneAxes = PANOHEAD_AXES,
) -> Float[Tensor, "batch point channel"]:
    """Return trilinear features at the points as :func:`sample_trigrid` does.

    Differentiable in planes and points, twice by the plain sampler.

    Args:
        points: world units.
        box_warp: side of the box, world units.
    """
    return _SampleTrigrid.apply(planes, points, np.array(axes, np.int64), np.float32(2 / box_warp))


class _SampleTrigrid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, points: Tensor, axes: Any, scale: Any) -> Tensor:
        from panohead.rendering import trigrid_kernels as kernels

        texels = texel_contiguous(planes.detach())
        given, points = points, points.detach().contiguous()
        out = torch.empty(*points.shape[:2], planes.shape[2])

        def work(part: tuple[int, int, int]) -> None:
            image, first, last = part
            kernels.gather(
                _texels(texels[image]), points[image, first:last].numpy(), axes, scale, out[image, first:last].numpy()
            )

        run(work, _parts(points))
        ctx.save_for_backward(planes, given)
        ctx.texels, ctx.axes, ctx.scale = texels, axes, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        from panohead.rendering import trigrid_kernels as kernels

        planes, points = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph of the gradient is wanted: only the plain sampler has one
            return *_plain_gradients(planes, points, grad_out, ctx), None, None
        texels, points, grad_out = ctx.texels, points.detach().contiguous(), grad_out.contiguous()
        grad_planes = grad_points = None
        if ctx.needs_input_grad[0]:
            grad_planes = torch.empty_strided(texels.shape, texels.stride()).zero_()

            # One task owns one plane of one head: no two threads add to a texel, and the order is always the same.
            def add(part: tuple[int, int]) -> None:
                image, k = part
                kernels.scatter(
                    grad_out[image].numpy(), points[image].numpy(), ctx.axes, ctx.scale, k, _texels(grad_planes[image])
                )

            run(add, [(image, k) for image in range(len(points)) for k in range(3)])
        if ctx.needs_input_grad[1]:
            grad_points = torch.empty_like(points)

            def fill(part: tuple[int, int, int]) -> None:
                image, first, last = part
                kernels.point_gradient(
                    grad_out[image, first:last].numpy(),
                    _texels(texels[image]),
                    points[image, first:last].numpy(),
                    ctx.axes,
                    ctx.scale,
                    grad_points[image, first:last].numpy(),
                )

            run(fill, _parts(points))
        # batch 3 channel depth height width, batch point 3
        return grad_planes, grad_points, None, None


def _texels(planes: Float[Tensor, "3 channel depth height width"]) -> Any:
    """Return one head's texels for the kernels."""
    from panohead.rendering.trigrid_kernels import Texels

    strides = planes.stride()
    return Texels(flat_texels(planes), (strides[0], *strides[2:]), tuple(planes.shape[2:]), planes.shape[1])


def _plain_gradients(planes: Tensor, points: Tensor, grad_out: Tensor, ctx: Any) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of planes and points by the plain sampler, with a graph of their own."""
    first, second, third = (tuple(int(axis) for axis in plane) for plane in ctx.axes)
    axes: Any = (first, second, third)
    out = sample_trigrid(planes, points, box_warp=2 / float(ctx.scale), axes=axes)
    wanted = [x for x, needed in zip((planes, points), ctx.needs_input_grad[:2], strict=True) if needed]
    found = iter(torch.autograd.grad(out, wanted, grad_out, create_graph=True))
    return (next(found) if ctx.needs_input_grad[0] else None), (next(found) if ctx.needs_input_grad[1] else None)


def _parts(points: Tensor) -> list[tuple[int, int, int]]:
    """Tasks: (head, first point, last point + 1)."""
    pieces = max(1, points.shape[1] // _MIN_POINTS)
    return [(image, *part) for image in range(len(points)) for part in cut(points.shape[1], min(pieces, 16))]
