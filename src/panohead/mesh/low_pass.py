"""Density without what is finer than the tri-grid can hold: no ridges from texel to texel, no tears at the crown."""

import numpy as np
from jaxtyping import Float32

_REACH = 20.0
"""Raw density beyond the level by this much says "inside" or "outside" and no more: twice the official level."""
_WIDTH = 0.6
"""Standard deviation of the Gaussian in texels: interpolation between texels gives ridges one texel apart, and at this
width 0.1 % of their amplitude is left, while lips and lids, several texels wide, stay."""
_TRUNCATED = 4.0


def low_passed(values: Float32[np.ndarray, "x y z"], level: float, texel: float) -> Float32[np.ndarray, "x y z"]:
    """Blur by 0.6 texels of the tri-grid; the surface is still where the result has ``level``.

    Where training has shown little from above, the density of a crown is haze around the level: its surface is torn
    into flakes by slits thinner than a texel, which the blur fills. Densities are cut off at +-20 around the level
    before, so that dense cores do not swell; a surface of curvature k moves inward by (0.6 texel)^2 k.

    Args:
        values: raw density at the nodes of a grid.
        level: density at the surface.
        texel: side of a texel in steps of the grid.

    Returns:
        Densities within +-20 of the level near the surface; ``values`` itself if blurring would leave no surface.
    """
    from scipy import ndimage  # here: whoever needs no mesh need not wait for scipy

    deviation = _WIDTH * texel
    margin = int(np.ceil(_TRUNCATED * deviation)) + 2
    box = _around(values > level, margin)
    if box is None:
        return values
    near = np.clip(values[box] - np.float32(level), -_REACH, _REACH)
    near = ndimage.gaussian_filter(near, deviation, mode="nearest", truncate=_TRUNCATED)
    if not near.max() > 0:
        return values
    result = values.copy()
    result[box] = near + np.float32(level)
    return result


def _around(inside: np.ndarray, margin: int) -> tuple[slice, ...] | None:
    """Return the box of all True nodes, grown by a margin; None where there are none."""
    box = []
    for axis in range(3):
        hits = np.flatnonzero(inside.any(axis=tuple(k for k in range(3) if k != axis)))
        if len(hits) == 0:
            return None
        box.append(slice(max(0, int(hits[0]) - margin), int(hits[-1]) + margin + 1))
    return tuple(box)
