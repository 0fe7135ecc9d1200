"""The CC0 head basis laid under a head: its shape, in the head's own expression.

A head of a model with an attribute encoder knows its shape: the encoder's vocabulary has principal components of the
basis' own vertices. From there (for other models from the basis' average head) the basis is drawn to the extracted
surface along its normals: a ridge regression of the basis' identity targets and of a similarity, a few times.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from panohead.attributes.editing import HeadAttributes
from panohead.attributes.vocabulary import EXPRESSION_SCALE
from panohead.mesh.surface import Surface
from panohead.synthetic.basis import head_basis
from panohead.synthetic.framing import FRAMINGS
from panohead.synthetic.mesh import vertex_normals

FRAMING = FRAMINGS[2]
"""Transform from decimeters of the head basis to the world of the official frame."""
_SAMPLED = 7
"""The shape section of an attribute vector holds every seventh vertex (:mod:`panohead.attributes.vocabulary`)."""
_ROUNDS = 3
_TRUSTED = 0.12
"""Decimeters between basis and surface up to which the surface counts: beyond it is hair, a beard or glasses."""
_POINT_SD, _PLANE_SD = 0.03, 0.02
"""Deviations, in decimeters, of the shape that attributes tell, and of the surface."""
_WEIGHT_SD, _ASYMMETRY_SD, _SIMILARITY_SD = 0.25, 0.1, 0.3
"""Deviations of the weights of identity targets, of asymmetric ones, and of the similarity's seven."""
_NEAR_ZERO = 0.05
"""Weights of expressions below which an estimate says nothing."""


@dataclass(frozen=True)
class FittedBase:
    """The head basis in the shape and expression of one head, decimeters of the head frame.

    Attributes:
        coarse: coarse vertices, body then helpers.
        distance: mean distance in decimeters of the trusted part of the face from the surface, along the normals; NaN
            where the surface is nowhere near.
    """

    coarse: Float[np.ndarray, "vertex 3"]
    distance: float

    @cached_property
    def fine(self) -> Float[np.ndarray, "fine 3"]:
        """The skin after two subdivisions."""
        return head_basis().subdivide(self.coarse)

    @cached_property
    def normals(self) -> Float[np.ndarray, "fine 3"]:
        """Unit normals of the fine skin."""
        return vertex_normals(self.fine, head_basis().fine_triangles)


def expression_offsets(name: str) -> Float[np.ndarray, "vertex 3"]:
    """Return the offsets of one ARKit name at the coarse vertices, decimeters."""
    basis = head_basis()
    return basis.offsets[basis.target_index[f"expression/{name}"]].astype(np.float64)


def to_head_frame(points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Map world units to decimeters of the head frame."""
    moved: Float[np.ndarray, "*shape 3"] = points / FRAMING.scale @ turn_to_world() + np.array(FRAMING.origin)
    return moved


@lru_cache(maxsize=1)
def turn_to_world() -> Float[np.ndarray, "3 3"]:
    """Return the rotation of the frame: columns are the head frame's axes in the world."""
    return FRAMING.turn(np.eye(3)).T


def fit_base(surface: Surface, attributes: HeadAttributes | None) -> FittedBase:
    """Fit the head basis to a surface in world units.

    Args:
        surface: of the head.
        attributes: of the head, with whose shape and expression the fit begins; None begins with the average head
            without expression.
    """
    basis = head_basis()
    targets, deviations = _directions()
    count = len(targets)
    precision, right = np.diag(1 / deviations**2), np.zeros(count)
    expression = np.zeros_like(basis.vertices)
    if attributes is not None:
        expression = _own_expression(attributes)
        known, told = _told_shape(attributes)
        rows = targets[:, known].reshape(count, -1) / _POINT_SD
        precision = precision + rows @ rows.T
        right = right + rows @ ((told - basis.vertices[known]).ravel() / _POINT_SD)
    points, normals = to_head_frame(surface.vertices.astype(np.float64)), surface.vertex_normals @ turn_to_world()
    tree, face = cKDTree(points), _face()
    weights, distance = np.linalg.solve(precision, right), float("nan")
    for _ in range(_ROUNDS):
        coarse = basis.vertices + np.tensordot(weights, targets, 1) + expression
        own = vertex_normals(coarse[: basis.body_count], basis.coarse_triangles)[face]
        _, nearest = tree.query(coarse[face])
        away = ((points[nearest] - coarse[face]) * own).sum(axis=1)
        trusted = (np.abs(away) < _TRUSTED) & ((normals[nearest] * own).sum(axis=1) > 0.6)
        if not trusted.any():
            break
        distance = float(np.abs(away[trusted]).mean())
        rows = np.einsum("tvk,vk->tv", targets[:, face[trusted]], own[trusted]) / _PLANE_SD
        wanted = away[trusted] / _PLANE_SD + rows.T @ weights
        weights = np.linalg.solve(precision + rows @ rows.T, right + rows @ wanted)
    coarse = basis.vertices + np.tensordot(weights, targets, 1) + expression
    return FittedBase(coarse, distance)


@lru_cache(maxsize=1)
def _directions() -> tuple[Float[np.ndarray, "direction vertex 3"], Float[np.ndarray, " direction"]]:
    """Return directions in which the basis may move, and the deviation of the step along each: identity targets, then
    three translations, three rotations and the scale about the middle of the face."""
    basis = head_basis()
    names = [n for n in basis.target_index if n.partition("/")[0] not in ("expression", "torso")]
    offsets = basis.offsets[[basis.target_index[n] for n in names]].astype(np.float64)
    deviations = [_ASYMMETRY_SD if name.startswith("asym") else _WEIGHT_SD for name in names]
    return np.concatenate([offsets, similarity_directions()]), np.array([*deviations, *[_SIMILARITY_SD] * 7])


def similarity_directions() -> Float[np.ndarray, "7 vertex 3"]:
    """Return offsets of the coarse vertices by three translations, three rotations and the scale about the middle of
    the face, to first order, decimeters."""
    centered = head_basis().vertices - [0.0, 7.1, 1.0]
    similarity = [np.broadcast_to(axis, centered.shape) for axis in np.eye(3)]
    similarity += [np.cross(axis, centered) for axis in np.eye(3)] + [centered]
    return np.stack(similarity)


@lru_cache(maxsize=1)
def _face() -> Int[np.ndarray, " place"]:
    """Return the coarse vertices of face and upper neck, without the mouth's inside and the ears."""
    basis = head_basis()
    x, y, z = basis.vertices[: basis.body_count].T
    inside, ears = (basis.masks[name][: basis.body_count] for name in ("inside-mouth", "ears"))
    front = (z > 0.7) & (y > 6.0) & (y < 7.9) & (np.abs(x) < 0.8)
    return np.flatnonzero(front & (inside < 0.3) & (ears < 0.3))


def _told_shape(attributes: HeadAttributes) -> tuple[Int[np.ndarray, " known"], Float[np.ndarray, "known 3"]]:
    """Return the vertices whose places the attributes tell, and these; the torso, which is turned at random, is left
    out."""
    basis, vocabulary = head_basis(), attributes.encoder.vocabulary
    known = np.arange(0, basis.body_count, _SAMPLED)
    if vocabulary.shape_mean.size != 3 * len(known):
        return known[:0], np.zeros((0, 3))
    numbers = attributes.vector[slice(*vocabulary.sections["shape"])].astype(np.float64)
    components = vocabulary.shape_components.astype(np.float64)
    squares = np.maximum((components**2).sum(axis=1), 1e-12)
    # Components are principal directions divided by their deviations: c / |c|^2 is a direction times its deviation.
    places = (vocabulary.shape_mean + (numbers / squares) @ components).reshape(-1, 3)
    above = basis.vertices[known, 1] > 6.35
    return known[above], places[above]


def _own_expression(attributes: HeadAttributes) -> Float[np.ndarray, "vertex 3"]:
    """Return the offsets of the expression that a head already has."""
    vocabulary = attributes.encoder.vocabulary
    numbers = attributes.vector[slice(*vocabulary.sections["expression"])][2:] / EXPRESSION_SCALE
    total = np.zeros_like(head_basis().vertices)
    for name, weight in zip(vocabulary.expressions, np.clip(numbers, 0, 1), strict=True):
        if weight > _NEAR_ZERO:
            total += float(weight) * expression_offsets(name)
    return total
