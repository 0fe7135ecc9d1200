"""1 x 1 convolutions on a CPU as matrix products, in channels-last memory. Differentiable to any order.

PyTorch's own go through an unfolded copy of the image where the batch or the channels are awkward, and through one
product an image where the weights differ from sample to sample.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths


def unsupported(x: Tensor, weight: Tensor) -> str | None:
    """Why the matrix product is not used, in a few words; None if it is."""
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
    """``weight @ x + bias`` at every pixel, the weight shared or one a sample. Channels-last, whatever ``x`` is."""
    batch, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1)
    if weight.ndim == 3:
        # Both flattened axes are one run of pixels in channels-last memory: nothing is copied.
        rows, right = pixels.reshape(batch, height * width, channels), weight.transpose(1, 2)
        out = torch.bmm(rows, right) if bias is None else torch.baddbmm(bias, rows, right)
    else:
        rows = pixels.reshape(batch * height * width, channels)
        out = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)
    return out.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
