"""Numbers of the preset ``fast``, and those of its earlier version, whose runs can still be resumed."""

from dataclasses import dataclass, replace
from typing import Annotated

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, Count, Natural, NotNegative

SYMMETRY_WEIGHT = 0.3
"""Weight of the mirrored photos where they are asked for."""


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
        local_tuning: tune position maps of the backbone's last blocks, a feature vector for every texel of the tri-grid
            (and the background network); otherwise the weights of these blocks and of everything after them.
        map_learning_rate: highest learning rate of position maps.
        superresolution_learning_rate: the same of super-resolution, with local tuning, on whole images; 0 keeps it.
        map_weight: weight of the mean squared change of position maps.
        geometry_weight: weight of the difference of occupancy to the untuned generator about the surface, on all sides;
            0 for none.
        detail_where_seen: keep the noise of :class:`panohead.models.surface_detail.SurfaceDetail` where photos show the
            head; otherwise only what they do not show has it.
        tuned_blocks: number of last blocks of the backbone and of the background network that are tuned; None for all.
        attribute_search: search among people's attributes, with offsets in w, where the checkpoint has an attribute
            encoder; otherwise in w alone.
        learning_rate: learning rate of w in whitened coordinates, where people differ by about 1.
        camera_learning_rate: learning rate of the cameras' offsets, in prior deviations (see
            :class:`CameraRefinement`); 0 keeps the cameras.
        coarse_tuning_learning_rate: highest learning rate of the generator's parameters on raw images; it falls to zero
            as half a cosine.
        tuning_learning_rate: the same on whole images.
        prior_weight: weight of the mean squared whitened distance to the mean w.
        offset_weight: weight of the mean squared whitened offset from the attributes' w.
        row_weight: weight of the mean squared difference between the rows of w, which are equal for sampled heads.
        camera_weight: weight of the mean squared offset of the cameras, in prior deviations.
        mask_weight: weight of the mask's mean absolute error.
        background_weight: weight of pixels outside the mask, for generators with a background.
        symmetry_weight: weight of the mirrored photos, in the places that no photo shows; 0 for none. On
            synthetic people they gain nothing beside w, which knows that heads are symmetric.
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
    local_tuning: bool = True
    map_learning_rate: NotNegative = 0.05
    superresolution_learning_rate: NotNegative = 0.0
    map_weight: NotNegative = 0.1
    geometry_weight: NotNegative = 1.0
    detail_where_seen: bool = False
    tuned_blocks: Annotated[int | None, NumberRange(0, 100)] = 2
    attribute_search: bool = True
    learning_rate: NotNegative = 0.08
    camera_learning_rate: NotNegative = 0.05
    coarse_tuning_learning_rate: NotNegative = 0.012
    tuning_learning_rate: NotNegative = 0.016
    prior_weight: NotNegative = 0.003
    offset_weight: NotNegative = 0.03
    row_weight: NotNegative = 0.003
    camera_weight: NotNegative = 0.1
    mask_weight: NotNegative = 0.5
    background_weight: NotNegative = 0.1
    symmetry_weight: NotNegative = 0.0
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


_SINCE_SUPERRESOLUTION = frozenset(("superresolution_learning_rate",))
_SINCE_DETAIL_MAPS = _SINCE_SUPERRESOLUTION | frozenset(("detail_where_seen",))
_SINCE_LOCAL = _SINCE_DETAIL_MAPS | frozenset(
    (
        "local_tuning",
        "map_learning_rate",
        "map_weight",
        "geometry_weight",
        "attribute_search",
        "offset_weight",
        "symmetry_weight",
    )
)
_SINCE_RAW = _SINCE_LOCAL | frozenset(
    ("coarse_tuning_ratio", "tuned_blocks", "coarse_tuning_learning_rate", "unseen_superresolution_interval")
)
"""Fields that a :class:`FastConfig` did not have before super-resolution could be tuned, before detail was left out,
before tuning was local, and before it began with raw images."""


def earlier_configs(config: FastConfig) -> list[tuple[FastConfig, frozenset[str]]]:
    """Return what the options of ``config`` may have meant in earlier versions, with the fields that these lacked.

    Runs of these versions can be resumed to the same end. The last one did not tune
    super-resolution, the one before kept the detail everywhere. Before tuning was
    local it changed weights, and heads were searched in w alone. In the version before that all tuning steps compared
    whole images and tuned all parameters. A number of them that is the default now may be meant, or the default of
    then.
    """
    # The mean head, today's start among people, was the start of then only where it was asked for.
    starts = sorted({config.starts, FastConfig().starts})
    return [found for count in starts for found in _earlier(replace(config, starts=count))]


def _earlier(config: FastConfig) -> list[tuple[FastConfig, frozenset[str]]]:
    """Return the configurations of the earlier versions."""
    still = replace(config, superresolution_learning_rate=0.0)
    with_detail = replace(still, detail_where_seen=True)
    global_tuning = replace(
        with_detail, local_tuning=False, attribute_search=False, symmetry_weight=0.0, geometry_weight=0.0
    )
    default_then = [150] if config.tuning_steps == FastConfig().tuning_steps else []
    whole_images = [
        replace(
            global_tuning,
            coarse_tuning_ratio=0.0,
            tuning_steps=steps,
            tuned_blocks=None,
            tuning_learning_rate=8e-3,
            unseen_superresolution_interval=1,
        )
        for steps in (config.tuning_steps, *default_then)
    ]
    return [
        (still, _SINCE_SUPERRESOLUTION),
        (with_detail, _SINCE_DETAIL_MAPS),
        (global_tuning, _SINCE_LOCAL),
        *((one, _SINCE_RAW) for one in whole_images),
    ]
