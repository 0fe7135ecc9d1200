"""The low-pass (1, 3, 3, 1) with up- or downsampling by two on a CPU, in one pass over memory and differentiable.

The reference, :func:`panohead.ops.resample.upfirdn2d`, writes zeros between pixels and convolves every channel with a
4 x 4 kernel. The operation is linear and its transpose is of the same kind, with ``up`` and ``down`` exchanged: that is
its gradient, of any order. Callers ask :func:`unsupported` first.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths
from panohead.ops.cpu.jit import available, load_failure
from panohead.ops.cpu.threads import cut, run

_KERNELS = "panohead.ops.cpu.fir_kernels"
_TAPS = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64
_FACTORS = ((1, 1), (2, 1), (1, 2))
_MAX_PADDING = 5  # the transpose has 3 minus it; both fit the kernels' margin
# Below, the call itself (for smoothing: every row) costs more than what is saved.
_MIN_ELEMENTS, _MIN_WIDTH = 1 << 14, 48


def unsupported(
    x: Float[Tensor, "batch channel height width"], resample_filter: Tensor | None, up: Any, down: Any, before: Any
) -> str | None:
    """Return why the compiled filter is not used, in a few words; None if it is. Arguments as of ``upfirdn2d``."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if (up, down) not in _FACTORS or max(abs(padding) for padding in before) > _MAX_PADDING:
        return "other factors or paddings"
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.numel() < _MIN_ELEMENTS or not x.is_contiguous():
        return "not float32 on a CPU, too small, or not contiguous"
    if up == down and x.shape[3] < _MIN_WIDTH:
        return "rows are short"
    if resample_filter is None or resample_filter.shape != (4, 4) or not torch.equal(resample_filter, _TAPS):
        return "another filter"
    return "numba is not installed" if not available() else load_failure(_KERNELS)


def resample(
    x: Float[Tensor, "batch channel height width"],
    *,
    up: int,
    down: int,
    before: tuple[int, int],
    size: tuple[int, int],
    gain: float,
) -> Float[Tensor, "batch channel out_height out_width"]:
    """Return ``upfirdn2d`` with the default filter.

    Args:
        before: padding at the top and at the left; negative crops.
        size: height and width of the output, which determine the padding behind.
    """
    return _Resample.apply(x, up, down, before, size, gain)


class _Resample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, up: int, down: int, before: tuple[int, int], size: tuple[int, int], gain: float
    ) -> Tensor:
        from panohead.ops.cpu import fir_kernels as kernels

        ctx.given = up, down, before, tuple(x.shape[2:]), gain
        out = torch.empty(*x.shape[:2], *size)
        images, target = x.detach().contiguous().flatten(0, 1).numpy(), out.flatten(0, 1).numpy()

        def work(part: tuple[int, int]) -> None:
            piece = slice(*part)
            kernels.resample(images[piece], target[piece], up, down, before, np.float32(gain))

        run(work, cut(len(images), min(torch.get_num_threads(), len(images))))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        up, down, before, size, gain = ctx.given
        # y[o] = sum x[i] w[up i + before - down o]: exchange x and y, and mirror the symmetric filter of 4 taps.
        transposed = (3 - before[0], 3 - before[1])
        return _Resample.apply(grad, down, up, transposed, size, gain), None, None, None, None, None
