"""Expression offsets from the fitted basis to the vertices of a head's surface."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from panohead.morphs.base_fit import FittedBase, expression_offsets
from panohead.morphs.lip_line import LipLine
from panohead.synthetic.basis import head_basis
from panohead.synthetic.expressions import EXPRESSION_UNITS
from panohead.synthetic.fields import smoothstep

_NEIGHBORS = 6
_FULL, _NONE = 0.08, 0.28
"""Decimeters from the basis' skin up to which offsets count fully, and from which they do not at all: hair, glasses."""
_FACING = 0.05
"""Weight, in decimeters, of normals beside places when nearest points are looked for: sides of a fold stay apart."""
_GAZE_DEG = {"Up": 8.0, "Down": 10.0, "In": 12.0, "Out": 12.0}
"""Turn of the eye at a weight of 1; farther, painted eyes smear."""
_SINK, _CLEAR = 0.03, 0.012
"""Decimeters: by which the eye goes back under a closing lid, and by which a lid stays in front of it."""


@dataclass(frozen=True)
class Eye:
    """An eyeball of the fitted basis: center and radius, decimeters of the head frame."""

    center: Float[np.ndarray, "3"]
    radius: float


def eyes_of(base: FittedBase) -> dict[str, Eye]:
    """Return both eyes by "Left" and "Right"."""
    found = {}
    for side, letter in (("Left", "l"), ("Right", "r")):
        shell = base.coarse[np.unique(head_basis().helpers[f"helper-{letter}-eye"])]
        center = (shell.max(0) + shell.min(0)) / 2
        found[side] = Eye(center, float(np.median(np.linalg.norm(shell - center, axis=1))))
    return found


@dataclass(frozen=True)
class Correspondence:
    """For each vertex of a surface the fine vertices of the basis that move it.

    Attributes:
        nearest: fine vertices of the basis' skin.
        shares: their weights, which add up to 1.
        strength: 0 (hair, glasses, far from the face) to 1.
        eye: "" on the skin, else "Left" or "Right": the vertex is one of the eyeball's.
        points: the vertices, decimeters of the head frame.
    """

    nearest: Int[np.ndarray, "vertex neighbor"]
    shares: Float[np.ndarray, "vertex neighbor"]
    strength: Float[np.ndarray, " vertex"]
    eye: np.ndarray
    points: Float[np.ndarray, "vertex 3"]


def correspond(
    base: FittedBase,
    points: Float[np.ndarray, "vertex 3"],
    normals: Float[np.ndarray, "vertex 3"],
    line: LipLine,
    side: Float[np.ndarray, " vertex"],
    *,
    painted_eyes: bool = True,
) -> Correspondence:
    """Find what moves each vertex of a surface.

    Args:
        base: fitted basis.
        points, normals: of the surface, decimeters of the head frame.
        line: where the lips meet.
        side: of the line on which each vertex lies, as of :meth:`LipLine.side`.
        painted_eyes: eyes are painted on the surface; else it has none, and what lies near them is lid.
    """
    outer = np.flatnonzero((head_basis().masks["inside-mouth"] < 0.5) & (base.fine[:, 1] > 5.6))
    skin, facing = base.fine[outer], base.normals[outer]
    tree = cKDTree(np.concatenate([skin, facing * _FACING, line.side_of_basis(base, outer)[:, None]], axis=1))
    distance, found = tree.query(np.concatenate([points, normals * _FACING, side[:, None]], axis=1), k=_NEIGHBORS)
    shares = 1 / (distance + 0.004) ** 2
    shares /= shares.sum(axis=1, keepdims=True)
    away, _ = cKDTree(skin).query(points)
    strength = smoothstep(_NONE, _FULL, away) * smoothstep(0.0, 0.5, (normals * facing[found[:, 0]]).sum(axis=1))
    eye = _of_eyes(base, points, skin)
    if not painted_eyes:
        strength, eye = np.where(eye != "", 1.0, strength), np.full_like(eye, "")
    return Correspondence(outer[found], shares, strength, eye, points)


def _of_eyes(base: FittedBase, points: Float[np.ndarray, "vertex 3"], skin: Float[np.ndarray, "place 3"]) -> np.ndarray:
    """Return which vertices are an eyeball's: those nearer, seen from the front, to the eye's opening than to skin."""
    labels = np.full(len(points), "", dtype="<U5")
    for side, eye in eyes_of(base).items():
        reach = eye.radius * 1.3
        lids = skin[(np.abs(skin[:, :2] - eye.center[:2]) < reach).all(axis=1) & (skin[:, 2] > eye.center[2])]
        grid = np.stack(np.meshgrid(*[np.linspace(-eye.radius, eye.radius, 61)] * 2), -1).reshape(-1, 2)
        grid = grid[(grid**2).sum(axis=1) < (0.98 * eye.radius) ** 2]
        ball = np.concatenate([grid, np.sqrt(eye.radius**2 - (grid**2).sum(axis=1))[:, None]], axis=1) + eye.center
        # Points of the ball that no skin covers from the front.
        covering, _ = cKDTree(lids[:, :2]).query(ball[:, :2])
        shown = ball[covering > 0.02]
        if len(shown) == 0:
            continue
        near = np.flatnonzero(np.linalg.norm(points - eye.center, axis=1) < eye.radius * 1.25)
        near = near[points[near, 2] > eye.center[2] + 0.3 * eye.radius]
        to_eye, _ = cKDTree(shown[:, :2]).query(points[near, :2])
        to_skin, _ = cKDTree(lids[:, :2]).query(points[near, :2])
        labels[near[to_eye < to_skin]] = side
    return labels


def offsets_of(base: FittedBase, found: Correspondence) -> dict[str, Float[np.ndarray, "vertex 3"]]:
    """Return the offsets of all 52 ARKit names at the vertices of the surface, decimeters of the head frame."""
    basis, eyes = head_basis(), eyes_of(base)
    on_eye = {side: found.eye == side for side in eyes}
    result = {}
    for name in EXPRESSION_UNITS:
        fine = basis.subdivide(expression_offsets(name))
        moved = (fine[found.nearest] * found.shares[..., None]).sum(axis=1) * found.strength[:, None]
        moved[found.eye != ""] = 0.0
        for side, eye in eyes.items():
            if name == f"eyeBlink{side}":
                _close(moved, found, eye, on_eye[side])
            elif name.startswith("eyeLook") and name.endswith(side):
                _look(moved, found, eye, on_eye[side], name.removeprefix("eyeLook").removesuffix(side), side)
        result[name] = moved
    return result


def _close(
    moved: Float[np.ndarray, "vertex 3"], found: Correspondence, eye: Eye, on_eye: Bool[np.ndarray, " vertex"]
) -> None:
    """Keep the closing lid in front of the eye, and let the eye go back a little beneath it."""
    if not on_eye.any():
        return
    from_center = np.linalg.norm(found.points[on_eye] - eye.center, axis=1)
    radius = max(eye.radius, float(np.quantile(from_center, 0.95)))
    lids = (np.linalg.norm(moved, axis=1) > 0.02) & ~on_eye
    ray = found.points[lids] + moved[lids] - eye.center
    length = np.linalg.norm(ray, axis=1, keepdims=True)
    lift = np.clip(radius + _CLEAR - length, 0, 0.06) * (ray[:, 2:] > 0)
    # Only as far as the lid closes: its crease stays.
    share = np.clip(np.linalg.norm(moved[lids], axis=1, keepdims=True) / 0.08, 0, 1)
    moved[lids] += ray / length * lift * share
    moved[on_eye, 2] -= _SINK


def _look(
    moved: Float[np.ndarray, "vertex 3"],
    found: Correspondence,
    eye: Eye,
    on_eye: Bool[np.ndarray, " vertex"],
    direction: str,
    side: str,
) -> None:
    """Turn the painted eye about its center; toward the lids the turn fades."""
    if not on_eye.any():
        return
    points = found.points[on_eye]
    skin, _ = cKDTree(found.points[(found.eye == "")]).query(points)
    share = smoothstep(0.0, max(0.6 * float(skin.max()), 1e-3), skin)
    angle = np.radians(_GAZE_DEG[direction]) * share
    ray = points - eye.center
    # The person's left is +x: out is +x for the left eye, -x for the right one.
    outward = 1.0 if side == "Left" else -1.0
    along = {"Up": (0, 1), "Down": (0, -1), "Out": (outward, 0), "In": (-outward, 0)}[direction]
    axis = 0 if along[0] else 1
    sign = along[axis]
    c, s = np.cos(angle), np.sin(angle) * sign
    turned = ray.copy()
    turned[:, axis], turned[:, 2] = c * ray[:, axis] + s * ray[:, 2], c * ray[:, 2] - s * ray[:, axis]
    moved[on_eye] = turned - ray


def weighted(
    offsets: Mapping[str, Float[np.ndarray, "vertex 3"]], weights: Mapping[str, float]
) -> Float[np.ndarray, "vertex 3"]:
    """Return the sum of offsets by their weights."""
    total = np.zeros_like(next(iter(offsets.values())))
    for name, weight in weights.items():
        total += weight * offsets[name]
    return total
