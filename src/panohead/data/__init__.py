"""The training set: photos with masks and cameras in the official layout, filtered, decoded and ordered.

Start with :func:`open_dataset` and :class:`PhotoLoader`. :mod:`panohead.data.tools` inspects and converts datasets.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.data.batch import PhotoBatch, PhotoItem, collate
    from panohead.data.dataset import PhotoDataset, open_dataset
    from panohead.data.decode import Preprocessing
    from panohead.data.labels import read_labels
    from panohead.data.loader import PhotoLoader
    from panohead.data.sampler import InfiniteSampler
    from panohead.data.selection import SelectionConfig

__all__ = [
    "InfiniteSampler",
    "PhotoBatch",
    "PhotoDataset",
    "PhotoItem",
    "PhotoLoader",
    "Preprocessing",
    "SelectionConfig",
    "collate",
    "open_dataset",
    "read_labels",
]

_MODULES = {
    "InfiniteSampler": "sampler",
    "PhotoBatch": "batch",
    "PhotoDataset": "dataset",
    "PhotoItem": "batch",
    "PhotoLoader": "loader",
    "Preprocessing": "decode",
    "SelectionConfig": "selection",
    "collate": "batch",
    "open_dataset": "dataset",
    "read_labels": "labels",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use: the decoding processes need only some of them."""
    if name not in _MODULES:
        raise AttributeError(f"module 'panohead.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"panohead.data.{_MODULES[name]}"), name)
