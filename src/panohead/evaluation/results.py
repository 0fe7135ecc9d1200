"""Results of metrics: a value with everything needed to repeat it, or one sentence that explains its absence."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["lower", "higher", "neither"]
ProgressCallback = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Function of a task's name and number of steps; its context yields a callback for each finished step."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One measured number.

    Attributes:
        metric, subset, protocol: the row of the table it belongs to.
        low, high: 95 % interval, where there is one.
        unit: name of the unit; empty for a pure number.
        counts: numbers of images, heads or views it was measured on.
        details: further numbers and settings.
    """

    metric: str
    value: float
    subset: str = ""
    protocol: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    better: Better = "lower"
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> tuple[str, str, str]:
        """Key of the row in a side-by-side table."""
        return self.metric, self.subset, self.protocol


@dataclass(frozen=True)
class Skipped:
    """A metric that could not be measured, with the reason in one sentence."""

    metric: str
    reason: str


def silent(what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
    """Return a progress that shows nothing."""
    return nullcontext(lambda: None)


def text(value: float) -> str:
    """Format a number with four significant digits; a dash for a non-finite one."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:.4g}"
    return f"{value:.2e}"
