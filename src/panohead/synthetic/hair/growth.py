"""All the hair of one person, kept inside the frame and under the hat."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from panohead.synthetic.hair.facial import beard, brows
from panohead.synthetic.hair.field import DistanceField, build_field
from panohead.synthetic.hair.scalp import HAIR_RADIUS, Scalp, strand_colors
from panohead.synthetic.hair.styles import STYLES
from panohead.synthetic.mesh import Strands
from panohead.synthetic.people import Person
from panohead.synthetic.regions import scalp_mask

# Borders of the official crop, in decimeters of the head frame; hair beyond is drawn back softly (``keep_in_frame``).
_AXIS_Z, _DEPTH_TO_WIDTH = 0.58, 1.12
_SOFT_RADIUS, _HARD_RADIUS = 1.08, 1.25
_SOFT_TOP, _HARD_TOP = 8.50, 8.80
# A dome over the head (its middle height, height and half-width, decimeters) that ends just outside the frame of
# edition 2, and the share of it from which hair is drawn back.
_DOME_MIDDLE, _DOME_HEIGHT, _DOME_RADIUS, _DOME_SOFT = 7.30, 1.42, 1.25, 0.86
_WITHOUT_FLYAWAYS = ("bald", "buzz", "afro", "locs", "braids")

Bound = Callable[[Float[np.ndarray, "strand point 3"]], Float[np.ndarray, "strand point 3"]]


def hairline_density(person: Person) -> Float[np.ndarray, "fine"]:
    """Return the density, [0, 1], of this person's hair on the fine body."""
    rng = person.stream("hairline")
    if person.hair_style == "receding":
        return scalp_mask(rng.uniform(0.5, 1.0), rng.uniform(0.3, 1.0))
    if person.hair_style == "bald":
        return scalp_mask(rng.uniform(0.3, 0.8))
    recede = rng.uniform(0, 0.4) * (1.0 if person.age > 30 else 0.3) if person.is_male else rng.uniform(0, 0.12)
    return scalp_mask(recede, 0.0, rng.uniform(-0.04, 0.05))


def grow_hair(
    person: Person,
    vertices: Float[np.ndarray, "fine 3"],
    normals: Float[np.ndarray, "fine 3"],
    density: Float[np.ndarray, "fine"],
    bound: Bound | None = None,
) -> tuple[list[Strands], DistanceField]:
    """Grow scalp hair, brows and beard, in decimeters of the head frame; ``bound`` (None: :func:`keep_in_frame`) draws
    back hair of the scalp."""
    bound = keep_in_frame if bound is None else bound
    rng = person.stream("hair")
    field = build_field(vertices, normals)
    part = rng.choice([-1, 1]) * rng.uniform(0.18, 0.42) if rng.random() < 0.6 else rng.normal() * 0.03
    scalp = Scalp(person, vertices, normals, density, field, rng, float(part))
    hair = []
    for strands in STYLES[person.hair_style](scalp):
        bounded = field.push_out(bound(strands), 0.012)
        hair.append(Strands(bounded, HAIR_RADIUS, strand_colors(person, len(bounded), rng), "hair"))
    if hair and person.hair_style not in _WITHOUT_FLYAWAYS:
        source = hair[0]
        chosen = rng.choice(len(source.points), len(source.points) // 60, replace=False)
        loose = source.points[chosen] + np.cumsum(rng.normal(size=source.points[chosen].shape) * 0.007, 1)
        hair.append(Strands(loose, HAIR_RADIUS * 0.5, source.albedo[chosen], "hair"))
    facial = [brows(scalp), beard(scalp)]
    return hair + [strands for strands in facial if strands is not None], field


def keep_in_frame(strands: Float[np.ndarray, "strand point 3"]) -> Float[np.ndarray, "strand point 3"]:
    """Draw back softly all points beyond the sides or the top of the official crop; the order along a strand stays."""
    out = strands.copy()
    x, z = strands[..., 0], (strands[..., 2] - _AXIS_Z) / _DEPTH_TO_WIDTH
    radius = np.hypot(x, z)
    share = _soft(radius, _SOFT_RADIUS, _HARD_RADIUS) / np.maximum(radius, 1e-9)
    out[..., 0] = x * share
    out[..., 2] = _AXIS_Z + z * share * _DEPTH_TO_WIDTH
    out[..., 1] = _soft(strands[..., 1], _SOFT_TOP, _HARD_TOP)
    return out


def keep_in_dome(strands: Float[np.ndarray, "strand point 3"]) -> Float[np.ndarray, "strand point 3"]:
    """Draw back hair of edition 2, whose smaller heads show their crowns: the bound is a half ellipsoid on a cylinder,
    so that big hair stays round."""
    out = strands.copy()
    x, z = strands[..., 0], (strands[..., 2] - _AXIS_Z) / _DEPTH_TO_WIDTH
    above = np.maximum(strands[..., 1] - _DOME_MIDDLE, 0)
    away = np.sqrt((x * x + z * z) / _DOME_RADIUS**2 + (above / _DOME_HEIGHT) ** 2)
    share = _soft(away, _DOME_SOFT, 1.0) / np.maximum(away, 1e-9)
    out[..., 0] = x * share
    out[..., 1] = strands[..., 1] - above * (1 - share)
    out[..., 2] = _AXIS_Z + z * share * _DEPTH_TO_WIDTH
    return out


def _soft(x: Float[np.ndarray, "*shape"], start: float, end: float) -> Float[np.ndarray, "*shape"]:
    """Return the identity up to ``start``, then an exponential approach to ``end``."""
    room = end - start
    return np.where(x > start, start + room * (1 - np.exp(-np.maximum(x - start, 0) / room)), x)
