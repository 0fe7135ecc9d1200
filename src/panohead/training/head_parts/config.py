"""Settings of the training."""

from dataclasses import dataclass
from typing import Annotated

from panohead.limits import SEED, NumberRange
from panohead.system.bounds import Bounded


@dataclass(frozen=True, kw_only=True)
class PartsTrainConfig(Bounded):
    """Settings of one training.

    Attributes:
        steps: number of steps.
        batch: images of a step.
        learning_rate: its maximum; it rises over the first steps and falls as half a cosine.
        parts_weight, landmarks_weight, maps_weight, visible_weight, numbers_weight, choices_weight: weights of the
            losses.
        strength: factor of the photographic augmentation.
        white_share: share of the images over white, as the demo model's are.
        soft_share: share of the images that are as soft as a generator's.
        bfloat16: compute in bfloat16, twice as fast on processors that have it.
        seed: of everything random.
    """

    steps: Annotated[int, NumberRange(1, 10**7)] = 3000
    batch: Annotated[int, NumberRange(2, 4096)] = 32
    learning_rate: Annotated[float, NumberRange(0, 1)] = 3e-3
    parts_weight: Annotated[float, NumberRange(0, 1000)] = 1.0
    landmarks_weight: Annotated[float, NumberRange(0, 1000)] = 0.05
    maps_weight: Annotated[float, NumberRange(0, 1000)] = 0.2
    visible_weight: Annotated[float, NumberRange(0, 1000)] = 0.5
    numbers_weight: Annotated[float, NumberRange(0, 1000)] = 0.5
    choices_weight: Annotated[float, NumberRange(0, 1000)] = 0.5
    strength: Annotated[float, NumberRange(0, 4)] = 0.7
    white_share: Annotated[float, NumberRange(0, 1)] = 0.35
    soft_share: Annotated[float, NumberRange(0, 1)] = 0.5
    bfloat16: bool = True
    seed: Annotated[int, SEED] = 0
