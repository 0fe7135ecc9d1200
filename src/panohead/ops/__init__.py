"""The arithmetic under the networks: plain PyTorch references, with fast paths beside them."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.ops.fast_paths import plain_only
    from panohead.ops.modulated_conv import modulated_conv2d
    from panohead.ops.pixels import image_from_uint8, image_to_uint8, mask_from_uint8
    from panohead.ops.resample import conv2d_resample, downsample2d, fir_filter, upfirdn2d, upsample2d
    from panohead.ops.resize import filtered_resizing, gaussian_blur, resize_bilinear

__all__ = [
    "conv2d_resample",
    "downsample2d",
    "filtered_resizing",
    "fir_filter",
    "gaussian_blur",
    "image_from_uint8",
    "image_to_uint8",
    "mask_from_uint8",
    "modulated_conv2d",
    "plain_only",
    "resize_bilinear",
    "upfirdn2d",
    "upsample2d",
]

_HOMES = {
    "fast_paths": ("plain_only",),
    "modulated_conv": ("modulated_conv2d",),
    "pixels": ("image_from_uint8", "image_to_uint8", "mask_from_uint8"),
    "resample": ("conv2d_resample", "downsample2d", "fir_filter", "upfirdn2d", "upsample2d"),
    "resize": ("filtered_resizing", "gaussian_blur", "resize_bilinear"),
}


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: kernels of other packages need this one without torch."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"panohead.ops.{module}"), name)
    raise AttributeError(f"module 'panohead.ops' has no attribute {name!r}")
