"""1 x 1 convolutions on a CPU as matrix products, in channels-last memory. Differentiable to any order.

PyTorch's own 1 x 1 convolutions copy the image (unfold) where the batch or the channels are awkward, and take one
product per image where the weights differ between samples.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths


def unsupported(x: Tensor, weight: Tensor) -> str | None:
    """Return the reason against the matrix product, in a few words; None if it works."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return "not float32 on a CPU"
    return None if tuple(weight.shape[-2:]) == (1, 1) else "not a 1x1 convolution"


def pointwise(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel in_channel"] | Float[Tensor, "batch out_channel in_channel"],
    bias: Float[Tensor, " out_channel"] | None = None,
) -> Float[Tensor, "batch out_channel height width"]:
    """Return ``weight @ x + bias`` at every pixel in channels-last memory, the weight shared or one per sample."""
    batch, channels, height, width = x.shape
    # In channels-last memory both axes of an image are one run of pixels: nothing is copied.
    pixels = x.permute(0, 2, 3, 1)
    shape = (batch, height * width, channels) if weight.ndim == 3 else (batch * height * width, channels)
    # A weight per sample is a batched product; a shared one a single product over all pixels.
    out = _Product.apply(pixels.reshape(shape), weight, bias)
    return out.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


class _Product(torch.autograd.Function):
    """``rows @ weight^T + bias``, with the gradient's products in the order in which BLAS is fast.

    With R rows, Y = X W^T + b: dX = dY W, dW = dY^T X, db = sum over rows of dY.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        right = weight.transpose(-1, -2)
        if bias is None:
            return rows @ right
        return torch.baddbmm(bias, rows, right) if rows.ndim == 3 else torch.addmm(bias, rows, right)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        grad_rows = grad @ weight if ctx.needs_input_grad[0] else None
        grad_weight = None
        if ctx.needs_input_grad[1]:
            # The shorter side first: five times faster for images with three channels.
            short = weight.shape[-2] <= weight.shape[-1]
            left, right = (grad, rows) if short else (rows, grad)
            grad_weight = left.transpose(-1, -2) @ right
            grad_weight = grad_weight if short else grad_weight.transpose(-1, -2)
        grad_bias = grad.flatten(0, -2).sum(dim=0) if ctx.needs_input_grad[2] else None
        return grad_rows, grad_weight, grad_bias
