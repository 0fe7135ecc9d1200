"""Triangle meshes and strands: the parts of a person before lighting."""

import enum
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from panohead.synthetic.fields import normalized


class Material(enum.IntEnum):
    """Kinds of surface reflection; the renderer keeps one row of constants for each."""

    SKIN = 0
    EYE = 1
    CLOTH = 2
    TEETH = 3
    FRAME = 4
    LENS = 5


@dataclass(frozen=True)
class Part:
    """One mesh. Vertices in decimeters of the head basis until ``build_head`` scales them; albedo linear RGB in [0, 1].

    ``soft_normals`` stand for light that scatters under skin; None where the surface has none. ``shadow_triangles`` are
    fewer triangles of the same surface that cast its shadow; None for all.
    """

    vertices: Float[np.ndarray, "vertex 3"]
    triangles: Int[np.ndarray, "triangle 3"]
    albedo: Float[np.ndarray, "vertex 3"]
    material: Material
    soft_normals: Float[np.ndarray, "vertex 3"] | None = None
    shadow_triangles: Int[np.ndarray, "shadow_triangle 3"] | None = None


@dataclass(frozen=True)
class Strands:
    """Hairs of one kind, root first. ``radius`` is the root's; ``kind`` one of hair, brow, beard, lash."""

    points: Float[np.ndarray, "strand point 3"]
    radius: float
    albedo: Float[np.ndarray, "strand 3"]
    kind: str

    def taper(self) -> Float[np.ndarray, "point"]:
        """Return the share of the root's radius at each point."""
        along = np.linspace(0, 1, self.points.shape[1])
        return np.minimum(1, (1.02 - along) * 4) * 0.75 + 0.25 * (1 - along)


def triangulate(quads: Int[np.ndarray, "quad 4"]) -> Int[np.ndarray, "triangle 3"]:
    """Return two triangles per quad, first halves first."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def compact(
    quads: Int[np.ndarray, "face corner"], vertices: Float[np.ndarray, "vertex 3"]
) -> tuple[Int[np.ndarray, "used"], Int[np.ndarray, "face corner"]]:
    """Return the indices of the vertices in use, and the faces renumbered to them."""
    is_used = np.zeros(len(vertices), bool)
    is_used[quads] = True
    used = np.flatnonzero(is_used)
    position = np.zeros(len(vertices), np.int64)
    position[used] = np.arange(len(used))
    return used, position[quads]


def vertex_normals(
    vertices: Float[np.ndarray, "vertex 3"], triangles: Int[np.ndarray, "triangle 3"]
) -> Float[np.ndarray, "vertex 3"]:
    """Return area-weighted unit normals."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for axis in range(3):
        weight = np.tile(face[:, axis], 3)
        total[:, axis] = np.bincount(triangles.T.ravel(), weight, len(vertices))
    return normalized(total)


def tube(
    path: Float[np.ndarray, "point 3"], radii: tuple[float, float], closed: bool, sides: int = 8
) -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "triangle 3"]]:
    """Return a tube of elliptic section along a path; ``radii`` across (in the x-y plane) and along z where the path
    lies flat."""
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    tangent = normalized(ahead)
    reference = np.where(np.abs(tangent[:, 2:3]) < 0.8, np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
    across = normalized(np.cross(tangent, reference))
    up = np.cross(across, tangent)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = radii[0] * np.cos(angle)[:, None] * across[:, None] + radii[1] * np.sin(angle)[:, None] * up[:, None]
    vertices = (path[:, None] + ring).reshape(-1, 3)
    count = len(path)
    first = np.arange(count if closed else count - 1)
    second = (first + 1) % count
    side = np.arange(sides)
    quads = np.stack(
        [
            first[:, None] * sides + side,
            second[:, None] * sides + side,
            second[:, None] * sides + (side + 1) % sides,
            first[:, None] * sides + (side + 1) % sides,
        ],
        -1,
    ).reshape(-1, 4)
    return vertices, triangulate(quads)
