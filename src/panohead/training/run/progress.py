"""How far a run is."""

from dataclasses import dataclass


@dataclass
class TrainingProgress:
    """Photos shown, steps taken, seconds spent."""

    nimg: int
    step: int = 0
    seconds: float = 0.0
