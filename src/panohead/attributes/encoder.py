"""Attributes in, w out: a small network beside the mapping network."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class AttributeEncoderConfig:
    """Sizes of an :class:`AttributeEncoder`.

    Attributes:
        attributes: numbers in an attribute vector.
        residual: numbers of the residual code: what no attribute says (single strands, the pattern of a shirt).
        hidden: width of the hidden layers.
        layers: number of hidden layers.
        w_dim: width of w.
    """

    attributes: int
    w_dim: int
    residual: int = 32
    hidden: int = 384
    layers: int = 2


class AttributeEncoder(nn.Module):
    """A perceptron from (attributes, residual code) to w."""

    W_SCALE = 3.0
    """Gain of the output: w of a fresh network then has about the spread that style layers expect."""

    def __init__(self, config: AttributeEncoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.attributes + config.residual, *[config.hidden] * config.layers]
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            layers += [nn.Linear(i, o), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], config.w_dim))

    def forward(
        self, attributes: Float[Tensor, "head attribute"], residual: Float[Tensor, "head residual"] | None = None
    ) -> Float[Tensor, "head w_dim"]:
        """Map to w; without a residual code the mean person with these attributes."""
        if residual is None:
            residual = attributes.new_zeros(len(attributes), self.config.residual)
        return self.W_SCALE * self.layers(torch.cat([attributes, residual], dim=1))
