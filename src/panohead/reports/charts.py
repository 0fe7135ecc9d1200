"""Curves as plain values: what is drawn by :mod:`panohead.reports.drawing`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

MAX_VALUE = 1e30
"""Largest absolute value that can be drawn; beyond it, nothing is a measurement."""

# Ratio of the 98th to the 2nd percentile from which a logarithmic axis is clearer.
_LOG_RATIO = 1e3

Values = Float64[np.ndarray, " point"]


@dataclass(frozen=True)
class Series:
    """A curve of at least one point: x must not decrease; all values finite and within +-MAX_VALUE."""

    label: str
    x: Values
    y: Values


@dataclass(frozen=True)
class Chart:
    """Curves on common axes.

    Attributes:
        title: what is drawn.
        series: at least one curve.
        smooth: values are noisy: they are drawn thin, and a smoothed curve thick.
        x_label: unit of x, in words.
        log_ratio: draw y logarithmically if all values are positive and the ratio between their 98th and 2nd percentile
            is at least this; None never does.
        caption: one more line under the title.
    """

    title: str
    series: tuple[Series, ...]
    smooth: bool = True
    x_label: str = "kimg"
    log_ratio: float | None = None
    caption: str = ""

    @property
    def logarithmic(self) -> bool:
        """Return True if the y axis is logarithmic."""
        ratio = self.log_ratio if self.log_ratio is not None else _LOG_RATIO if self.smooth else None
        values = np.concatenate([s.y for s in self.series])
        if ratio is None or values.min() <= 0:
            return False
        low, high = np.percentile(values, (2, 98))
        return bool(high >= ratio * low)


@dataclass(frozen=True)
class Charts:
    """Charts in a grid."""

    charts: Sequence[Chart]
    kind: ClassVar[str] = "charts"
