"""Eyeballs behind lids: of a synthetic person whose eyes are painted on its surface."""

from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from morphs.test_expressive import MM, person
from panohead.errors import UsageError
from panohead.mesh.settings import MeshSettings
from panohead.mesh.surface import Surface
from panohead.morphs.base_fit import FRAMING, fit_base, to_head_frame
from panohead.morphs.expressive import ExpressiveSurface, expressive_surface
from panohead.morphs.eyeballs import GAZE_DEG, eye_opening
from panohead.morphs.transfer import eyes_of


@cache
def painted() -> Surface:
    """The person's skin with the eyes filled in, as an extracted surface has them: it knows no lids and no sockets."""
    surface = person()[0]
    points, faces = to_head_frame(surface.vertices.astype(np.float64)), surface.faces
    base = fit_base(surface, None)
    vertices, added = [surface.vertices], []
    for eye in eyes_of(base).values():
        opening = eye_opening(base, eye)
        assert opening is not None
        middles = points[faces].mean(axis=1)
        near = np.flatnonzero(np.linalg.norm(middles - eye.center, axis=1) < 1.4 * eye.radius)
        around = cKDTree(middles[near, :2]).query_ball_point(middles[near, :2], 0.008)
        covered = np.array([middles[near[k], 2].max() for k in around]) > middles[near, 2] + 0.01
        faces = np.delete(faces, near[covered | (opening.inside(middles[near]) > 0)], axis=0)
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        _, first, count = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
        rims = edges[first[count == 1]]
        here = rims[opening.near(points)[rims].all(axis=1) & (np.abs(opening.inside(points[rims[:, 0]])) < 0.05)]
        assert len(here) > 10
        # A fan to the front of the ball, turned as the faces beside it are.
        tip = np.array([[*opening.middle, eye.center[2] + eye.radius]])
        added.append(np.column_stack([here[:, ::-1], np.full(len(here), len(points) + len(added))]))
        vertices.append(FRAMING.to_world(tip).astype(np.float32))
    return Surface(np.concatenate(vertices), np.concatenate([faces, *added]))


@cache
def made() -> ExpressiveSurface:
    return expressive_surface(painted(), None, eyeballs=True)


def balls() -> list[slice]:
    """The vertices of the left and the right eyeball."""
    start, found = made().outer_count, []
    for part in made().inner:
        if part.pattern is not None:
            found.append(slice(start, start + len(part.vertices)))
        start += len(part.vertices)
    return found


def test_eyes_are_cut_out_and_nothing_else_changes() -> None:
    surface = painted()
    np.testing.assert_array_equal(made().surface.vertices[: len(surface.vertices)], surface.vertices)
    assert len(balls()) == 2
    base = fit_base(surface, None)
    points = to_head_frame(made().surface.vertices.astype(np.float64))
    outer = made().surface.faces[: made().outer_faces]
    for eye in eyes_of(base).values():
        opening = eye_opening(base, eye)
        assert opening is not None
        middles = points[outer].mean(axis=1)
        left_over = opening.near(points)[outer].all(axis=1) & (opening.inside(middles) > 0.01)
        assert not left_over.any()
        paint = points[made().painted].mean(axis=1)
        assert (opening.inside(paint[np.abs(paint[:, 0] - eye.center[0]) < eye.radius]) > -0.005).all()


@pytest.mark.parametrize(("which", "side", "outward"), [(0, "Left", 1.0), (1, "Right", -1.0)])
def test_eyeballs_turn_about_their_centers_by_the_stated_angles(which: int, side: str, outward: float) -> None:
    world = made().surface.vertices[balls()[which]].astype(np.float64)
    still = to_head_frame(world)
    pupil = 0  # the pole of the ball; the whole is a part of a sphere around one point
    places = np.concatenate([2 * still, np.ones((len(still), 1))], axis=1)
    center = np.linalg.lstsq(places, (still**2).sum(axis=1), rcond=None)[0][:3]
    radius = np.linalg.norm(still - center, axis=1)
    assert np.ptp(radius) < 1e-3 * radius.mean()
    for name, axis, sign in (("Out", 0, outward), ("In", 0, -outward), ("Up", 1, 1.0), ("Down", 1, -1.0)):
        moved = to_head_frame(world + made().offsets[f"eyeLook{name}{side}"][balls()[which]])
        np.testing.assert_allclose(np.linalg.norm(moved - center, axis=1), radius, rtol=1e-3)
        turned = np.degrees(np.arcsin((moved[pupil] - center)[axis] / radius[pupil]))
        assert turned * sign == pytest.approx(GAZE_DEG[name], abs=0.5)
    other = "Right" if side == "Left" else "Left"
    assert not made().offsets[f"eyeLookOut{other}"][balls()[which]].any()
    assert not made().offsets[f"eyeBlink{side}"][balls()[which]].any()


def test_lids_close_over_the_balls() -> None:
    edges = [part for part in made().inner if part.source is not None and part.pattern is None][-2:]
    for edge, side in zip(edges, ("Left", "Right"), strict=True):
        rim = np.unique(edge.source)
        still = made().surface.vertices[rim].astype(np.float64)
        closed = still + made().offsets[f"eyeBlink{side}"][rim]
        x, middle = still[:, 0], still[:, 1].mean()
        center, width = x.mean(), np.ptp(x) / 2
        upper = (still[:, 1] > middle) & (np.abs(x - center) < 0.4 * width)
        lower = (still[:, 1] <= middle) & (np.abs(x - center) < 0.4 * width)
        open_mm = (still[upper, 1].mean() - still[lower, 1].mean()) * MM
        closed_mm = (closed[upper, 1].mean() - closed[lower, 1].mean()) * MM
        assert open_mm > 4
        assert -0.2 * open_mm < closed_mm < 0.1 * open_mm


def test_whites_are_as_bright_as_the_paint() -> None:
    rgb = np.full((made().outer_count, 3), 90, np.uint8)
    paint = np.unique(made().painted)
    rgb[paint] = 200
    colors = made().colored(rgb)
    for ball in balls():
        assert colors[ball].max() == pytest.approx(200, abs=12)
        assert colors[ball][:40].max() < 60, "pupils are dark"


def test_eyeballs_need_morph_targets() -> None:
    with pytest.raises(UsageError, match="morphs"):
        MeshSettings(eyeballs=True)
