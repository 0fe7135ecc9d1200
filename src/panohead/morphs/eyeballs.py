"""Eyes that turn: the painted eyes of a surface cut out along the lids of the fitted basis, eyeballs behind."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from panohead.attributes.editing import HeadAttributes
from panohead.morphs.base_fit import FittedBase
from panohead.morphs.mouth import InnerPart
from panohead.morphs.split import cut_where
from panohead.morphs.transfer import Eye, eyes_of
from panohead.synthetic.basis import head_basis
from panohead.synthetic.eyes import IRIS_COLORS, eye_color, grid_triangles
from panohead.synthetic.fields import smoothstep

GAZE_DEG = {"Up": 15.0, "Down": 20.0, "In": 25.0, "Out": 25.0}
"""Turn of an eyeball at a weight of 1, as of the gaze in images (:mod:`panohead.attributes.expressions`)."""
_BINS = 96
_CELL = 0.0025
"""Decimeters between the points of a ball at which is asked whether skin covers them."""
_DEEPEST = 0.3
"""Share of the radius in front of the center where the eye's opening ends."""
_CLEAR, _DEEP, _LID = 0.002, 0.025, 0.04
"""Decimeters: by which a ball stays behind the lids, by how much it goes back for that at most, and how far from the
cut lids are asked."""
_LIFT = 0.06
"""Largest distance in decimeters by which a moving lid is lifted to stay in front of its ball."""
_RIM = ((0.0, 0.0, 1.0), (0.004, 0.003, 0.6), (0.006, 0.02, 0.4), (0.006, 0.06, 0.3))
"""Rows of a lid's edge: decimeters toward the eye's middle and back, and the factor of the color."""
_TOP_SHADE = 0.3
"""Share of the light that the upper lid takes from the top of a ball."""
_FROM_POLE, _AROUND = np.concatenate([np.linspace(0, 0.62, 16), np.linspace(0.68, 1.75, 10)]), 48
"""Angles of the rows of a ball from the middle of its pupil in radians, dense over the iris, and vertices in a row."""
_WHITE = np.array([0.74, 0.69, 0.66])
"""Linear RGB of the white in :func:`panohead.synthetic.eyes.eye_color`."""


@dataclass(frozen=True)
class Gaze:
    """Eyes of a head at rest: angles in degrees to the person's left and up, and the iris' color, one of
    :data:`panohead.synthetic.eyes.IRIS_COLORS`."""

    left_deg: float = 0.0
    up_deg: float = 0.0
    iris: str = "brown"

    @staticmethod
    def of(attributes: HeadAttributes | None) -> "Gaze":
        """Return that of a head; None, and attributes without gaze, look straight ahead with brown eyes."""
        values = {} if attributes is None else attributes.values()
        left_deg, up_deg = (float(values.get(name, 0.0)) for name in ("gaze_x", "gaze_y"))
        iris = str(values.get("eye_color", "brown"))
        return Gaze(left_deg, up_deg, iris if iris in IRIS_COLORS else "brown")


@dataclass(frozen=True)
class EyeOpening:
    """Opening between the lids of a fitted basis, seen from the front: a star around a middle.

    Attributes:
        eye: the eyeball behind it.
        middle: x and y, decimeters of the head frame.
        radii: distances of the edge from the middle, by angle from -pi on.
    """

    eye: Eye
    middle: Float[np.ndarray, "2"]
    radii: Float[np.ndarray, " angle"]

    def inside(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " point"]:
        """Return the distance from the edge in decimeters, above 0 inside, seen from the front."""
        across = points[:, :2] - self.middle
        angles = np.linspace(-np.pi, np.pi, len(self.radii) + 1)
        edge = np.interp(np.arctan2(across[:, 1], across[:, 0]), angles, np.append(self.radii, self.radii[0]))
        within: Float[np.ndarray, " point"] = edge - np.linalg.norm(across, axis=1)
        return within

    def near(self, points: Float[np.ndarray, "point 3"]) -> Bool[np.ndarray, " point"]:
        """Return which points lie around the eye's front."""
        away = points - self.eye.center
        close: Bool[np.ndarray, " point"] = np.linalg.norm(away[:, :2], axis=1) < 1.6 * self.eye.radius
        return close & (away[:, 2] > 0.2 * self.eye.radius)


@dataclass(frozen=True)
class CutEye:
    """An eye cut out of a surface.

    Attributes:
        side: "Left" or "Right".
        opening: along which it was cut.
        rim: vertices of the lids on the cut, around the eye.
        painted: faces of the surface that were the eye.
        center: of the eyeball, decimeters of the head frame.
    """

    side: str
    opening: EyeOpening
    rim: Int[np.ndarray, " rim"]
    painted: Int[np.ndarray, "face 3"]
    center: Float[np.ndarray, "3"]


def eye_opening(base: FittedBase, eye: Eye) -> EyeOpening | None:
    """Return what the lids leave open of an eye; None where they are closed."""
    basis, radius = head_basis(), eye.radius
    corners = base.fine[basis.fine_triangles] - eye.center
    close = (np.abs(corners[..., :2]).max(axis=2).min(axis=1) < 1.3 * radius) & (
        corners[..., 2].max(axis=1) > _DEEPEST * radius
    )
    steps = [(i / 6, k / 6) for i in range(7) for k in range(7 - i)]
    shares = np.array([(1 - u - v, u, v) for u, v in steps])
    skin = np.einsum("sc,tck->tsk", shares, corners[close]).reshape(-1, 3)
    reach = np.arange(-radius, radius, _CELL)
    grid = np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2)
    grid = grid[np.linalg.norm(grid, axis=1) < np.sqrt(1 - _DEEPEST**2) * radius]
    covering, _ = cKDTree(skin[:, :2]).query(grid)
    free = grid[covering > 1.2 * _CELL]
    if len(free) < 40:
        return None
    middle = np.median(free, axis=0)
    away = free - middle
    angle, distance = np.arctan2(away[:, 1], away[:, 0]), np.linalg.norm(away, axis=1)
    centers = np.linspace(-np.pi, np.pi, _BINS, endpoint=False)
    apart = np.abs((angle[:, None] - centers + np.pi) % (2 * np.pi) - np.pi)
    radii = np.where(apart < 2 * np.pi / _BINS, distance[:, None], 0.0).max(axis=0) + _CELL
    smooth = np.convolve(np.concatenate([radii[-1:], radii, radii[:1]]), [0.25, 0.5, 0.25], "valid")
    return EyeOpening(eye, middle + eye.center[:2], smooth)


def cut_eyes(
    base: FittedBase, points: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "new 3"], Int[np.ndarray, "new_face 3"], list[CutEye]]:
    """Cut the eyes out of a surface (decimeters of the head frame); new vertices come last.

    Returns:
        Vertices, of which those of the eyes' paint are in no face; faces without the eyes; the eyes.
    """
    eyes = []
    for side, eye in eyes_of(base).items():
        opening = eye_opening(base, eye)
        if opening is None:
            continue
        whole = np.ones(len(points))
        points, faces, pairs = cut_where(points, faces, opening.inside(points), opening.near(points), whole)
        height, near = opening.inside(points), opening.near(points)
        height[pairs.ravel()] = 0.0
        painted = near[faces].all(axis=1) & (height[faces].sum(axis=1) > 1e-9)
        if len(pairs) < 8 or not painted.any():
            continue
        rim, paint = pairs[:, 1], faces[painted]
        across = points[rim, :2] - opening.middle
        lids = np.flatnonzero(near & (height < 0) & (height > -_LID))
        center = eye.center + np.array([0.0, 0.0, _depth(eye, points[np.unique(paint)], points[[*rim, *lids]])])
        eyes.append(CutEye(side, opening, rim[np.argsort(np.arctan2(across[:, 1], across[:, 0]))], paint, center))
        faces = faces[~painted]
    return points, faces, eyes


def eye_parts(
    eyes: list[CutEye],
    points: Float[np.ndarray, "vertex 3"],
    offsets: Mapping[str, Float[np.ndarray, "vertex 3"]],
    gaze: Gaze,
) -> list[InnerPart]:
    """Return edges of the lids and eyeballs that turn with the ``eyeLook`` targets.

    Args:
        eyes: cut out of the surface.
        points, offsets: of the surface, decimeters of the head frame.
        gaze: of the head at rest.
    """
    return [*(_lid_edge(cut, points, offsets) for cut in eyes), *(_eyeball(cut, offsets, gaze) for cut in eyes)]


def lids_over_balls(
    eyes: list[CutEye], points: Float[np.ndarray, "vertex 3"], offsets: dict[str, Float[np.ndarray, "vertex 3"]]
) -> None:
    """Let the targets of the eyes end where lids can: a blink where they meet, all in front of the balls; in place."""
    _just_close(eyes, points, offsets)
    for cut in eyes:
        least = cut.opening.eye.radius + _CLEAR
        near = np.flatnonzero(cut.opening.near(points))
        for name in offsets:
            if not (name.startswith("eye") and name.endswith(cut.side)):
                continue
            moved = offsets[name][near]
            ray = points[near] + moved - cut.center
            length = np.linalg.norm(ray, axis=1, keepdims=True)
            lift = np.clip(least - length, 0, _LIFT) * (ray[:, 2:] > 0)
            # As far as the lid moves: what rests stays.
            share = np.clip(np.linalg.norm(moved, axis=1, keepdims=True) / 0.05, 0, 1)
            offsets[name][near] = moved + ray / np.maximum(length, 1e-9) * lift * share


def _just_close(
    eyes: list[CutEye], points: Float[np.ndarray, "vertex 3"], offsets: dict[str, Float[np.ndarray, "vertex 3"]]
) -> None:
    """Shorten the blinks of eyes that are half closed already, so that the upper lid ends at the lower one."""
    for cut in eyes:
        blink = offsets[f"eyeBlink{cut.side}"]
        rim, middle = points[cut.rim], cut.opening.middle
        central = np.abs(rim[:, 0] - middle[0]) < 0.4 * np.ptp(rim[:, 0]) / 2
        upper, lower = (cut.rim[central & chosen] for chosen in (rim[:, 1] > middle[1], rim[:, 1] <= middle[1]))
        if not (len(upper) and len(lower)):
            continue
        gap = points[upper, 1].mean() - points[lower, 1].mean()
        closing = blink[lower, 1].mean() - blink[upper, 1].mean()
        if closing > gap:
            blink *= min(1.0, 1.08 * gap / closing)


def _lid_edge(
    cut: CutEye, points: Float[np.ndarray, "vertex 3"], offsets: Mapping[str, Float[np.ndarray, "vertex 3"]]
) -> InnerPart:
    """Return a strip from the cut toward the eye and back: lids are thick, and darker at their edge."""
    inward = cut.opening.middle - points[cut.rim, :2]
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-9)
    rows = [
        points[cut.rim] + np.column_stack([inward * toward, np.full(len(inward), -back)]) for toward, back, _ in _RIM
    ]
    count = len(cut.rim)
    first, ahead = np.arange(count), (np.arange(count) + 1) % count
    quads = [np.stack([first, ahead, ahead + count, first + count], 1) + count * k for k in range(len(_RIM) - 1)]
    joined = np.concatenate(quads)
    faces = np.concatenate([joined[:, [0, 1, 2]], joined[:, [0, 2, 3]]])
    source = np.tile(cut.rim, len(_RIM))
    shade = np.repeat([factor for _, _, factor in _RIM], count)
    return InnerPart(
        np.concatenate(rows), faces, {name: values[source] for name, values in offsets.items()}, shade, source=source
    )


def _eyeball(
    cut: CutEye,
    offsets: Mapping[str, Float[np.ndarray, "vertex 3"]],
    gaze: Gaze,
) -> InnerPart:
    """Return the front of a ball in the place of the paint, behind the lids."""
    eye, paint = cut.opening.eye, np.unique(cut.painted)
    polar, around = np.meshgrid(_FROM_POLE, np.linspace(0, 2 * np.pi, _AROUND, endpoint=False), indexing="ij")
    ball = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1).reshape(-1, 3)
    ball = ball @ _turn(np.radians(gaze.left_deg), np.radians(gaze.up_deg)).T * eye.radius
    moved = {name: np.zeros_like(ball) for name in offsets}
    # The person's left is +x: out is +x for the left eye, -x for the right one.
    outward = 1.0 if cut.side == "Left" else -1.0
    for name, across, up in (("Out", outward, 0.0), ("In", -outward, 0.0), ("Up", 0.0, 1.0), ("Down", 0.0, -1.0)):
        angle = np.radians(GAZE_DEG[name])
        moved[f"eyeLook{name}{cut.side}"] = ball @ _turn(across * angle, up * angle).T - ball
    linear = eye_color(polar, around, np.array(IRIS_COLORS[gaze.iris]), np.random.default_rng(0))
    shade = 1 - _TOP_SHADE * smoothstep(0.0, 0.5, ball[:, 1] / eye.radius - 0.05)
    pattern = _srgb(linear) / _srgb(_WHITE)
    faces = grid_triangles(len(_FROM_POLE), _AROUND)
    return InnerPart(ball + cut.center, faces, moved, shade, paint=paint, pattern=pattern)


def _srgb(linear: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Apply the sRGB transfer function (IEC 61966-2-1), 0 to 1."""
    inside = np.clip(linear, 0, 1)
    curve: Float[np.ndarray, "*shape"] = np.where(
        inside <= 0.0031308, 12.92 * inside, 1.055 * inside ** (1 / 2.4) - 0.055
    )
    return curve


def _depth(eye: Eye, paint: Float[np.ndarray, "paint 3"], lids: Float[np.ndarray, "lid 3"]) -> float:
    """Return by how much the basis' eyeball moves along z: to the paint, but behind the lids, if these allow it."""

    def before(places: Float[np.ndarray, "place 3"]) -> Float[np.ndarray, " kept"]:
        away = places - eye.center
        square = (away[:, :2] ** 2).sum(axis=1)
        kept = square < (0.9 * eye.radius) ** 2
        in_front: Float[np.ndarray, " kept"] = away[kept, 2] - np.sqrt(eye.radius**2 - square[kept])
        return in_front

    to_paint, to_lids = before(paint), before(lids)
    wanted = float(np.median(to_paint)) if len(to_paint) else 0.0
    behind = float(np.quantile(to_lids, 0.03)) - _CLEAR if len(to_lids) else wanted
    return min(wanted, max(behind, wanted - _DEEP))


def _turn(across: float, up: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation that turns +z by two angles in radians: toward +x, and toward +y."""
    a, b = np.cos(across), np.sin(across)
    c, s = np.cos(up), np.sin(up)
    return np.array([[a, 0, b], [0, 1, 0], [-b, 0, a]]) @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
