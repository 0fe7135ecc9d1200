"""Bias, activation, gain and clamp: the end of every layer (docs/reference.md 2.2)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Activation = Literal["linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"]


@dataclass(frozen=True)
class _Definition:
    """An activation and the gain that keeps the second moment of its output."""

    function: Callable[[Tensor], Tensor]
    gain: float


# Rectifiers halve the second moment of a symmetric input, so sqrt 2 restores it (He et al. 2015).
_DEFINITIONS: dict[str, _Definition] = {
    "linear": _Definition(lambda x: x, 1.0),
    "relu": _Definition(torch.relu, math.sqrt(2)),
    "lrelu": _Definition(lambda x: F.leaky_relu(x, 0.2), math.sqrt(2)),
    "tanh": _Definition(torch.tanh, 1.0),
    "sigmoid": _Definition(torch.sigmoid, 1.0),
    "elu": _Definition(F.elu, 1.0),
    "selu": _Definition(F.selu, 1.0),
    "softplus": _Definition(F.softplus, 1.0),
    "swish": _Definition(lambda x: torch.sigmoid(x) * x, math.sqrt(2)),
}


def default_gain(activation: Activation) -> float:
    """Return the gain that keeps the second moment through ``activation``."""
    return _DEFINITIONS[activation].gain


def bias_act(
    x: Float[Tensor, "batch channel *space"],
    bias: Float[Tensor, " channel"] | None = None,
    *,
    activation: Activation = "linear",
    gain: float | None = None,
    clamp: float | None = None,
) -> Float[Tensor, "batch channel *space"]:
    """Return ``clamp(activation(x + bias) * gain)``, in this order.

    Args:
        gain: factor of the activation's output; None takes the activation's own (sqrt 2 for the relu family).
        clamp: limit of the absolute value after the gain, or None.
    """
    definition = _DEFINITIONS[activation]
    gain = definition.gain if gain is None else gain
    if bias is not None:
        # channel -> 1 channel 1 1
        x = x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    x = definition.function(x)
    if gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)
