"""Common start of every hair style: one person's scalp, parting, and colors of strands."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from panohead.synthetic.color import hair_albedo
from panohead.synthetic.fields import CosineNoise, normalized
from panohead.synthetic.hair.field import DistanceField
from panohead.synthetic.hair.strands import Roots, sample_roots
from panohead.synthetic.people import Person

StrandArray = Float[np.ndarray, "strand point 3"]
HEAD_CENTER = np.array([0.0, 7.55, 0.45])
HAIR_RADIUS = 0.0056  # decimeters: about eight times a real hair, so that twelve thousand cover a head
_WHITE = np.array([0.42, 0.41, 0.39])


@dataclass(frozen=True)
class Scalp:
    """One head, ready for hair. ``part`` is the x coordinate of the parting (decimeters)."""

    person: Person
    vertices: Float[np.ndarray, "fine 3"]
    normals: Float[np.ndarray, "fine 3"]
    density: Float[np.ndarray, "fine"]
    field: DistanceField
    rng: np.random.Generator
    part: float

    def roots(self, count: int) -> Roots:
        """Sample roots over the scalp."""
        return sample_roots(self.vertices, self.normals, self.density, count, self.rng)

    def side_of(self, roots: Roots) -> Float[np.ndarray, "strand"]:
        """Return +1 or -1: the side of the parting that each strand falls to."""
        return np.where(roots.neutral[:, 0] - self.part >= 0, 1.0, -1.0)

    def wander(self, points: Float[np.ndarray, "strand 3"]) -> Float[np.ndarray, "strand 3"]:
        """Evaluate a smooth random vector field with unit variance per component."""
        return np.stack([CosineNoise(self.rng, 2.2)(points) for _ in range(3)], -1)


def along_skin(
    vectors: Float[np.ndarray, "strand 3"], normals: Float[np.ndarray, "strand 3"]
) -> Float[np.ndarray, "strand 3"]:
    """Project vectors onto the tangent plane and normalize them."""
    return normalized(vectors - (vectors * normals).sum(-1, keepdims=True) * normals)


def strand_colors(
    person: Person, count: int, rng: np.random.Generator, darker: float = 0.0, dyed: bool = True, greying: float = 1.0
) -> Float[np.ndarray, "strand 3"]:
    """Return the albedo of each strand. Gray is mixed into every strand by a varying share: strands are thicker than
    real hair, and a strict mixture of white and dark ones would resemble salt and pepper."""
    melanin = np.clip(person.hair_melanin + darker + rng.normal(size=count) * 0.04, 0.02, 1.3)
    color = hair_albedo(melanin, np.full(count, person.hair_red))
    if person.dye is not None and dyed:
        color = color * 0.3 + 0.7 * np.array(person.dye) * rng.uniform(0.75, 1.1, (count, 1))
    if person.grey > 0:
        share = np.clip(greying * person.grey + rng.normal(size=(count, 1)) * 0.22 * (1.2 - person.grey), 0, 1) ** 1.3
        color = color * (1 - share) + share * _WHITE * rng.uniform(0.85, 1.08, (count, 1))
    return np.clip(color, 0.003, 0.9)
