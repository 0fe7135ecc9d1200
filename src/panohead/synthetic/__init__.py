"""A synthetic full-head dataset that anyone can render: random people from all sides, with exact labels.

``panohead.synthetic.synthesize.synthesize`` renders it. The exports are loaded on first use, to keep workers small.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panohead.synthetic.config import SyntheticDatasetConfig
    from panohead.synthetic.people import Person, sample_person
    from panohead.synthetic.person_images import make_renderer, photograph
    from panohead.synthetic.views import PersonView, sample_views

__all__ = [
    "Person",
    "PersonView",
    "SyntheticDatasetConfig",
    "make_renderer",
    "photograph",
    "sample_person",
    "sample_views",
]
_MODULES = {
    "Person": "people",
    "PersonView": "views",
    "SyntheticDatasetConfig": "config",
    "make_renderer": "person_images",
    "photograph": "person_images",
    "sample_person": "people",
    "sample_views": "views",
}


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
