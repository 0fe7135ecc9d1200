"""Record of an optimization, and the functions that follow and stop it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class OptimizationStep:
    """One finished step of an optimization.

    Attributes:
        phase: name of the phase: "screen", "search, coarse", "search" or "tune".
        number: 1 for the first step of the phase.
        total: number of steps that the phase has at most.
        losses: total loss ("loss") and its parts before the step.
    """

    phase: str
    number: int
    total: int
    losses: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class OptimizationCallbacks:
    """Functions that an optimization calls while it runs; None for those that are not wanted.

    Attributes:
        on_step: receives every finished step.
        on_note: receives every note on a photo, before the first step.
        should_stop: is asked before every step; once it returns True, the run ends with the best result so far.
    """

    on_step: Callable[[OptimizationStep], None] | None = None
    on_note: Callable[[str], None] | None = None
    should_stop: Callable[[], bool] | None = None


@dataclass
class OptimizationLog:
    """Record of one optimization.

    Attributes:
        steps: all steps in order; after an interruption those of the earlier run come first.
        notes: sentences about what went wrong in a phase.
        stopped: True if the run was ended early by request.
    """

    steps: list[OptimizationStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False

    def curve(self, phase: str, name: str = "loss") -> list[float]:
        """Return one part of the loss over the steps of a phase."""
        return [step.losses[name] for step in self.steps if step.phase == phase and name in step.losses]
