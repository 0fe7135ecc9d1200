"""Attribute encoder: a small network from attributes to w, beside the mapping network; optional in a checkpoint.

It holds its vocabulary (names of attributes, basis of shapes), so that a file alone defines the meaning of its inputs.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.attributes.vocabulary import Vocabulary
from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, Layers, Width


@dataclass(frozen=True, kw_only=True)
class AttributeEncoderConfig(Bounded):
    """Sizes of an :class:`AttributeEncoder`.

    Attributes:
        expressions: ARKit names of the vocabulary's expression weights.
        shape_coordinates, shape_components: sizes of the vocabulary's sampled vertices and of its shape section.
        residual: size of the residual code: details that no attribute describes (single strands, the pattern of a
            shirt).
        hidden: width of the hidden layers.
        layers: number of hidden layers.
        w_dim: width of w.
    """

    w_dim: Width
    expressions: tuple[str, ...]
    shape_coordinates: Annotated[int, NumberRange(0, 4096)]
    shape_components: Annotated[int, NumberRange(0, 4096)]
    residual: Annotated[int, NumberRange(0, 4096)] = 32
    hidden: Width = 384
    layers: Layers = 2


class AttributeEncoder(nn.Module):
    """Perceptron from (attributes, residual code) to w."""

    W_SCALE = 3.0
    """Gain of the output; w of an untrained encoder then has about the spread that style layers expect."""

    shape_mean: Tensor
    shape_directions: Tensor

    def __init__(self, config: AttributeEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("shape_mean", torch.zeros(config.shape_coordinates))
        self.register_buffer("shape_directions", torch.zeros(config.shape_components, config.shape_coordinates))
        # Not self.vocabulary: the buffers of a network that is only planned (meta device) hold no numbers.
        shape = config.shape_components, config.shape_coordinates
        size = Vocabulary(config.expressions, np.zeros(shape[1]), np.zeros(shape)).size
        widths = [size + config.residual, *[config.hidden] * config.layers]
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            layers += [nn.Linear(i, o), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], config.w_dim))

    @classmethod
    def of_vocabulary(
        cls, vocabulary: Vocabulary, *, w_dim: int, residual: int = 32, hidden: int = 384, layers: int = 2
    ) -> "AttributeEncoder":
        """Return an untrained encoder for these attributes; sizes as in :class:`AttributeEncoderConfig`."""
        components, coordinates = vocabulary.shape_components.shape
        encoder = cls(
            AttributeEncoderConfig(
                w_dim=w_dim,
                expressions=vocabulary.expressions,
                shape_coordinates=coordinates,
                shape_components=components,
                residual=residual,
                hidden=hidden,
                layers=layers,
            )
        )
        encoder.shape_mean.copy_(torch.from_numpy(vocabulary.shape_mean))
        encoder.shape_directions.copy_(torch.from_numpy(vocabulary.shape_components))
        return encoder

    @property
    def vocabulary(self) -> Vocabulary:
        """Names and ranges of the attributes."""
        mean, directions = (np.asarray(x.cpu()) for x in (self.shape_mean, self.shape_directions))
        return Vocabulary(self.config.expressions, mean, directions)

    def forward(
        self, attributes: Float[Tensor, "head attribute"], residual: Float[Tensor, "head residual"] | None = None
    ) -> Float[Tensor, "head w_dim"]:
        """Map to w; without a residual code (zeros) the mean person with these attributes."""
        if residual is None:
            residual = attributes.new_zeros(len(attributes), self.config.residual)
        return self.W_SCALE * self.layers(torch.cat([attributes, residual], dim=1))
