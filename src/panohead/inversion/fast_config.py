"""Numbers of the preset ``fast``, and those of its earlier version, whose runs can still be resumed."""

from dataclasses import dataclass, replace
from typing import Annotated

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, Count, Natural, NotNegative


@dataclass(frozen=True, kw_only=True)
class FastConfig(Bounded):
    """Numbers of the preset.

    Attributes:
        starts: number of random w that are tried before the search, beside the mean and the mean of the best.
        coarse_steps: number of search steps at half the rays per side, without super-resolution.
        fine_steps: number of search steps on whole images.
        tuning_steps: number of tuning steps on whole images, at fixed w and cameras; 0 for no tuning at all.
        coarse_tuning_ratio: number of tuning steps on raw images, before them, per step on whole images; the background
            is fixed too.
        tuned_blocks: number of last blocks of the backbone and of the background network that are tuned; None for all.
        learning_rate: learning rate of w in whitened coordinates, where people differ by about 1.
        camera_learning_rate: learning rate of the cameras' offsets, in prior deviations (see
            :class:`CameraRefinement`); 0 keeps the cameras.
        coarse_tuning_learning_rate: highest learning rate of the generator's parameters on raw images; it falls to zero
            as half a cosine.
        tuning_learning_rate: the same on whole images.
        prior_weight: weight of the mean squared whitened distance to the mean w.
        row_weight: weight of the mean squared difference between the rows of w, which are equal for sampled heads.
        camera_weight: weight of the mean squared offset of the cameras, in prior deviations.
        mask_weight: weight of the mask's mean absolute error.
        background_weight: weight of pixels outside the mask, for generators with a background.
        unseen_weight: weight of the difference to the untuned generator in views that no photo shows; 0 for none.
        unseen_interval: number of tuning steps per step that includes such a view.
        unseen_superresolution_interval: number of such views on whole images per view that is super-resolved; the
            others are compared raw.
        unseen_angle_deg: smallest angle between such a view and every photo's camera, in degrees.
        w_samples: number of w for the statistics of w.
        w_seed: seed of these w.
    """

    starts: Annotated[int, NumberRange(0, 100000)] = 32
    coarse_steps: Count = 80
    fine_steps: Count = 30
    tuning_steps: Count = 50
    coarse_tuning_ratio: Annotated[float, NumberRange(0, 100)] = 1.2
    tuned_blocks: Annotated[int | None, NumberRange(0, 100)] = 2
    learning_rate: NotNegative = 0.08
    camera_learning_rate: NotNegative = 0.05
    coarse_tuning_learning_rate: NotNegative = 0.012
    tuning_learning_rate: NotNegative = 0.016
    prior_weight: NotNegative = 0.003
    row_weight: NotNegative = 0.003
    camera_weight: NotNegative = 0.1
    mask_weight: NotNegative = 0.5
    background_weight: NotNegative = 0.1
    unseen_weight: NotNegative = 0.1
    unseen_interval: Natural = 3
    unseen_superresolution_interval: Natural = 2
    unseen_angle_deg: float = 60.0
    w_samples: Annotated[int, NumberRange(2, 1000000)] = 4096
    w_seed: Annotated[int, NumberRange(0, 2**32 - 1)] = 123

    @property
    def coarse_tuning_steps(self) -> int:
        """Number of tuning steps on raw images."""
        return round(self.coarse_tuning_ratio * self.tuning_steps)


def phases(config: FastConfig) -> dict[str, int]:
    """Return the maximum number of steps of every phase, in their order."""
    return {
        "screen": config.starts,
        "search, coarse": config.coarse_steps,
        "search": config.fine_steps,
        "tune, coarse": config.coarse_tuning_steps,
        "tune": config.tuning_steps,
    }


NEW_FIELDS = frozenset(
    ("coarse_tuning_ratio", "tuned_blocks", "coarse_tuning_learning_rate", "unseen_superresolution_interval")
)
"""Fields that a :class:`FastConfig` of the earlier version did not have."""


def earlier_configs(config: FastConfig) -> list[FastConfig]:
    """Return the configurations that the options of ``config`` may have meant in the earlier version.

    Its runs can be resumed to the same end. All its tuning steps compared whole images and tuned all parameters. A
    number of them that is the default now may be meant, or the default of then.
    """
    default_then = [150] if config.tuning_steps == FastConfig().tuning_steps else []
    return [
        replace(
            config,
            coarse_tuning_ratio=0.0,
            tuning_steps=steps,
            tuned_blocks=None,
            tuning_learning_rate=8e-3,
            unseen_superresolution_interval=1,
        )
        for steps in (config.tuning_steps, *default_then)
    ]
