"""The inside of a mouth whose lips part: a rim of lip, the bag of the mouth, teeth and tongue of the fitted basis."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from panohead.morphs.base_fit import FittedBase, expression_offsets
from panohead.synthetic.basis import head_basis
from panohead.synthetic.expressions import EXPRESSION_UNITS
from panohead.synthetic.mesh import compact, triangulate, vertex_normals

_COLORS = {"bag": (78, 32, 32), "helper-upper-teeth": (214, 205, 190), "helper-lower-teeth": (206, 196, 180),
           "helper-tongue": (158, 84, 82)}  # fmt: skip
"""sRGB in the light of a bright face."""
_BEHIND = {"bag": 0.05, "helper-upper-teeth": 0.07, "helper-lower-teeth": 0.07, "helper-tongue": 0.1}
"""Decimeters by which parts lie behind the closed lips."""
_RIM_ROWS, _RIM_BACK, _RIM_IN = 3, 0.035, 0.012
"""Rows of the lips' inner rim, and how far each lies behind the one before it and away from the line."""


@dataclass(frozen=True)
class InnerPart:
    """A part behind lips or lids, decimeters of the head frame.

    Attributes:
        vertices, faces: of the part.
        offsets: of all 52 ARKit names at the vertices.
        shade: factor of the color at each vertex: 1 in full light.
        rgb: sRGB in the light of a bright face, 0 to 255; None where another has the color.
        source: vertex of the surface whose color each vertex has; None where another has it.
        paint: vertices of the surface, the brightest of which give the white that ``pattern`` multiplies.
        pattern: color of each vertex as factors of that white.
    """

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    offsets: Mapping[str, Float[np.ndarray, "vertex 3"]]
    shade: Float[np.ndarray, " vertex"]
    rgb: tuple[int, int, int] | None = None
    source: Int[np.ndarray, " vertex"] | None = None
    paint: Int[np.ndarray, " paint"] | None = None
    pattern: Float[np.ndarray, "vertex 3"] | None = None


def inner_parts(base: FittedBase, surface: Float[np.ndarray, "vertex 3"]) -> list[InnerPart]:
    """Return bag, teeth and tongue, moved behind the surface where they would show through closed lips.

    Args:
        base: fitted basis.
        surface: vertices of the outer surface that look to the front, decimeters of the head frame.
    """
    basis = head_basis()
    front = cKDTree(surface[:, :2])
    inside = basis.masks["inside-mouth"] > 0.5
    shown = inside[basis.middle_triangles].any(axis=1) & (basis.neutral[basis.middle_triangles][:, :, 2] > 0.6).all(
        axis=1
    )
    used, faces = compact(basis.middle_triangles[shown], base.fine)
    refine = basis.refine[used]
    offsets = {name: refine @ expression_offsets(name)[: basis.body_count] for name in EXPRESSION_UNITS}
    places = _behind(base.fine[used], surface, front, _BEHIND["bag"], rigid=False)
    parts = [InnerPart(places, faces, offsets, np.ones(len(places)), _COLORS["bag"])]
    for name in ("helper-upper-teeth", "helper-lower-teeth", "helper-tongue"):
        used, quads = compact(basis.helpers[name], base.coarse)
        places = _behind(base.coarse[used], surface, front, _BEHIND[name], rigid=True)
        offsets = {unit: expression_offsets(unit)[used] for unit in EXPRESSION_UNITS}
        faces = triangulate(quads)
        parts.append(InnerPart(places, faces, offsets, _shading(places, faces), _COLORS[name]))
    return parts


def _shading(vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> Float[np.ndarray, " vertex"]:
    """Return the light that reaches teeth and tongue from the front and a little above, less the deeper they lie."""
    facing = np.clip(vertex_normals(vertices, faces) @ [0.0, 0.3, 0.95], 0, 1)
    depth = vertices[:, 2].max() - vertices[:, 2]
    shade: Float[np.ndarray, " vertex"] = (0.5 + 0.5 * facing) * np.clip(1 - 0.9 * depth, 0.35, 1)
    return shade


def _behind(
    vertices: Float[np.ndarray, "vertex 3"],
    surface: Float[np.ndarray, "place 3"],
    front: cKDTree,
    depth: float,
    *,
    rigid: bool,
) -> Float[np.ndarray, "vertex 3"]:
    """Move vertices back until all lie ``depth`` behind the surface: all alike, or each as far as it must."""
    distance, nearest = front.query(vertices[:, :2], k=3)
    ceiling = surface[nearest, 2].min(axis=1)
    push = np.where(distance[:, 0] < 0.1, np.clip(vertices[:, 2] - ceiling + depth, 0, 0.6), 0.0)
    if rigid:
        push = np.full(len(vertices), push.max())
    moved = vertices.copy()
    moved[:, 2] -= push
    return moved


def lip_rims(
    vertices: Float[np.ndarray, "vertex 3"],
    pairs: Int[np.ndarray, "pair 2"],
    offsets: Mapping[str, Float[np.ndarray, "vertex 3"]],
) -> list[InnerPart]:
    """Return the inner rims of both lips: strips that lead from the cut back into the mouth, so that lips are thick.

    Args:
        vertices: of the surface, decimeters of the head frame.
        pairs: vertices on both sides of the cut, upper first.
        offsets: of the surface.
    """
    order = pairs[np.argsort(vertices[pairs[:, 0], 0])]
    rims = []
    for column, upward in ((0, 1.0), (1, -1.0)):
        edge = order[:, column]
        count = len(edge)
        if count < 2:
            continue
        rows = np.arange(_RIM_ROWS + 1)
        shift = np.stack([0 * rows, upward * _RIM_IN * rows, -_RIM_BACK * rows], axis=1)
        places = (vertices[edge][None] + shift[:, None]).reshape(-1, 3)
        first = (rows[:-1, None] * count + np.arange(count - 1)).ravel()
        quads = np.stack([first, first + 1, first + count + 1, first + count], axis=1)
        quads = quads if upward < 0 else quads[:, ::-1]
        source = np.tile(edge, len(rows))
        shade = np.repeat(np.linspace(1.0, 0.45, len(rows)), count)
        moved = {name: values[source] for name, values in offsets.items()}
        rims.append(InnerPart(places, triangulate(quads), moved, shade, source=source))
    return rims
