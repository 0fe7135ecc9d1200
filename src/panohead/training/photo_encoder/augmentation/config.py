"""Strengths of the photographic augmentation, by family."""

from dataclasses import dataclass, fields
from typing import Annotated

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded

Strength = Annotated[float, NumberRange(0, 4)]


@dataclass(frozen=True, kw_only=True)
class PhotoAugmentation(Bounded):
    """Strengths of the families: 0 leaves photos as they are, 1 is made for ordinary photos, more is rougher.

    Attributes:
        strength: factor of all the others.
        framing: shift, size and roll of the head in the crop; the camera's correction follows the first two.
        camera: error of the estimated yaw and pitch, which the camera's correction undoes.
        background: another background behind the head.
        occluders: hands, objects and dark glasses before the head.
        light: exposure, gamma and a gradient of light across the photo.
        color: white balance, saturation, contrast, gray photos.
        blur: defocus, motion, low resolution.
        noise: of the sensor.
        jpeg: compression.
        border: photos that end within the crop.
        mask: masks that are too large or small or have holes, and photos without a mask.
    """

    strength: Strength = 1.0
    framing: Strength = 1.0
    camera: Strength = 1.0
    background: Strength = 1.0
    occluders: Strength = 1.0
    light: Strength = 1.0
    color: Strength = 1.0
    blur: Strength = 1.0
    noise: Strength = 1.0
    jpeg: Strength = 1.0
    border: Strength = 1.0
    mask: Strength = 1.0

    @classmethod
    def only(cls, family: str, strength: float = 1.0) -> "PhotoAugmentation":
        """Return the augmentation of one family alone, to measure what it costs.

        Raises:
            ValueError: for a family that does not exist.
        """
        if family not in FAMILIES:
            raise ValueError(f"there is no family {family!r}; give one of {', '.join(FAMILIES)}")
        return cls(**{name: strength if name == family else 0.0 for name in FAMILIES})

    def of(self, family: str) -> float:
        """Return the strength of a family, that of all included."""
        return self.strength * float(getattr(self, family))


FAMILIES = tuple(field.name for field in fields(PhotoAugmentation) if field.name != "strength")
"""Names of the families."""
