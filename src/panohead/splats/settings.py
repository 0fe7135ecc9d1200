"""Settings of a head's splats, checked when they are made."""

from dataclasses import dataclass

from panohead.limits import MESH_LEVEL, SPLAT_COUNT, SPLAT_STEPS
from panohead.mesh.settings import OFFICIAL_LEVEL

DEFAULT_COUNT = 100_000
DEFAULT_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class SplatSettings:
    """Settings of a head's splats (see :meth:`panohead.Head.splats`).

    Attributes:
        count: number of splats.
        steps: steps of refinement against renders of the head; 0 for none.
        level: raw density at the surface near which they are drawn.

    Raises:
        UsageError: for numbers outside the ranges of :mod:`panohead.limits`.
    """

    count: int = DEFAULT_COUNT
    steps: int = DEFAULT_STEPS
    level: float = OFFICIAL_LEVEL

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", SPLAT_COUNT.whole(self.count, "count"))
        object.__setattr__(self, "level", MESH_LEVEL.real(self.level, "level"))
        object.__setattr__(self, "steps", SPLAT_STEPS.whole(self.steps, "steps"))
