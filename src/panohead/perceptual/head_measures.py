"""Figures from answers of the network that knows heads: open eyes, agreement of parts, error of landmarks."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.perceptual.head_parts import HeadPartsConfig, HeadReading

LIKENESS_PARTS = ("hair", "brows", "beard", "glasses")
"""Parts by which people recognize each other beside the face itself: hairline, brows, beard and glasses."""
_IRIS_REACH, _IRIS_PIXELS = 5.0, 2
"""Pixels around a landmark of an iris, and how many of them must be iris."""
_SEEN_PIXELS = 8
"""A part of fewer pixels in both images counts as in neither."""


def open_eyes(reading: HeadReading, config: HeadPartsConfig) -> Bool[Tensor, "image"]:
    """Return True where both eyes are open: each iris' landmark is visible and pixels around it are iris.

    Raises:
        PanoHeadError: when the network knows no irises.
    """
    names, iris = config.landmarks, _numbers(config.parts, ("iris",))[0]
    rows = torch.arange(reading.parts.shape[-2]) + 0.5
    columns = torch.arange(reading.parts.shape[-1]) + 0.5
    is_iris = reading.parts == iris
    found = torch.ones(len(is_iris), dtype=torch.bool)
    for point in _numbers(names, ("iris_left", "iris_right")):
        place = reading.landmarks[:, point]
        away = (rows[None, :, None] - place[:, 1, None, None]) ** 2 + (columns - place[:, 0, None, None]) ** 2
        seen = (is_iris & (away <= _IRIS_REACH**2)).sum(dim=(1, 2))
        found &= (reading.visible[:, point] > 0) & (seen >= _IRIS_PIXELS)
    return found


def part_overlap(
    found: Int64[Tensor, "image height width"],
    truth: Int64[Tensor, "image height width"],
    config: HeadPartsConfig,
    parts: Sequence[str] = LIKENESS_PARTS,
) -> dict[str, Float[Tensor, "image"]]:
    """Return the intersection over union of each part by its name; NaN where neither image has it.

    Args:
        found, truth: part maps.
        parts: names of the parts.

    Raises:
        PanoHeadError: for a part that the network does not know.
    """
    overlaps = {}
    for name, number in zip(parts, _numbers(config.parts, parts), strict=True):
        both = ((found == number) & (truth == number)).sum(dim=(1, 2)).float()
        either = ((found == number) | (truth == number)).sum(dim=(1, 2)).float()
        overlaps[name] = torch.where(either < _SEEN_PIXELS, torch.nan, both / either.clamp_min(1))
    return overlaps


def landmark_error(reading: HeadReading, landmarks: Float[Tensor, "image landmark 3"]) -> Float[Tensor, "image"]:
    """Return the mean distance from true landmarks (column, row, visible) over those that are visible, in pixels of a
    128-pixel image; NaN where none is."""
    visible = landmarks[..., 2] > 0.5
    distance = (reading.landmarks - landmarks[..., :2]).norm(dim=2)
    count = visible.sum(dim=1)
    return torch.where(count > 0, (distance * visible).sum(dim=1) / count.clamp_min(1), torch.nan)


def _numbers(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    for name in wanted:
        if name not in known:
            raise PanoHeadError(f"this network does not know {name!r}; it knows {', '.join(known)}")
    return [known.index(name) for name in wanted]
