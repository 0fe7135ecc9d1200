"""Eyeballs with a corneal bulge, painted irises and gaze; teeth and tongue; eyelashes as strands."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from panohead.synthetic.basis import head_basis
from panohead.synthetic.fields import CosineNoise, smoothstep
from panohead.synthetic.mesh import Material, Part, Strands, compact, triangulate
from panohead.synthetic.people import Person

IRIS_COLORS = {
    "brown": (0.10, 0.042, 0.018), "blue": (0.16, 0.28, 0.42), "green": (0.14, 0.20, 0.09),
    "hazel": (0.20, 0.12, 0.045), "grey": (0.22, 0.25, 0.27),
}  # fmt: skip
"""Linear RGB of irises by name."""
_MOUTH = {
    "helper-upper-teeth": (0.70, 0.65, 0.55),
    "helper-lower-teeth": (0.66, 0.61, 0.52),
    "helper-tongue": (0.42, 0.14, 0.13),
}
_AROUND = 48
_IRIS_ANGLE = 0.53  # radians from the pole to the rim of the iris
_FROM_POLE = np.concatenate([np.linspace(0, 0.62, 22), np.linspace(0.66, np.pi, 14)])  # dense over cornea and iris


def eye_and_mouth_parts(person: Person, coarse: Float[np.ndarray, "vertex 3"]) -> list[Part]:
    """Return meshes of two eyeballs, upper and lower teeth, and tongue (decimeters)."""
    basis, rng = head_basis(), person.stream("eyes")
    parts = []
    for side, converge in (("l", -0.04), ("r", 0.04)):
        shell = coarse[np.unique(basis.helpers[f"helper-{side}-eye"])]
        center = (shell.max(0) + shell.min(0)) / 2
        radius = 0.985 * float(np.median(np.linalg.norm(shell - center, axis=1)))
        parts.append(_eyeball(center, radius, (person.gaze[0] + converge, person.gaze[1]), person.iris, rng))
    for name, color in _MOUTH.items():
        used, quads = compact(basis.helpers[name], coarse)
        parts.append(Part(coarse[used], triangulate(quads), np.tile(color, (len(used), 1)), Material.TEETH))
    return parts


def _eyeball(
    center: Float[np.ndarray, "3"], radius: float, gaze: tuple[float, float], iris: str, rng: np.random.Generator
) -> Part:
    """Return a sphere whose pole points along the gaze; the cornea bulges by 7.5% of the radius inside .55 rad."""
    polar, around = np.meshgrid(_FROM_POLE, np.linspace(0, 2 * np.pi, _AROUND, endpoint=False), indexing="ij")
    bulge = 1 + 0.075 * smoothstep(0.55, 0.0, polar)
    shape = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1)
    shape = (shape * bulge[..., None]).reshape(-1, 3)
    cy, sy, cp, sp = np.cos(gaze[0]), np.sin(gaze[0]), np.cos(gaze[1]), np.sin(gaze[1])
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    color = eye_color(polar, around, np.array(IRIS_COLORS[iris]) * rng.uniform(0.7, 1.3), rng)
    return Part(shape @ turn.T * radius + center, grid_triangles(len(_FROM_POLE), _AROUND), color, Material.EYE)


def iris_vertices() -> Bool[np.ndarray, "vertex"]:
    """Return which vertices of an eyeball lie in iris or pupil."""
    return np.repeat(_FROM_POLE <= _IRIS_ANGLE, _AROUND)


def grid_triangles(rows: int, columns: int) -> Int[np.ndarray, "triangle 3"]:
    """Return the triangles of rows of vertices, each closed to a ring."""
    column = np.arange(columns)
    first = np.arange(rows - 1)[:, None] * columns
    ahead = (column + 1) % columns
    corners = [first + column, first + columns + column, first + columns + ahead, first + ahead]
    return triangulate(np.stack(np.broadcast_arrays(*corners), -1).reshape(-1, 4))


def eye_color(
    polar: Float[np.ndarray, "row column"],
    around: Float[np.ndarray, "row column"],
    iris: Float[np.ndarray, "3"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "vertex 3"]:
    """Return linear RGB of an eyeball at angles in radians from the pole and around it; ``iris`` is linear RGB."""
    ring = np.stack([np.cos(around), np.sin(around)], -1).reshape(-1, 2) * 2
    fibers = CosineNoise(rng, 14.0, 40, 2)(ring).reshape(polar.shape)
    white = np.array([0.74, 0.69, 0.66]) - np.array([0.02, 0.14, 0.14]) * smoothstep(0.6, 1.3, polar)[..., None]
    colored = iris * np.clip(1 + 0.3 * fibers, 0.2, 2)[..., None] * (1 - 0.55 * smoothstep(0.36, 0.5, polar))[..., None]
    colored = colored * (1 + 0.5 * smoothstep(0.35, 0.2, polar))[..., None]
    in_iris = smoothstep(_IRIS_ANGLE, 0.48, polar)[..., None]
    color = white * (1 - in_iris) + colored * in_iris
    pupil = smoothstep(0.235, 0.205, polar)[..., None]
    return (color * (1 - pupil) + 0.004 * pupil).reshape(-1, 3)


def lash_edges(
    coarse: Float[np.ndarray, "vertex 3"], skin: Float[np.ndarray, "point 3"]
) -> list[tuple[int, Int[np.ndarray, "_ 2"]]]:
    """Return the places of lashes: for each lid their number and the edges (coarse vertices, root first) of the helper
    meshes that lead away from the skin."""
    basis = head_basis()
    tree = cKDTree(skin)
    lids = []
    for name in sorted(basis.helpers):
        if "eyelashes" not in name:
            continue
        used, quads = compact(basis.helpers[name], coarse)
        away, _ = tree.query(coarse[used])
        edges = np.unique(np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1), axis=0)
        edges = np.where((away[edges[:, :1]] > away[edges[:, 1:]]), edges[:, ::-1], edges)
        edges = edges[away[edges[:, 1]] - away[edges[:, 0]] > 0.012]
        lids.append((52 if name.endswith("1") else 30, used[edges]))  # upper lid, lower lid
    return lids


def eyelashes(
    person: Person, coarse: Float[np.ndarray, "vertex 3"], lids: list[tuple[int, Int[np.ndarray, "_ 2"]]]
) -> Strands | None:
    """Grow lashes along edges found by :func:`lash_edges`, which may be of another expression; None without edges."""
    rng = person.stream("lashes")
    strands = []
    for count, edges in lids:
        if len(edges) == 0:
            continue
        pick = edges[rng.integers(len(edges), size=count)]
        root = coarse[pick[:, 0]] + rng.normal(size=(count, 3)) * 0.006
        tip = coarse[pick[:, 1]] + rng.normal(size=(count, 3)) * 0.012
        along = np.linspace(0, 1, 4)[None, :, None]
        strands.append(root[:, None] * (1 - along) + tip[:, None] * along)
    if not strands:
        return None
    joined = np.concatenate(strands)
    return Strands(joined, 0.0030, np.tile([0.02, 0.014, 0.01], (len(joined), 1)), "lash")
