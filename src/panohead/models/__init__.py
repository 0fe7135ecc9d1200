"""The networks of PanoHead. Start with :mod:`panohead.models.generator`."""

from panohead.models.discriminator import Discriminator, DiscriminatorConfig
from panohead.models.generator import Generator, Rendering
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig

__all__ = [
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "Rendering",
    "SuperResolutionConfig",
]
