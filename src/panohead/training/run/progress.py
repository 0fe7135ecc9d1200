"""Progress of a run."""

from dataclasses import dataclass


@dataclass
class TrainingProgress:
    """Progress of a run.

    Attributes:
        nimg: number of photos shown to the discriminator.
        step: number of completed steps.
        seconds: duration of all steps.
        cpu_seconds: processor time of all steps, of this process alone.
    """

    nimg: int
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
