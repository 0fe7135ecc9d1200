"""Settings of augmentation: transforms, strengths, probability (ADA, Karras et al. 2020, sections 2-3, appendix B)."""

from dataclasses import dataclass, field, fields
from typing import Annotated

from panohead.errors import PanoHeadError
from panohead.limits import NumberRange
from panohead.system.bounds import Bounded


@dataclass(frozen=True, kw_only=True)
class TransformMultipliers(Bounded):
    """Factors of the augmentation probability, one per transform; 0 excludes a transform.

    The defaults are the paper's "bgc" without mirroring and quarter turns: a mirrored or lying head contradicts the
    camera that the discriminator is conditioned on.
    """

    x_flip: float = 0.0
    quarter_turn: float = 0.0
    integer_translation: float = 1.0
    isotropic_scale: float = 1.0
    rotation: float = 1.0
    anisotropic_scale: float = 1.0
    fractional_translation: float = 1.0
    brightness: float = 1.0
    contrast: float = 1.0
    luma_flip: float = 1.0
    hue: float = 1.0
    saturation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in ((f.name, getattr(self, f.name)) for f in fields(self)):
            if value < 0:
                raise PanoHeadError(f"the augmentation multiplier {name} is {value}; give 0 or more")


@dataclass(frozen=True, kw_only=True)
class TransformStrengths(Bounded):
    """Magnitudes of the transforms. The defaults are those of the paper's appendix B.

    Attributes:
        integer_translation: maximum shift, as a fraction of the image's width; uniform, rounded to whole raw pixels.
        scale_log2: standard deviation of the base-2 logarithm of the isotropic scale.
        rotation_deg: maximum angle; uniform.
        anisotropic_log2: standard deviation of the base-2 logarithm of the stretch (x by it, y by its inverse).
        fractional_translation: standard deviation of the shift, as a fraction of the image's width.
        brightness: standard deviation of the brightness change, in units of the [-1, 1] range.
        contrast_log2: standard deviation of the base-2 logarithm of the contrast.
        hue_deg: maximum rotation about the gray axis; uniform.
        saturation_log2: standard deviation of the base-2 logarithm of the saturation.
    """

    integer_translation: float = 0.125
    scale_log2: Annotated[float, NumberRange(-10, 10)] = 0.2
    rotation_deg: float = 180.0
    anisotropic_log2: Annotated[float, NumberRange(-10, 10)] = 0.2
    fractional_translation: float = 0.125
    brightness: float = 0.2
    contrast_log2: Annotated[float, NumberRange(-10, 10)] = 0.5
    hue_deg: float = 180.0
    saturation_log2: Annotated[float, NumberRange(-10, 10)] = 1.0


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Bounded):
    """Adaptive discriminator augmentation; not part of the official PanoHead.

    Attributes:
        probability: fixed probability of every transform; None lets ``AdaptiveProbability`` adapt it.
        target: mean sign of the discriminator's logits for photos that adaptation aims at; above it the discriminator
            overfits.
        speed_kimg: thousands of photos in which the probability can go from 0 to 1.
        interval: training steps between two adaptations.
        multipliers: factors of the probability, transform by transform.
        strengths: magnitudes of the transforms.
    """

    probability: float | None = None
    target: float = 0.6
    speed_kimg: float = 500.0
    interval: int = 4
    multipliers: TransformMultipliers = field(default_factory=TransformMultipliers)
    strengths: TransformStrengths = field(default_factory=TransformStrengths)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise PanoHeadError(f"the augmentation probability is {self.probability}; give 0 to 1, or None to adapt it")
        if not -1 < self.target < 1:
            raise PanoHeadError(f"the augmentation target is {self.target}; give a mean sign between -1 and 1")
        if self.speed_kimg <= 0 or self.interval < 1:
            raise PanoHeadError(
                f"augmentation cannot adapt with speed_kimg={self.speed_kimg} and interval={self.interval}; "
                "give a positive speed and an interval of 1 or more"
            )
