"""State of a generator before any regression: multi-view warm start and attribute fit begin alike."""

import torch

from panohead.models.generator import Generator
from panohead.stylegan.synthesis_layers import SynthesisLayer


def initialize_density(generator: Generator, gain: float) -> None:
    """Set the raw color of empty rays to white and the density to thin fog that small changes turn into surfaces.

    Args:
        generator: changed in place; it has its own layer for raw colors.
        gain: scale of the decoder's density row.
    """
    assert generator.torgb_raw is not None
    with torch.no_grad():
        row = generator.decoder.output.weight[0]  # the density's weights of the hidden units
        # Zero mean: an equal change of all hidden units leaves the density unchanged.
        row.sub_(row.mean()).mul_(gain)
        generator.torgb_raw.bias.fill_(1.0)  # white in [-1, 1]


def noise_layers(generator: Generator) -> list[SynthesisLayer]:
    """Return the layers of the backbone that add a noise map."""
    return [m for m in generator.backbone.modules() if isinstance(m, SynthesisLayer) and m.use_noise]


def initialize_position_maps(generator: Generator) -> None:
    """Set the noise maps to 0 and their strengths to 1: maps, shared by all heads, are learned; strengths are not."""
    for layer in noise_layers(generator):
        layer.noise_const.zero_()
        with torch.no_grad():
            layer.noise_strength.fill_(1.0)
        layer.noise_strength.requires_grad_(False)
