"""Position maps added to a generator: a free feature vector for every texel, without any change of its images."""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from panohead.models.generator import Generator
from panohead.stylegan.synthesis import SynthesisBlock, SynthesisNetwork


@torch.no_grad()
def with_position_maps(generator: Generator) -> Generator:
    """Return a copy of a generator whose backbone has position maps: zeros, where it has none so far.

    The copy makes the same images to the last bit. What is learned in a map stays where it is in the tri-grid; weights
    are the same for all places.

    Raises:
        ValueError: for a generator with an alias-free backbone, which has no blocks for them.
    """
    if not isinstance(generator.backbone, SynthesisNetwork):
        raise ValueError(f"the backbone {generator.config.backbone} has no position maps")
    copied = deepcopy(generator)
    if copied.config.position_maps:
        return copied
    assert isinstance(copied.backbone, SynthesisNetwork)
    for block in copied.backbone.blocks.values():
        assert isinstance(block, SynthesisBlock)
        layer, side = block.conv1.weight, block.conv1.resolution  # weight: out in height width
        block.position_map = nn.Parameter(layer.new_zeros(len(layer), side, side), requires_grad=layer.requires_grad)
    copied.config = replace(copied.config, position_maps=True)
    copied.backbone.config = replace(copied.backbone.config, position_maps=True)
    return copied
