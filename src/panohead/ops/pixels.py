"""Conversion between 8-bit pixels and the networks' ranges: images [-1, 1], masks [0, 1]."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def image_to_uint8(image: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Return an image in [-1, 1] as 0..255: x * 127.5 + 128, clamped and truncated (docs/reference.md 7.1).

    The exact inverse of :func:`image_from_uint8`; values outside [-1, 1] are clamped.
    """
    return (image.detach().float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def image_from_uint8(pixels: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return 8-bit pixels as an image in [-1, 1]: x / 127.5 - 1."""
    return pixels.float() / 127.5 - 1


def mask_from_uint8(pixels: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return 8-bit coverage as a mask in [0, 1]: x / 255."""
    return pixels.float() / 255
