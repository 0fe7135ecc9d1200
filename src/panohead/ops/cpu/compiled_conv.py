"""Choice of compiled operations for a convolution with optional resampling."""

from torch import Tensor

from panohead.ops import gradient_conv, pointwise_conv
from panohead.ops.cpu import linear_maps
from panohead.ops.inference_conv import is_default_filter


def compiled_convolution(x: Tensor, weight: Tensor, resample_filter: Tensor, *, up: int, down: int) -> Tensor | None:
    """Convolve as ``conv2d_resample`` with padding that keeps the size (or halves it, ``down`` 2), channels-last.

    Differentiable to any order, by compiled kernels each time. None where plain PyTorch has to compute it: other
    filters or factors, odd sizes, few channels or pixels, no kernels.
    """
    if x.device.type != "cpu":
        return None
    if up != 1 or down not in (1, 2) or (down == 2 and not is_default_filter(resample_filter)):
        return None
    if gradient_conv.kernels_unavailable() is not None:
        return None
    if pointwise_conv.unsupported(x, weight) is None:
        if down == 2:
            if x.shape[2] % 2 or x.shape[3] % 2 or linear_maps.resampling_unsupported(x, resample_filter) is not None:
                return None
            x = linear_maps.shrink(x)
            weight = weight / 4  # ``shrink`` has a gain of four
        return pointwise_conv.pointwise(x, weight[:, :, 0, 0])
    if gradient_conv.unsupported(x, weight) is not None or (down == 2 and (x.shape[2] % 2 or x.shape[3] % 2)):
        return None
    return linear_maps.down_convolve(x, weight) if down == 2 else linear_maps.convolve(x, weight)
