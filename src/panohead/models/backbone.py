"""The network that makes the tri-grid, by the name in the generator's configuration."""

from panohead.models.generator_config import GeneratorConfig
from panohead.stylegan.alias_free import AliasFreeSynthesis
from panohead.stylegan.synthesis import SynthesisNetwork

BackboneNetwork = SynthesisNetwork | AliasFreeSynthesis


def make_backbone(config: GeneratorConfig) -> BackboneNetwork:
    """Return the untrained network from ws to the tri-grid's planes."""
    if config.backbone == "stylegan2":
        return SynthesisNetwork(config.synthesis, w_dim=config.w_dim)
    return AliasFreeSynthesis(config.alias_free, w_dim=config.w_dim)
