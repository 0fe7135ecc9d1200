"""The compiled loop of ``panohead.rendering.importance``: the first pass of ``fused_cpu_kernels.render`` alone."""

from typing import Any

import numpy as np

from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import ROWS
from panohead.rendering.fused_cpu_kernels import _UNKNOWN, Samples, _evaluate, _new_block, _refine


@jit(nogil=True)
def place(which: Any, rays: Any, grid: Any, layer: Any, density: Any, found: Any) -> None:
    """Write depths of the second pass of the rays ``which``, in order along the ray, to ``found``."""
    coarse, fine = rays.depths.shape[1], rays.u.shape[1]
    total = coarse + fine
    samples = Samples(
        np.empty(total, np.float32), np.empty(total, np.float32), np.empty(total, np.int64), np.empty(total, np.int64),
        np.empty(total, np.float32), np.empty(total, np.float32), np.empty((total + ROWS, layer.bias.size), np.float32),
    )  # fmt: skip
    block, u = _new_block(layer.weight.shape[1]), np.empty(fine, np.float32)
    for ray in which:
        for i in range(total):
            samples.slot[i], samples.order[i] = _UNKNOWN, i
        for i in range(coarse):
            samples.depth[i] = rays.depths[ray, i]
        for i in range(fine):
            u[i] = rays.u[ray, i]
        count, _ = _evaluate(rays, ray, samples, coarse, np.int64(0), grid, layer, density, block)
        _refine(samples, coarse, count, u)
        for i in range(fine):
            found[ray, i] = samples.depth[coarse + i]
