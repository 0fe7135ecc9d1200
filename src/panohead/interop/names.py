"""Translation between official parameter names and ours. Only prefixes differ."""

from collections.abc import Mapping

from torch import Tensor, nn

from panohead.models.build import require_fitting
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator

_GENERATOR_PREFIXES = (
    ("backbone.blocks.", "backbone.synthesis."),
    ("mapping_network.layers.", "backbone.mapping."),
    ("mapping_network.", "backbone.mapping."),
    ("decoder.hidden.", "decoder.net.0."),
    ("decoder.output.", "decoder.net.2."),
    ("torgb_raw.", "torgb."),
    ("background.synthesis.blocks.", "bcg_synthesis."),
    ("camera_alignment.mapping.layers.", "t_mapping."),
    ("camera_alignment.mapping.", "t_mapping."),
)
_DISCRIMINATOR_PREFIXES = (
    ("blocks.", ""),
    ("mask_blocks.", ""),
    ("epilogue.", "b4."),
    ("label_mapping.layers.", "mapping."),
    ("label_mapping.", "mapping."),
)
OPTIONAL = frozenset({"dataset_label_std"})
"""Names that a state may lack."""


def official_name(module: nn.Module, ours: str) -> str:
    """Return the official name of one of our parameters or buffers."""
    for prefix, official in _prefixes(module):
        if ours.startswith(prefix):
            return official + ours[len(prefix) :]
    return ours


def official_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's values under the official names (docs/reference.md 8.5), sharing memory."""
    return {official_name(module, name): value for name, value in module.state_dict().items()}


def load_official_state_dict(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy values under official names into the module; every name and shape must match.

    ``dataset_label_std`` may be missing (EG3D has none); it is then removed from the module, so that the module holds
    exactly what :func:`official_state_dict` returns.

    Raises:
        UnfittingWeights: naming the tensors that are missing, unexpected or of another shape.
    """
    if isinstance(module, Generator):
        _match_optional_buffer(module, state)
    names = {official_name(module, name): name for name in module.state_dict()}
    require_fitting(official_state_dict(module), state)
    module.load_state_dict({names[name]: value for name, value in state.items()}, strict=True)


def _match_optional_buffer(module: Generator, state: Mapping[str, Tensor]) -> None:
    for name in OPTIONAL:
        value = state.get(name)
        setattr(module, name, None if value is None else value.detach().clone())


def _prefixes(module: nn.Module) -> tuple[tuple[str, str], ...]:
    if isinstance(module, Generator):
        return _GENERATOR_PREFIXES
    if isinstance(module, Discriminator):
        return _DISCRIMINATOR_PREFIXES
    raise TypeError(f"{type(module).__name__} has no official counterpart")
