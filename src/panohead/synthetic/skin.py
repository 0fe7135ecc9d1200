"""Skin color per vertex: pigment fields over the neutral head, then makeup, stubble and hair roots."""

import numpy as np
from jaxtyping import Float

from panohead.synthetic.basis import head_basis
from panohead.synthetic.color import hair_albedo, skin_albedo
from panohead.synthetic.fields import CosineNoise, blob, smoothstep
from panohead.synthetic.people import Person
from panohead.synthetic.regions import beard_mask

_SCALP_TINT = {"bald": 0.10, "buzz": 0.5, "receding": 0.35, "braids": 0.25, "locs": 0.35}
_MOUTH_INSIDE = np.array([0.30, 0.07, 0.06])


def skin_color(person: Person, scalp: Float[np.ndarray, "fine"]) -> Float[np.ndarray, "fine 3"]:
    """Return linear RGB albedo of the fine body; ``scalp`` is the hair density, under which hair tints the skin."""
    basis, rng = head_basis(), person.stream("skin")
    points, masks = basis.neutral, basis.masks
    broad, middle, small = (CosineNoise(rng, f, n)(points) for f, n in ((3.0, 24), (9.0, 24), (40.0, 40)))
    haemoglobin = person.haemoglobin + 0.10 * broad + 0.06 * middle
    haemoglobin += 0.40 * blob(points, (0.45, 6.95, 1.35), (0.22, 0.2, 0.3))  # cheeks
    haemoglobin += 0.45 * blob(points, (0, 6.95, 1.65), (0.17, 0.14, 0.2))  # tip of the nose
    haemoglobin += 0.20 * blob(points, (0, 6.35, 1.45), (0.2, 0.15, 0.2)) + 0.35 * masks["ears"]
    haemoglobin += 0.25 * blob(points, (0.3, 7.2, 1.35), (0.22, 0.12, 0.2))
    melanin = person.melanin * (1 + 0.06 * broad + 0.04 * middle + 0.03 * small)
    under_eye = 0.10 * (1 + person.age / 60)
    melanin += under_eye * blob(points, (0.3, 7.14, 1.35), (0.16, 0.06, 0.2))
    melanin += 0.06 * blob(points, (0, 7.9, 1.4), (0.6, 0.3, 0.3))
    if person.freckles and person.melanin < 0.9:
        spots = smoothstep(1.1, 2.2, CosineNoise(rng, 55.0, 60)(points))
        melanin += person.freckles * spots * blob(points, (0.3, 7.0, 1.4), (0.45, 0.3, 0.5))
    if person.age > 50:
        spots = smoothstep(1.5, 2.4, CosineNoise(rng, 22.0, 60)(points))
        melanin += 0.12 * min(1.0, (person.age - 50) / 20) * spots
    lips = masks["lips"]
    melanin += lips * (0.08 + 0.12 * person.melanin)
    haemoglobin += lips * (rng.uniform(0.45, 0.95) + person.lipstick)
    color = skin_albedo(np.maximum(melanin, 0.02), np.maximum(haemoglobin, 0.0))
    inside = masks["inside-mouth"][:, None]
    color = color * (1 - inside) + inside * _MOUTH_INSIDE
    if person.lipstick and rng.random() < 0.5:  # eye shadow
        color = color * (1 - 0.4 * blob(points, (0.3, 7.34, 1.4), (0.14, 0.05, 0.3))[:, None])
    return _shadow_of_hair(person, color, scalp, small)


def _shadow_of_hair(
    person: Person,
    color: Float[np.ndarray, "fine 3"],
    scalp: Float[np.ndarray, "fine"],
    small: Float[np.ndarray, "fine"],
) -> Float[np.ndarray, "fine 3"]:
    """Return the color with stubble, the shade of a shaven chin, and the tint of hair roots on the scalp."""
    hair = hair_albedo(np.array(person.hair_melanin), np.array(person.hair_red * 0.5))
    hair = hair * (1 - 0.5 * person.grey) + 0.2 * 0.5 * person.grey
    amount, shade = np.zeros(len(color)), hair * 0.6
    if person.beard != "none":
        kind = "full" if person.beard in ("stubble", "short") else person.beard
        amount = np.clip(beard_mask(kind) * (0.45 + 0.04 * small), 0, 0.7) * (
            0.75 if person.beard == "stubble" else 0.9
        )
    elif person.is_male and person.age >= 18:
        amount, shade = beard_mask("full") * 0.10, hair * 0.5 + 0.03
    color = color * (1 - amount[:, None]) + amount[:, None] * (shade + 0.15 * color)
    tint = (scalp * _SCALP_TINT.get(person.hair_style, 0.6))[:, None]
    return np.clip(color * (1 - tint) + tint * hair * 0.8, 0.002, 1.0)
