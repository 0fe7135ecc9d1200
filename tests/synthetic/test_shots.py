"""The shots of one person: what they share is the same, what moves follows the skin, light is that of a whole bake."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from panohead.synthetic.expressions import Shot
from panohead.synthetic.framing import FRAMINGS
from panohead.synthetic.head import SyntheticHead, build_shots
from panohead.synthetic.mesh import Material
from panohead.synthetic.renderer.render import render
from panohead.synthetic.renderer.scene import Scene, build_scene, build_scenes
from panohead.synthetic.views import FOCAL, PersonView
from synthetic.altered import person_with
from synthetic.renderer.test_render import lighting

CALM = Shot({}, (0.0, 0.0), strong=False)
GAPE = Shot({"jawOpen": 1.0, "browInnerUp": 1.0, "eyeBlinkLeft": 1.0}, (0.4, 0.1), strong=True)


@pytest.fixture(scope="module")
def heads() -> list[SyntheticHead]:
    person = person_with(hair_style="short", beard="full", gender=0.9, age=40.0, headwear="none", glasses="square")
    return build_shots(person, [CALM, GAPE], FRAMINGS[2])


@pytest.fixture(scope="module")
def scenes(heads: list[SyntheticHead]) -> list[Scene]:
    return build_scenes(heads)


def test_all_shots_have_the_same_topology(heads: list[SyntheticHead]) -> None:
    calm, gape = heads
    assert len(calm.parts) == len(gape.parts)
    for a, b in zip(calm.parts, gape.parts, strict=True):
        np.testing.assert_array_equal(a.triangles, b.triangles)
        np.testing.assert_array_equal(a.albedo, b.albedo)
    assert [s.points.shape for s in calm.strands] == [s.points.shape for s in gape.strands]


def test_scalp_hair_clothes_and_glasses_stay(heads: list[SyntheticHead]) -> None:
    calm, gape = heads
    for a, b in zip(calm.strands, gape.strands, strict=True):
        if a.kind == "hair":
            np.testing.assert_array_equal(a.points, b.points)
    for a, b in zip(calm.parts, gape.parts, strict=True):
        if a.material in (Material.CLOTH, Material.FRAME):
            np.testing.assert_array_equal(a.vertices, b.vertices)


def test_beard_brows_and_lashes_move_with_the_skin(heads: list[SyntheticHead]) -> None:
    """Roots stay as near to the skin as they were, and the beard on the chin goes down with an open jaw."""
    for kind in ("beard", "brow"):
        near = []
        for head in heads:
            roots = np.concatenate([s.points[:, 0] for s in head.strands if s.kind == kind])
            away, _ = cKDTree(head.parts[0].vertices).query(roots)
            near.append(np.quantile(away, 0.95))
        assert near[1] < near[0] + 0.003, kind
    points = [next(s for s in head.strands if s.kind == "beard").points for head in heads]
    drop = points[0][:, :, 1] - points[1][:, :, 1]
    assert drop.max() > 0.04
    np.testing.assert_allclose(drop, np.repeat(drop[:, :1], drop.shape[1], 1), atol=1e-12)  # rigid strands
    lashes = [next(s for s in head.strands if s.kind == "lash").points for head in heads]
    left = lashes[0][:, 0, 0] > 0  # the person's left
    assert np.abs(lashes[1] - lashes[0])[left].max() > 5 * np.abs(lashes[1] - lashes[0])[~left].max()


def test_one_shot_is_baked_as_one_head(heads: list[SyntheticHead]) -> None:
    """Up to the rounding of one product: a count in 255 here and there."""
    alone, shared = build_scene(heads[0]), build_scenes(heads[:1])[0]
    for name in ("vertex_light", "point_light"):
        away = np.abs(getattr(alone, name).astype(int) - getattr(shared, name).astype(int))
        assert (away > 1).mean() < 1e-3, name
    np.testing.assert_array_equal(alone.directions, shared.directions)


def test_the_first_of_two_shots_has_the_light_it_has_alone(heads: list[SyntheticHead], scenes: list[Scene]) -> None:
    alone = build_scenes(heads[:1])[0]
    away = np.abs(alone.vertex_light.astype(int) - scenes[0].vertex_light.astype(int))
    assert (away > 1).mean() < 1e-4


def test_the_second_shot_is_lit_as_if_it_were_baked_alone(heads: list[SyntheticHead], scenes: list[Scene]) -> None:
    alone = build_scenes(heads[1:])[0]
    moved = np.abs(heads[1].parts[0].vertices - heads[0].parts[0].vertices).max(1) > 0.002
    skin = np.flatnonzero(moved)
    truth, found, copied = (x.vertex_light[:, skin].astype(float) for x in (alone, scenes[1], scenes[0]))
    assert np.abs(truth - found).mean() < 0.5
    # Light that was only copied from the first shot would be far off where the face moved.
    assert np.abs(truth - copied).mean() > 5
    light, view = lighting(), PersonView(0.0, 0.0)
    one, two = (render(x, view, light, 96, FOCAL).color for x in (alone, scenes[1]))
    assert np.abs(one - two).mean() < 0.002


def test_a_headscarf_lets_no_open_jaw_through() -> None:
    person = person_with(headwear="headscarf", gender=0.1, glasses="none")
    for head in build_shots(person, [CALM, GAPE], FRAMINGS[2]):
        skin, scarf = (
            head.parts[0],
            next(p for p in head.parts if p.material is Material.CLOTH and len(p.vertices) > 9000),
        )
        middle = np.array([0.0, 0.0, -0.05])
        below = skin.vertices[(skin.vertices[:, 1] < -0.2) & (np.abs(skin.vertices[:, 0]) < 0.05)]
        away, nearest = cKDTree(scarf.vertices).query(below)
        close = away < 0.03
        outside = np.linalg.norm(below - middle, axis=1) - np.linalg.norm(scarf.vertices[nearest] - middle, axis=1)
        assert (outside[close] > 0.01).mean() < 0.02


def test_a_stronger_expression_shows_in_the_image(scenes: list[Scene]) -> None:
    light, view = lighting(), PersonView(0.0, 0.0)
    calm, gape = (render(scene, view, light, 96, FOCAL) for scene in scenes)
    face = np.abs(calm.color - gape.color).max(-1)
    assert (face > 0.03).mean() > 0.01
    assert np.abs(calm.mask - gape.mask)[:30].max() < 0.02  # the top of the head is where it was
