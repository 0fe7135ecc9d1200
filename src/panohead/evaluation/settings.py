"""What to measure and how: everything that decides the numbers of one evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from panohead.errors import PanoHeadError
from panohead.evaluation.distribution_metrics import SETS
from panohead.evaluation.protocol import Protocol, comparisons
from panohead.evaluation.pyramid_patches import SMALLEST_LEVEL

HEADS = ("identity", "mask", "camera", "consistency", "back")
"""Metrics that look at single heads from several sides."""
OTHERS = ("depth", "cost")
METRICS = (*SETS, *HEADS, *OTHERS)
GROUPS = {"all": METRICS, "weight-free": ("swd", "mask", "consistency", "back", "depth", "cost")}
"""Names for several metrics. Weight-free ones need no network but the generator; parts that do are skipped."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Attributes:
    metrics: names of METRICS.
    subsets, protocols: see :mod:`panohead.evaluation.protocol`.
    num: generated pictures per way of making them.
    reals: photos; None for as many as ``num``, 0 for all (the original).
    heads: heads looked at from several sides.
    truncation_psi: of those heads (the paper's mask error: 0.7); sets of pictures are made at 1.
    resolution: pixels to compare sets at; None for the smallest among photos and generators.
    background: "white" puts photos on white by their masks, "keep" leaves them; "auto" does what the generator shows.
    floor: also compare photos with other photos.
    """

    metrics: tuple[str, ...] = GROUPS["weight-free"]
    subsets: tuple[str, ...] = ("all", "front", "back", "random", "bins")
    protocols: tuple[Protocol, ...] = ("official", "strict")
    num: int = 2000
    reals: int | None = None
    heads: int = 16
    seed: int = 0
    batch: int = 8
    truncation_psi: float = 0.7
    resolution: int | None = None
    background: Literal["auto", "white", "keep"] = "auto"
    floor: bool = True
    inception_weights: Path | None = None
    identity_model: Path | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.metrics if name not in METRICS]:
            raise PanoHeadError(f"there is no metric {unknown[0]!r}; choose from {', '.join((*METRICS, *GROUPS))}")
        comparisons(self.subsets, self.protocols)
        if self.num < 2 or self.heads < 1 or self.batch < 1 or (self.reals or 0) < 0:
            raise PanoHeadError("an evaluation needs at least 2 pictures, 1 head and batches of 1; raise the numbers")
        if self.resolution is not None and self.resolution < SMALLEST_LEVEL:
            raise PanoHeadError(f"pictures are compared at {SMALLEST_LEVEL} pixels or more; raise --resolution")

    @property
    def set_metrics(self) -> tuple[str, ...]:
        """Those that compare sets of pictures."""
        return tuple(name for name in SETS if name in self.metrics)


def metric_names(asked: Sequence[str]) -> tuple[str, ...]:
    """Metrics and groups of them to metrics, in their usual order. Unknown names are left to be refused later."""
    named = [name for entry in asked for name in GROUPS.get(entry, (entry,))]
    known = [name for name in METRICS if name in named]
    return tuple(known + [name for name in named if name not in METRICS])
