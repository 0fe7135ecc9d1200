"""Regions where hair grows: scalp, beard and brows as functions of the neutral head's coordinates (decimeters)."""

import numpy as np
from jaxtyping import Float

from panohead.synthetic.basis import head_basis
from panohead.synthetic.fields import smoothstep

# Hairline height against azimuth from the front (degrees), and the shift of a receding hairline.
_AZIMUTH = [0, 14, 28, 40, 55, 66, 78, 90, 104, 120, 140, 180]
_HAIRLINE = [8.10, 8.09, 8.0, 7.93, 7.72, 7.35, 7.12, 7.38, 7.1, 6.85, 6.7, 6.62]
_RECEDING = ([0, 12, 30, 48, 60, 75], [0.15, 0.3, 0.55, 0.42, 0.15, 0.0])


def azimuth_deg() -> Float[np.ndarray, "fine"]:
    """Return the angle from the front around the skull's axis, 0 to 180, of each fine neutral vertex."""
    neutral = head_basis().neutral
    return np.degrees(np.arctan2(np.abs(neutral[:, 0]), neutral[:, 2] - 0.5))


def hairline() -> Float[np.ndarray, "fine"]:
    """Return the height of the natural hairline at each vertex's azimuth."""
    return np.interp(azimuth_deg(), _AZIMUTH, _HAIRLINE)


def scalp_mask(recede: float = 0.0, crown: float = 0.0, lift: float = 0.0) -> Float[np.ndarray, "fine"]:
    """Return hair density in [0, 1]: ``recede`` moves the temples back, ``crown`` thins, ``lift`` raises all."""
    basis = head_basis()
    line = hairline() + recede * np.interp(azimuth_deg(), *_RECEDING) + lift
    mask = smoothstep(-0.03, 0.05, basis.neutral[:, 1] - line)
    mask = mask * (basis.masks["ears"] <= 0.3) * (basis.neutral[:, 1] > 6.5)
    if crown > 0:
        distance = np.linalg.norm((basis.neutral - [0, 8.38, 0.25]) / [0.62, 0.35, 0.72], axis=1)
        mask = mask * smoothstep(0.75 * crown, 1.15 * crown, distance)
    return mask


def beard_mask(kind: str) -> Float[np.ndarray, "fine"]:
    """Return the density in [0, 1] of a ``full`` beard, a ``goatee`` or a ``moustache``."""
    basis = head_basis()
    x, y, z = np.abs(basis.neutral[:, 0]), basis.neutral[:, 1], basis.neutral[:, 2]
    upper = np.interp(z, [0.6, 0.8, 1.1, 1.4, 1.6], [7.1, 7.0, 6.82, 6.74, 6.72])
    chin = smoothstep(0.06, -0.06, y - upper) * smoothstep(0.55, 0.72, z)
    chin = chin * smoothstep(5.9, 6.2, y + 0.25 * np.clip(z - 1.0, -0.2, 0.6))
    moustache = smoothstep(0.36, 0.28, x) * smoothstep(6.64, 6.67, y) * smoothstep(6.86, 6.80, y)
    moustache = moustache * smoothstep(1.42, 1.48, z)
    if kind == "goatee":
        chin = chin * smoothstep(0.36, 0.28, x)
    elif kind == "moustache":
        chin = chin * 0
    bare = (basis.masks["lips"] > 0.15) | (basis.masks["inside-mouth"] >= 0.3) | (basis.masks["ears"] >= 0.3)
    off_nose = smoothstep(1.72, 1.64, z + (y - 6.8) * 0.5)
    return np.maximum(chin, moustache) * ~bare * off_nose


def brow_mask(thickness: float = 1.0) -> Float[np.ndarray, "fine"]:
    """Return the density in [0, 1] of the brows; thickness 1 is average."""
    neutral = head_basis().neutral
    x, y, z = np.abs(neutral[:, 0]), neutral[:, 1], neutral[:, 2]
    along = (x - 0.12) / 0.44
    inside = np.clip(along, 0, 1)
    center = 7.495 + 0.075 * np.sin(inside * 2.4) - 0.035 * inside
    half = 0.038 * (1 - 0.6 * inside) * thickness
    return (
        smoothstep(1.15, 0.6, np.abs(y - center) / half)
        * smoothstep(-0.03, 0.06, along)
        * smoothstep(1.06, 0.92, along)
        * (z > 0.9)
    )
