"""Adversarial training: configuration, losses, the step, the loop, and runs in folders (PanoHead 3.1 to 3.4).

Start a run with :func:`train` and a configuration from :mod:`panohead.presets`; continue it with :func:`resume`.
:class:`TrainingStep` (:mod:`panohead.training.step`) is the method's training step, top to bottom.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.training.config import DataConfig, NumericsConfig, TrainConfig, with_settings
    from panohead.training.launch import resume, train
    from panohead.training.losses import LossConfig
    from panohead.training.networks import TrainingNetworks, make_networks
    from panohead.training.optimizers import AdamConfig
    from panohead.training.regularizers import DensityRegularizerConfig
    from panohead.training.schedules import ScheduleConfig
    from panohead.training.step import TrainingStep

__all__ = [
    "AdamConfig",
    "DataConfig",
    "DensityRegularizerConfig",
    "LossConfig",
    "NumericsConfig",
    "ScheduleConfig",
    "TrainConfig",
    "TrainingNetworks",
    "TrainingStep",
    "make_networks",
    "resume",
    "train",
    "with_settings",
]

_MODULES = {
    "AdamConfig": "optimizers",
    "DataConfig": "config",
    "DensityRegularizerConfig": "regularizers",
    "LossConfig": "losses",
    "NumericsConfig": "config",
    "ScheduleConfig": "schedules",
    "TrainConfig": "config",
    "TrainingNetworks": "networks",
    "TrainingStep": "step",
    "make_networks": "networks",
    "resume": "launch",
    "train": "launch",
    "with_settings": "config",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that importing one module does not import all the others."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
