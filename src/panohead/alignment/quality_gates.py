"""Thresholds of the quality gates. Imports nothing heavy, because ``panohead prepare`` makes its options of it."""

from dataclasses import dataclass
from typing import Annotated

from panohead.errors import UsageError
from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, OutOfRange

_SIZE, _ANGLE, _SHARE = NumberRange(0, 1e6), NumberRange(0, 180, "degrees"), NumberRange(0, 1)


@dataclass(frozen=True, kw_only=True)
class QualityGates(Bounded):
    """Thresholds beyond which a crop is rejected; every reason is in prepare.jsonl and report.html."""

    min_core_px: Annotated[float, _SIZE] = 128.0
    """Smallest side of a head's crop in the photo, in pixels (the original: 256)."""
    min_sharpness: Annotated[float, _SIZE] = 8.0
    """Variance of the Laplacian at 256 pixels, in gray levels squared; photos in focus have 20 to 2000."""
    max_residual: Annotated[float, _SIZE] = 0.06
    """Largest residual of the landmarks' fit, as a share of the face's width."""
    max_roll_deg: Annotated[float, _ANGLE] = 60.0
    """Largest tilt of the head in the photo (not applied to coarse poses)."""
    max_pitch_deg: Annotated[float, _ANGLE] = 60.0
    """Largest angle of the camera above or below the head."""
    max_outside: Annotated[float, _SHARE] = 0.35
    """Share of the crop that may lie outside the photo."""
    min_face_visible: Annotated[float, _SHARE] = 0.8
    """Share of the face's landmarks that the mask must cover; less is a face behind something."""
    min_coverage: Annotated[float, _SHARE] = 0.1
    """Smallest share of the crop that is person."""
    max_coverage: Annotated[float, _SHARE] = 0.97
    """Largest share of the crop that is person."""
    min_confidence: Annotated[float, _SHARE] = 0.15
    """Smallest confidence of the alignment; the default leaves out heads known by an outline alone."""
    duplicate_bits: Annotated[int, NumberRange(-1, 64)] = 3
    """Crops whose 64-bit hashes differ in at most so many bits are copies; -1 keeps all."""

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except OutOfRange as error:
            # No ValueError, which the parser of options would show with its own names.
            raise UsageError(str(error)) from error
        if self.min_coverage >= self.max_coverage:
            raise UsageError(
                f"min_coverage is {self.min_coverage:g} and max_coverage {self.max_coverage:g}, so no crop would pass; "
                "give a smaller one of the first"
            )
