"""Import of official checkpoints, without executing anything in them.

The exports are loaded on first use; :mod:`panohead.interop.official` is the public module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panohead.interop.official import discriminator_from_official, generator_from_official, load_networks
    from panohead.interop.plain_tree import OfficialModule
    from panohead.interop.restricted_pickle import read_official_pickle

__all__ = [
    "OfficialModule",
    "discriminator_from_official",
    "generator_from_official",
    "load_networks",
    "read_official_pickle",
]
_MODULES = {
    "OfficialModule": "plain_tree",
    "discriminator_from_official": "official",
    "generator_from_official": "official",
    "load_networks": "official",
    "read_official_pickle": "restricted_pickle",
}


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
