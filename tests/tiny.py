"""The smallest generator that has every part of PanoHead, with weights that give a visible head."""

import torch

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
