"""StyleGAN2 building blocks: mapping, synthesis and discriminator trunk (Karras et al. 2020)."""

from panohead.stylegan.alias_free import AliasFreeLayer, AliasFreeSynthesis
from panohead.stylegan.alias_free_schedule import AliasFreeConfig
from panohead.stylegan.discriminator_blocks import DiscriminatorBlock, DiscriminatorEpilogue, MinibatchStd
from panohead.stylegan.layers import Convolution, FullyConnected
from panohead.stylegan.mapping import MappingNetwork, Truncation
from panohead.stylegan.synthesis import BlockConfig, SynthesisBlock, SynthesisConfig, SynthesisNetwork
from panohead.stylegan.synthesis_layers import SynthesisLayer, ToRGB

__all__ = [
    "AliasFreeConfig",
    "AliasFreeLayer",
    "AliasFreeSynthesis",
    "BlockConfig",
    "Convolution",
    "DiscriminatorBlock",
    "DiscriminatorEpilogue",
    "FullyConnected",
    "MappingNetwork",
    "MinibatchStd",
    "SynthesisBlock",
    "SynthesisConfig",
    "SynthesisLayer",
    "SynthesisNetwork",
    "ToRGB",
    "Truncation",
]
