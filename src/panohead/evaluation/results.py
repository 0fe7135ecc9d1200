"""What a metric says: a value with everything needed to repeat it, or one sentence why there is none."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["lower", "higher", "neither"]
ProgressCallback = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""What is being done and in how many steps; the context yields what to call after each."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One number.

    Attributes:
        metric, subset, protocol: the row of the table it belongs to.
        low, high: 95 % interval, where there is one.
        unit: as text; empty for a pure number.
        counts: pictures, heads or views behind it.
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
        """Which row of a side-by-side table."""
        return self.metric, self.subset, self.protocol


@dataclass(frozen=True)
class Skipped:
    """A metric that could not be measured, and the one sentence why."""

    metric: str
    reason: str


def silent(what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
    """A progress that shows nothing."""
    return nullcontext(lambda: None)


def text(value: float) -> str:
    """A number with four significant digits; a dash for none."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:.4g}"
    return f"{value:.2e}"
