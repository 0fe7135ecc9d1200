"""The folder of a training run: description, log and statistics, resumable states, snapshots, report."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.training.run.checkpoint import LoadedState, load_latest_state, save_state
    from panohead.training.run.folder import RunDescription, read_run
    from panohead.training.run.log import RunLog
    from panohead.training.run.records import read_records

__all__ = ["LoadedState", "RunDescription", "RunLog", "load_latest_state", "read_records", "read_run", "save_state"]

_MODULES = {
    "LoadedState": "checkpoint",
    "RunDescription": "folder",
    "RunLog": "log",
    "load_latest_state": "checkpoint",
    "read_records": "records",
    "read_run": "folder",
    "save_state": "checkpoint",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a module of this package must not import all the others."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
