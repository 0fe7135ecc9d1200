"""Choice of the head that is meant in a photo, and sentences for the user on what was chosen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from panohead.alignment.head_alignment import Alignment

_CENTRALITY = 0.3
"""Share by which a head in the corner counts less than one in the middle; its area counts in full."""
MIN_CONFIDENCE = 0.15
"""Confidence below which a head is a guess: an outline without a face or a body, or landmarks that fit no face."""
TURNED_FROM_DEG = 60.0
"""Tilt from which the photo, and not the head, is taken to be turned."""


def by_prominence(found: "Sequence[Alignment]", shape: tuple[int, ...]) -> "list[Alignment]":
    """Sort heads, the most prominent first: by area, a little by how central they are; doubtful ones come last.

    A head number N, as users choose it, is the N-th of this order.
    """
    largest = max((one.crop.half_px for one in found), default=0.0)
    middle = np.array([shape[1], shape[0]]) / 2

    def rank(one: "Alignment") -> tuple[bool, float]:
        # 0 in the middle, 1 in a corner.
        away = float(np.hypot(*(np.array(one.crop.center) - middle)) / np.hypot(*middle))
        area = (one.crop.half_px / largest) ** 2
        return one.confidence < MIN_CONFIDENCE, -area * (1.0 - _CENTRALITY * min(away, 1.0))

    return sorted(found, key=rank)


def note_on_choice(found: "Sequence[Alignment]", number: int, shape: tuple[int, ...]) -> str:
    """Return a sentence on the head that was taken of several, and how to take another; empty for a single one.

    Args:
        found: the heads in the order of :func:`by_prominence`.
        number: the head that was taken, from 1.
        shape: height and width of the photo.
    """
    if len(found) < 2:
        return ""
    crop = found[number - 1].crop
    third = min(2, max(0, int(3 * crop.center[0] / shape[1])))
    place = ("on the left", "in the middle", "on the right")[third]
    others = [str(i) for i in range(1, len(found) + 1) if i != number]
    listed = others[0] if len(others) == 1 else f"{', '.join(others[:-1])} or {others[-1]}"
    why = ", the most prominent" if number == 1 else ""
    return (
        f"{len(found)} heads were found; number {number}{why} is taken (its crop is {2 * crop.half_px:.0f} pixels "
        f"wide, {place}). --head {listed} takes another, as does a box in --poses."
    )


def note_on_turn(alignment: "Alignment") -> str:
    """Return a sentence on a photo that shows its head lying or upside down; empty for an upright one."""
    angle = alignment.crop.angle_deg
    angle = (angle + 180.0) % 360.0 - 180.0
    if alignment.kind == "given" or abs(angle) < TURNED_FROM_DEG:
        return ""
    how = "upside down" if abs(angle) > 180.0 - TURNED_FROM_DEG else "lying on its side"
    return f"The photo shows the head {how} (tilted by {angle:.0f} degrees); it was turned upright."
