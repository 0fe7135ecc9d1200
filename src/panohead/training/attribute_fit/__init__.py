"""Regression fit of a generator and an attribute encoder to synthetic people: every view of every person is known.

The exports are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panohead.training.attribute_fit.dataset import GrowingDataset
    from panohead.training.attribute_fit.fit import AttributeFit, FitConfig, HeadModel
    from panohead.training.attribute_fit.prior import PriorConfig, fit_mapping
    from panohead.training.attribute_fit.run import FitRun, RunOptions
    from panohead.training.attribute_fit.shots import Shots

__all__ = [
    "AttributeFit",
    "FitConfig",
    "FitRun",
    "GrowingDataset",
    "HeadModel",
    "PriorConfig",
    "RunOptions",
    "Shots",
    "fit_mapping",
]
_MODULES = {
    "AttributeFit": "fit",
    "FitConfig": "fit",
    "FitRun": "run",
    "GrowingDataset": "dataset",
    "HeadModel": "fit",
    "PriorConfig": "prior",
    "RunOptions": "run",
    "Shots": "shots",
    "fit_mapping": "prior",
}


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
