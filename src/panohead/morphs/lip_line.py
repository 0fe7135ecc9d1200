"""The line where the lips of a fitted basis meet, and on which side of it a point lies."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from panohead.morphs.base_fit import FittedBase, expression_offsets
from panohead.synthetic.basis import head_basis

_BINS = 25
_SIDE = 0.3
"""Decimeters by which the two lips are kept apart when nearest points are looked for."""
_HIGH, _DEEP = 0.35, 0.35
"""Decimeters above, below and behind the line up to which sides count."""


@dataclass(frozen=True)
class LipLine:
    """The closed mouth's line from one corner to the other, decimeters of the head frame.

    Attributes:
        x, y, z: points from the right corner to the left one.
    """

    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, " point"]
    z: Float[np.ndarray, " point"]

    def height(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " point"]:
        """Return the height above the line, which is level beyond the corners."""
        above: Float[np.ndarray, " point"] = points[:, 1] - np.interp(points[:, 0], self.x, self.y)
        return above

    def opening(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " point"]:
        """Return the distance from the nearer corner along x; above 0 between the corners."""
        inner: Float[np.ndarray, " point"] = np.minimum(points[:, 0] - self.x[0], self.x[-1] - points[:, 0])
        return inner

    def near(self, points: Float[np.ndarray, "point 3"], margin: float = 0.1) -> Bool[np.ndarray, " point"]:
        """Return which points lie around the line: within ``margin`` of the corners, and not far behind."""
        depth = points[:, 2] - np.interp(points[:, 0], self.x, self.z)
        close: Bool[np.ndarray, " point"] = (self.opening(points) > -margin) & (np.abs(self.height(points)) < _HIGH)
        return close & (np.abs(depth) < _DEEP)

    def side(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " point"]:
        """Return a fourth coordinate in decimeters: above 0 on the upper lip, below on the lower, 0 far from both."""
        return self._strength(points) * np.where(self.height(points) > 0, 1.0, -1.0)

    def side_of_basis(self, base: FittedBase, places: Int[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
        """Return the same for fine vertices of the basis, by the lip that they belong to: closed lips may overlap."""
        return self._strength(base.fine[places]) * np.where(_below()[places], -1.0, 1.0)

    def _strength(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " point"]:
        fade = np.clip(1 - (np.abs(self.height(points)) - 0.1) / (_HIGH - 0.1), 0, 1)
        return np.where(self.near(points), _SIDE * fade * np.clip(self.opening(points) / 0.06, 0, 1), 0.0)


def lip_line(base: FittedBase) -> LipLine:
    """Return the line of a fitted basis: the middle between the rims of both lips where the mouth's inside begins."""
    rim, below = _rim(), _below()[_rim()]
    places = base.fine[rim]
    left, right = places[:, 0].min(), places[:, 0].max()
    centers = np.linspace(left + 0.01, right - 0.01, _BINS)
    width = (right - left) / _BINS
    y, z = np.empty(_BINS), np.empty(_BINS)
    for i, center in enumerate(centers):
        near = np.abs(places[:, 0] - center) < width
        lips = [places[near & chosen] for chosen in (below, ~below) if (near & chosen).any()]
        y[i], z[i] = np.mean([lip[:, 1:].mean(axis=0) for lip in lips], axis=0)
    return LipLine(centers, y, z)


@lru_cache(maxsize=1)
def _rim() -> Int[np.ndarray, " rim"]:
    """Return the fine vertices of the lips that touch the mouth's inside."""
    basis = head_basis()
    inside = basis.masks["inside-mouth"] > 0.5
    faces = basis.fine_triangles
    count = inside[faces].sum(axis=1)
    rim = np.unique(faces[(count > 0) & (count < 3)])
    return rim[~inside[rim] & (basis.neutral[rim, 2] > 1.2)]


@lru_cache(maxsize=1)
def _below() -> Bool[np.ndarray, "fine"]:
    """Return which fine vertices follow the jaw: more than the middle of both lips' rims at the same distance from the
    middle of the mouth."""
    basis, rim = head_basis(), _rim()
    drop = -(basis.subdivide(expression_offsets("jawOpen"))[:, 1])
    across, x = np.abs(basis.neutral[:, 0]), np.abs(basis.neutral[rim, 0])
    centers = np.linspace(0.0, float(x.max()), 12)
    width = centers[1]
    middle = [(drop[rim[np.abs(x - c) < width]].min() + drop[rim[np.abs(x - c) < width]].max()) / 2 for c in centers]
    follows: Bool[np.ndarray, fine] = drop > np.interp(across, centers, middle)
    return follows
