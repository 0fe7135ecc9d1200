"""Exposure of a person in a crop: too little or too much light to tell what the person looks like."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

MIN_BRIGHT_LEVEL = 70.0
"""Gray level below which 95 % of an underexposed person lies: in ordinary light even dark skin has brighter spots."""
MAX_CLIPPED = 0.35
"""Share of an overexposed person that is white without any drawing."""
_CLIPPED_LEVEL = 250
_PERSON = 0.5


@dataclass(frozen=True)
class Exposure:
    """Brightness of a person.

    Attributes:
        bright_level: gray level (0 to 255) below which 95 % of the person lies.
        clipped: share of the person in which red, green and blue are all at their upper end.
    """

    bright_level: float
    clipped: float

    @property
    def problem(self) -> str:
        """A few words on a person in too little or too much light; empty otherwise.

        The words before the colon are what reports of datasets count by.
        """
        if self.bright_level < MIN_BRIGHT_LEVEL:
            return f"underexposed: 95% of the person is darker than {self.bright_level:.0f} of 255"
        if self.clipped > MAX_CLIPPED:
            return f"overexposed: {self.clipped:.0%} of the person is plain white"
        return ""


def exposure(frame: UInt8[np.ndarray, "height width 3"], mask: Float[np.ndarray, "height width"]) -> Exposure:
    """Measure the person in a crop, by its mask (0 to 1); all of the crop without a person."""
    person = mask > _PERSON
    pixels = frame[person] if person.any() else frame.reshape(-1, 3)
    # ITU-R 601 luma, as Pillow's mode L.
    gray = pixels @ np.array([0.299, 0.587, 0.114])
    return Exposure(float(np.percentile(gray, 95)), float((pixels.min(axis=1) >= _CLIPPED_LEVEL).mean()))
