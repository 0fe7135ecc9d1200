"""Weights in a byte each: rows of integers with a scale, half the size of float16."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

SCALE_SUFFIX = ":scale"
"""Added to the name of a tensor for the name of its rows' scales."""

_LARGEST = 127


def packed_int8(tensors: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Return the tensors with some as int8 and a float32 scale a row beside each.

    Args:
        tensors: weights by name.
        names: those to store so; of two or more dimensions, a row is everything of one first index.
    """
    packed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name not in names:
            packed[name] = value
            continue
        rows = value.float().flatten(1)
        scale = rows.abs().amax(dim=1).clamp_min(1e-12) / _LARGEST
        packed[name] = (rows / scale[:, None]).round().to(torch.int8).view(value.shape)
        packed[f"{name}{SCALE_SUFFIX}"] = scale
    return packed


def unpacked_int8(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of :func:`packed_int8` as numbers again, rounded to float16: saved once more they stay equal.

    Raises:
        ValueError: when a scale does not fit its tensor.
    """
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        scale = tensors.get(f"{name}{SCALE_SUFFIX}")
        if name.endswith(SCALE_SUFFIX) and name.removesuffix(SCALE_SUFFIX) in tensors:
            continue
        if scale is None:
            found[name] = value
            continue
        if value.dtype != torch.int8 or value.ndim < 2 or scale.shape != value.shape[:1]:
            raise ValueError(f"the scales of {name} do not fit it")
        rows = value.float().flatten(1) * scale.float()[:, None]
        found[name] = rows.view(value.shape).half()
    return found
