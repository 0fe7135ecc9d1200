"""Beanies, skullcaps, wraps and headscarves: the head above a line, smoothed, lifted and closed at its edge."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from panohead.synthetic.basis import head_basis
from panohead.synthetic.fields import CosineNoise, smoothstep
from panohead.synthetic.hair.field import DistanceField
from panohead.synthetic.mesh import Material, Part, compact, triangulate
from panohead.synthetic.outfit.clothes import fabric_color, smoothed_surface
from panohead.synthetic.outfit.headscarf import headscarf
from panohead.synthetic.people import Person

# Height of the edge (decimeters of the neutral head) against azimuth from the front (degrees), and the lift off the
# skin.
_EDGES = {
    "beanie": ([0, 40, 90, 130, 180], [7.92, 7.85, 7.45, 7.0, 6.85]),
    "skullcap": ([0, 60, 110, 180], [8.12, 8.02, 7.85, 7.6]),
    "wrap": ([0, 40, 75, 110, 180], [7.95, 7.9, 7.55, 7.1, 6.95]),
}
_LIFT = {"beanie": 0.085, "skullcap": 0.06, "wrap": 0.11}
_TUCKED = 0.035  # maximum distance of hair under a hat from the skin, decimeters


@dataclass(frozen=True)
class Headwear:
    """Mesh of something worn on the head, and the data to tuck hair under it. ``covers`` marks the hidden fine vertices
    of skin."""

    kind: str
    part: Part
    covers: Bool[np.ndarray, "fine"]

    def tuck(
        self, strands: Float[np.ndarray, "strand point 3"], field: DistanceField
    ) -> Float[np.ndarray, "strand point 3"]:
        """Press strands to the head above the edge; they are free again below it."""
        points = strands.reshape(-1, 3)
        above = points[:, 1] - _edge_height(self.kind, points)
        distance, gradient = field(points)
        allowed = _TUCKED + 1.2 * np.maximum(0.06 - above, 0)
        pressed = points - gradient * np.maximum(distance - allowed, 0)[:, None]
        return pressed.reshape(strands.shape)


def hides_all_hair(person: Person) -> bool:
    """Return True under a headscarf."""
    return person.headwear == "headscarf"


def headwear(
    person: Person, skin: Float[np.ndarray, "fine 3"], normals: Float[np.ndarray, "fine 3"]
) -> Headwear | None:
    """Return the headwear of this person, None for nothing."""
    kind = person.headwear
    if kind == "none":
        return None
    basis, rng = head_basis(), person.stream("headwear")
    inside = _inside(kind)
    if kind == "headscarf":
        cloth, triangles = headscarf(skin, rng)
        return Headwear(kind, Part(cloth, triangles, fabric_color(cloth, rng), Material.CLOTH), inside > 0.2)
    used, quads = compact(basis.fine_quads[inside[basis.fine_quads].min(1) > 0], skin)
    neutral, normal, depth = basis.neutral[used], normals[used], inside[used]
    smooth = smoothed_surface(skin[used], quads, 40)
    sunk = np.maximum(((skin[used] - smooth) * normal).sum(1), 0)
    closing = smoothstep(0.0, 0.07, depth)
    lift = _LIFT[kind] * (1 + 0.2 * rng.uniform(-1, 1))
    relief = _relief(kind, neutral, depth, rng)
    vertices = smooth + normal * (sunk + 0.012 + closing * (lift + relief))[:, None]
    vertices = smoothed_surface(vertices, quads, 3)
    return Headwear(kind, Part(vertices, triangulate(quads), _color(kind, neutral, rng), Material.CLOTH), inside > 0.12)


def _edge_height(kind: str, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point"]:
    azimuth = np.degrees(np.arctan2(np.abs(points[:, 0]), points[:, 2] - 0.4))
    return np.interp(azimuth, *_EDGES[kind])


def _inside(kind: str) -> Float[np.ndarray, "fine"]:
    """Return how far inside the edge each fine vertex lies, decimeters; negative outside."""
    neutral = head_basis().neutral
    if kind != "headscarf":
        return neutral[:, 1] - _edge_height(kind, neutral)
    x, y, z = np.abs(neutral[:, 0]), neutral[:, 1], neutral[:, 2]
    opening = np.maximum((np.hypot(x / 0.64, (y - 7.08) / 0.90) - 1) * 0.64, 0.45 - z)
    return np.minimum(opening, y - 5.15)


def _relief(
    kind: str, neutral: Float[np.ndarray, "vertex 3"], depth: Float[np.ndarray, "vertex"], rng: np.random.Generator
) -> Float[np.ndarray, "vertex"]:
    """Return the relief of a folded rim, wound cloth, or loose folds; decimeters."""
    x, y, z = neutral.T
    if kind == "beanie":
        fold = rng.uniform(0.3, 0.42) if rng.random() < 0.7 else 0.0
        return 0.035 * smoothstep(fold + 0.04, fold, depth) * (fold > 0) + 0.05 * smoothstep(8.1, 8.6, y)
    if kind == "wrap":
        winding = np.sin(14 * (y + 0.28 * x * rng.choice([-1, 1]) - 0.3 * z) + 1.5 * CosineNoise(rng, 1.5)(neutral))
        return 0.035 * winding + 0.10 * smoothstep(7.7, 8.4, y)
    return np.zeros(len(neutral))


def _color(
    kind: str, neutral: Float[np.ndarray, "vertex 3"], rng: np.random.Generator
) -> Float[np.ndarray, "vertex 3"]:
    if kind != "beanie":
        return fabric_color(neutral, rng)
    around = np.arctan2(neutral[:, 0], neutral[:, 2] - 0.4)
    ribs = 1 + 0.22 * np.cos(around * 48)
    base = rng.uniform(0.02, 0.5, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0.02, 0.4))
    return np.clip(base * ribs[:, None], 0.004, 0.8)
