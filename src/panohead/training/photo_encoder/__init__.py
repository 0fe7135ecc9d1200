"""Training of a photo encoder for any generator: on its own heads, and on renders of synthetic people.

The exports are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panohead.training.photo_encoder.augmentation import PhotoAugmentation
    from panohead.training.photo_encoder.config import SMALL_NETWORK, EncoderTrainConfig
    from panohead.training.photo_encoder.run import EncoderEstimate, TrainedEncoder, estimate_encoder, train_encoder

__all__ = [
    "SMALL_NETWORK",
    "EncoderEstimate",
    "EncoderTrainConfig",
    "PhotoAugmentation",
    "TrainedEncoder",
    "estimate_encoder",
    "train_encoder",
]
_MODULES = {
    "SMALL_NETWORK": "config",
    "EncoderEstimate": "run",
    "EncoderTrainConfig": "config",
    "PhotoAugmentation": "augmentation",
    "TrainedEncoder": "run",
    "estimate_encoder": "run",
    "train_encoder": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
