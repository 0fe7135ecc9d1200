"""Evaluation of generators with repeatable metrics: one family of metrics per file.

The exports are loaded on first use, because ``panohead evaluate --help`` needs the settings alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panohead.evaluation.evaluate import Evaluation, EvaluationResult
    from panohead.evaluation.report import write_report
    from panohead.evaluation.results import Result, Skipped
    from panohead.evaluation.settings import EvaluationSettings

__all__ = ["Evaluation", "EvaluationResult", "EvaluationSettings", "Result", "Skipped", "write_report"]
_MODULES = {
    "Evaluation": "evaluate",
    "EvaluationResult": "evaluate",
    "EvaluationSettings": "settings",
    "Result": "results",
    "Skipped": "results",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
