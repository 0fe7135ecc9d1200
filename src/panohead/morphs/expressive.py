"""A head's surface that can move: finer in the face, cut open between the lips, with 52 ARKit targets."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from panohead.attributes.editing import HeadAttributes
from panohead.mesh.surface import Surface
from panohead.morphs.base_fit import FRAMING, FittedBase, fit_base, to_head_frame, turn_to_world
from panohead.morphs.eyeballs import CutEye, Gaze, cut_eyes, eye_parts, lids_over_balls
from panohead.morphs.lip_line import LipLine, lip_line
from panohead.morphs.mouth import InnerPart, inner_parts, lip_rims
from panohead.morphs.split import cut_where, refined_where
from panohead.morphs.transfer import correspond, eyes_of, offsets_of
from panohead.synthetic.mesh import vertex_normals

_EDGE_FACE, _EDGE_FINE = 0.04, 0.018
"""Longest edges in decimeters: in the face, and around mouth and eyes."""
_LUMA = np.array([0.299, 0.587, 0.114])
_BRIGHT_FACE = 165.0
"""Mean sRGB luma of the lips in whose light the colors of teeth and tongue are given."""


@dataclass(frozen=True)
class ExpressiveSurface:
    """A surface with targets, world units.

    Attributes:
        surface: outer surface first, then what is behind the lips.
        outer_count, outer_faces: numbers of vertices and faces of the outer surface alone.
        offsets: by ARKit's 52 names; a weight of 1 adds them to the vertices.
        inner: parts behind the lips, in the order of their vertices.
        pairs: vertices of both sides of the cut, which lie at the same places.
        fit_distance: mean distance in world units of the fitted basis from the face; NaN where it lies nowhere near.
        painted: faces of the eyes that were cut out, which give eyeballs their colors; none without eyeballs.
    """

    surface: Surface
    outer_count: int
    outer_faces: int
    offsets: dict[str, Float32[np.ndarray, "vertex 3"]]
    inner: list[InnerPart]
    pairs: Int[np.ndarray, "pair 2"]
    fit_distance: float
    painted: Int[np.ndarray, "face 3"]

    @property
    def outer(self) -> Surface:
        """The outer surface alone, with the eyes that were cut out."""
        return replace(
            self.surface,
            vertices=self.surface.vertices[: self.outer_count],
            faces=np.concatenate([self.surface.faces[: self.outer_faces], self.painted]),
        )

    def colored(self, rgb: UInt8[np.ndarray, "outer 3"]) -> UInt8[np.ndarray, "vertex 3"]:
        """Return the colors of all vertices from those of the outer surface; what is inside is as bright as lips."""
        lips = rgb[self.pairs[:, 0]].astype(np.float64) if len(self.pairs) else rgb.astype(np.float64)
        light = float(np.clip((lips @ _LUMA).mean() * 1.5 / _BRIGHT_FACE, 0.3, 1.15))
        colors = [rgb.astype(np.float64)]
        for part in self.inner:
            base = np.array(part.rgb or (0, 0, 0), np.float64) * light
            if part.source is not None:
                base = rgb[part.source].astype(np.float64)
            elif part.paint is not None and part.pattern is not None:
                base = _white(rgb[part.paint].astype(np.float64)) * part.pattern
            colors.append(base * part.shade[:, None])
        return np.clip(np.rint(np.concatenate(colors)), 0, 255).astype(np.uint8)


def expressive_surface(
    surface: Surface, attributes: HeadAttributes | None, *, eyeballs: bool = False
) -> ExpressiveSurface:
    """Return a surface (world units) with the 52 expressions of the head basis.

    At weights of 0 it is the given surface: new vertices lie on its triangles.

    Args:
        surface: of the head.
        attributes: of the head, from which the fit of the basis begins; None without an attribute encoder.
        eyeballs: cut the painted eyes out, and put eyeballs that turn in their place.
    """
    base = fit_base(surface, attributes)
    line = lip_line(base)
    points, faces = to_head_frame(surface.vertices.astype(np.float64)), surface.faces.astype(np.int64)
    points, faces = refined_where(points, faces, _longest_edges(points, base, line))
    points, faces, pairs = cut_where(points, faces, line.height(points), line.near(points), line.opening(points))
    eyes: list[CutEye] = []
    if eyeballs:
        points, faces, eyes = cut_eyes(base, points, faces)
    painted = np.concatenate([faces[:0], *(cut.painted for cut in eyes)])
    normals = welded_normals(points, np.concatenate([faces, painted]), pairs)
    side = line.side(points)
    side[pairs[:, 0]], side[pairs[:, 1]] = (
        line.side(points[pairs[:, 0]] + [0, 0.02, 0]),
        line.side(points[pairs[:, 1]] - [0, 0.02, 0]),
    )
    offsets = offsets_of(base, correspond(base, points, normals, line, side, painted_eyes=not eyes))
    lids_over_balls(eyes, points, offsets)
    facing = points[(normals[:, 2] > 0.1) & line.near(points, 0.3)]
    inner = [*lip_rims(points, pairs, offsets), *inner_parts(base, facing)] if len(pairs) else []
    inner += eye_parts(eyes, points, offsets, Gaze.of(attributes)) if eyes else []
    made = _assembled(surface, points, faces, offsets, inner, pairs, base.distance)
    return replace(made, painted=painted)


def _assembled(
    surface: Surface,
    points: Float[np.ndarray, "outer 3"],
    faces: Int[np.ndarray, "face 3"],
    offsets: dict[str, Float[np.ndarray, "outer 3"]],
    inner: list[InnerPart],
    pairs: Int[np.ndarray, "pair 2"],
    distance: float,
) -> ExpressiveSurface:
    """Join everything, in world units."""
    all_points, all_faces, start = [points], [faces], len(points)
    for part in inner:
        all_points.append(part.vertices)
        all_faces.append(part.faces + start)
        start += len(part.vertices)
    to_world = turn_to_world().T * FRAMING.scale
    vertices = FRAMING.to_world(np.concatenate(all_points)).astype(np.float32)
    vertices[: len(surface.vertices)] = surface.vertices  # exactly, without the way there and back
    moved = {
        name: (np.concatenate([own, *(part.offsets[name] for part in inner)]) @ to_world).astype(np.float32)
        for name, own in offsets.items()
    }
    joined = replace(surface, vertices=vertices, faces=np.concatenate(all_faces).astype(np.int64))
    return ExpressiveSurface(joined, len(points), len(faces), moved, inner, pairs, distance * FRAMING.scale, faces[:0])


def _white(paint: Float[np.ndarray, "place 3"]) -> Float[np.ndarray, "3"]:
    """Return the white of painted eyes: their brightest places, a little grayer."""
    luma = paint @ _LUMA
    bright = paint[luma >= np.quantile(luma, 0.85)].mean(axis=0)
    return np.asarray(bright + 0.35 * (bright @ _LUMA - bright))


def _longest_edges(
    points: Float[np.ndarray, "vertex 3"], base: FittedBase, line: LipLine
) -> Float[np.ndarray, " vertex"]:
    """Return the longest edge that each vertex of the surface allows, decimeters."""
    longest = np.full(len(points), np.inf)
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    longest[(x < 0.75) & (y > 6.1) & (y < 7.9) & (z > 0.9)] = _EDGE_FACE
    longest[line.near(points, 0.12) & (np.abs(line.height(points)) < 0.2)] = _EDGE_FINE
    for eye in eyes_of(base).values():
        near = np.linalg.norm((points - eye.center)[:, :2], axis=1) < eye.radius * 1.4
        longest[near & (z > eye.center[2])] = _EDGE_FINE
    return longest


def welded_normals(
    points: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], pairs: Int[np.ndarray, "pair 2"]
) -> Float[np.ndarray, "vertex 3"]:
    """Return unit normals; the two vertices of a pair share theirs, so that closed lips show no seam."""
    normals = vertex_normals(points, faces)
    if len(pairs):
        both = normals[pairs[:, 0]] + normals[pairs[:, 1]]
        both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-9)
        normals[pairs[:, 0]] = normals[pairs[:, 1]] = both
    return normals
