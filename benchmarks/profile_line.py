"""The line from forehead to chin in profile: where a beak, a sunken nose or a missing chin shows."""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import RADIUS
from panohead.geometry.camera import default_intrinsics
from panohead.mesh.export import METERS_PER_WORLD_UNIT

ROWS = (0.28, 0.75)
"""Rows of the official frame between forehead and chin, as shares of the side."""


def profile_line(mask: Float[Tensor, "side side"], yaw_deg: float) -> Float[Tensor, " side"]:
    """Return the column of the foremost edge of a profile in every row, in pixels; NaN where there is no head.

    Args:
        mask: share of the head in every pixel, 0 to 1.
        yaw_deg: 90 (the face looks to the left in the image) or -90.
    """
    seen = mask if yaw_deg > 0 else mask.flip(-1)
    line = torch.full((len(seen),), float("nan"))
    for row, shares in enumerate(seen):
        inside = (shares > 0.5).nonzero()
        if not len(inside):
            continue
        first = int(inside[0])
        before, at = float(shares[first - 1]) if first else 0.0, float(shares[first])
        line[row] = first - (at - 0.5) / max(at - before, 1e-6)
    return line


def profile_error_mm(found: Float[Tensor, "side side"], wanted: Float[Tensor, "side side"], yaw_deg: float) -> float:
    """Return the mean distance of the lines of two profiles in millimeters; NaN for other views than 90 and -90."""
    if abs(yaw_deg) != 90:
        return float("nan")
    side = len(found)
    rows = slice(round(ROWS[0] * side), round(ROWS[1] * side))
    away = (profile_line(found, yaw_deg) - profile_line(wanted, yaw_deg))[rows].abs()
    pixel = RADIUS / float(default_intrinsics()[0, 0]) / side * METERS_PER_WORLD_UNIT * 1000  # at the head's distance
    return float(away.nanmean()) * pixel
