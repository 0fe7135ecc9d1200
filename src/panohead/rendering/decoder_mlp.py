"""The arithmetic of the feature decoder: tri-grid features to density and color features (docs/reference.md 3.4)."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

ColorActivation = Literal["none", "sigmoid", "lrelu"]


@dataclass(frozen=True)
class DecoderWeights:
    """A two-layer MLP with its learning-rate gains already applied. Output row 0 is the density.

    With the linear activation ("none") the second layer commutes with compositing:
    sum_i w_i (W h_i + b) = W (sum_i w_i h_i) + b sum_i w_i. So hidden units can be composited along the ray and the
    color layer applied once per ray: exact, and cheaper by the number of samples.
    """

    hidden_weight: Float[Tensor, "hidden channel"]
    hidden_bias: Float[Tensor, " hidden"]
    output_weight: Float[Tensor, "output hidden"]
    output_bias: Float[Tensor, " output"]
    activation: ColorActivation = "none"

    def detach(self) -> "DecoderWeights":
        """Return the same weights without gradients."""
        names = "hidden_weight", "hidden_bias", "output_weight", "output_bias"
        return replace(self, **{name: getattr(self, name).detach() for name in names})

    def hidden(self, features: Float[Tensor, "*point channel"]) -> Float[Tensor, "*point hidden"]:
        """Return hidden units: softplus of the first layer."""
        return F.softplus(F.linear(features, self.hidden_weight, self.hidden_bias))

    def density(self, hidden: Float[Tensor, "*point hidden"]) -> Float[Tensor, "*point 1"]:
        """Return raw density (before the renderer's softplus), any real number."""
        return F.linear(hidden, self.output_weight[:1], self.output_bias[:1])

    def color(self, hidden: Float[Tensor, "*point hidden"]) -> Float[Tensor, "*point color"]:
        """Return color features with their activation."""
        return activate_color(F.linear(hidden, self.output_weight[1:], self.output_bias[1:]), self.activation)

    def color_of_composite(
        self, hidden: Float[Tensor, "*ray hidden"], weight_sum: Float[Tensor, "*ray 1"]
    ) -> Float[Tensor, "*ray color"]:
        """Return composited color features from composited hidden units; the bias counts as much as there is weight."""
        return F.linear(hidden, self.output_weight[1:]) + weight_sum * self.output_bias[1:]


def activate_color(color: Float[Tensor, "*point color"], activation: ColorActivation) -> Float[Tensor, "*point color"]:
    """Apply the color activation.

    "sigmoid" is stretched by a thousandth on both sides, so that 0 and 1 are reached at finite inputs (MipNeRF);
    "lrelu" has slope 0.2 and gain sqrt 2.
    """
    if activation == "sigmoid":
        return torch.sigmoid(color) * 1.002 - 0.001
    if activation == "lrelu":
        return F.leaky_relu(color, 0.2) * math.sqrt(2)
    return color
