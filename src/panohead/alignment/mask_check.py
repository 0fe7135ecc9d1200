"""Measurements of a mask that tell whether it is one person: the share it covers, and its separate pieces."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

_MIN_PIECE = 0.01
"""Share of the frame below which a piece does not count."""


@dataclass(frozen=True)
class MaskFacts:
    """Measurements of one mask.

    Attributes:
        coverage: mean of the mask, the share of the frame that is person.
        pieces: number of separate pieces of at least 1 % of the frame.
        largest: share of the person that the largest piece holds.
        soft: share of pixels between 0.05 and 0.95.
    """

    coverage: float
    pieces: int
    largest: float
    soft: float


def examine_mask(mask: Float[np.ndarray, "height width"]) -> MaskFacts:
    """Measure a mask with values of 0 to 1."""
    solid = mask > 0.5
    pieces, count = ndimage.label(solid)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    total = int(sizes.sum())
    return MaskFacts(
        coverage=float(mask.mean()),
        pieces=int(np.sum(sizes >= _MIN_PIECE * mask.size)),
        largest=float(sizes.max() / total) if total else 0.0,
        soft=float(np.mean((mask > 0.05) & (mask < 0.95))),
    )
