"""The smallest generator that has every part of PanoHead, with weights that give a visible head."""

import numpy as np
import torch

from panohead.attributes import AttributeEncoder, Vocabulary
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.rendering.renderer import RenderConfig

CONFIG = GeneratorConfig(
    z_dim=8,
    w_dim=16,
    trigrid_resolution=16,
    trigrid_channels=8,
    feature_channels=8,
    channel_base=256,
    channel_max=16,
    neural_rendering_resolution=16,
    rendering=RenderConfig(depth_samples=12, importance_samples=12),
    superresolution=SuperResolutionConfig(kind="2x", channels=(8, 8)),
)


def generator(seed: int = 0, config: GeneratorConfig = CONFIG) -> Generator:
    """A generator in eval mode whose density has both signs, so that there is a surface to find."""
    torch.manual_seed(seed)
    network = Generator(config).eval().requires_grad_(False)
    network.decoder.output.weight[0] *= 30
    network.decoder.output.bias[0] += 4
    return network


def attribute_encoder() -> AttributeEncoder:
    """An untrained encoder from attributes to the generator's w, whose vocabulary has no shapes."""
    torch.manual_seed(0)
    vocabulary = Vocabulary(("jawOpen",), np.zeros(0), np.zeros((0, 0)))
    network = AttributeEncoder.of_vocabulary(vocabulary, w_dim=CONFIG.w_dim, residual=2, hidden=32)
    return network.eval().requires_grad_(False)
