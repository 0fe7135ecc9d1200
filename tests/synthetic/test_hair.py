"""Hair stands outside the skin, inside the frame, under the hat."""

import numpy as np
import pytest

from panohead.synthetic.basis import head_basis
from panohead.synthetic.hair.field import build_field
from panohead.synthetic.hair.growth import grow_hair, hairline_density, keep_in_dome, keep_in_frame
from panohead.synthetic.hair.scalp import strand_colors
from panohead.synthetic.hair.strands import bundle, clump, curl, resample
from panohead.synthetic.hair.styles import STYLES
from panohead.synthetic.mesh import vertex_normals
from panohead.synthetic.outfit.headwear import headwear, hides_all_hair
from panohead.synthetic.people import HAIR_STYLES
from panohead.synthetic.shape import head_vertices
from synthetic.altered import person_with


def skin_of(person: object) -> tuple[np.ndarray, np.ndarray]:
    basis = head_basis()
    skin = basis.subdivide(head_vertices(person))
    return skin, vertex_normals(skin, basis.fine_triangles)


def test_every_sampled_style_can_be_grown() -> None:
    assert set(HAIR_STYLES) == set(STYLES)


@pytest.mark.parametrize("style", ["short", "bob_fringe", "curly", "ponytail", "braids"])
def test_hair_stays_outside_the_head_and_inside_the_frame(style: str) -> None:
    person = person_with(5, hair_style=style, headwear="none")
    skin, normals = skin_of(person)
    strands, field = grow_hair(person, skin, normals, hairline_density(person))
    hair = [s for s in strands if s.kind == "hair"]
    points = np.concatenate([s.points[:, 1:].reshape(-1, 3) for s in hair])
    assert np.isfinite(points).all()
    distance, _ = field(points)
    assert np.quantile(distance, 0.01) > -0.01
    above = points[points[:, 1] > 6.4]  # lower down it lies on shoulders and back
    assert np.hypot(above[:, 0], (above[:, 2] - 0.58) / 1.12).max() < 1.35
    assert points[:, 1].max() < 8.95
    steps = np.linalg.norm(np.diff(hair[0].points, axis=1), axis=-1)
    assert steps.max() < 0.8  # no strand jumps


def test_the_field_is_a_distance_outside_and_negative_inside() -> None:
    person = person_with()
    skin, normals = skin_of(person)
    field = build_field(skin, normals)
    cap = head_basis().neutral[:, 1] > 7.7
    for offset in (0.1, 0.3, -0.15):
        distance, gradient = field(skin[cap] + offset * normals[cap])
        assert np.median(np.abs(distance - offset)) < 0.02
        assert np.median((gradient * normals[cap]).sum(1)) > 0.97


def test_keeping_in_frame_is_the_identity_inside_and_monotone_outside() -> None:
    ray = np.linspace(0, 4, 50)
    strand = np.stack([ray, np.full(50, 7.0), np.full(50, 0.58)], 1)[None]
    kept = keep_in_frame(strand)[0, :, 0]
    np.testing.assert_allclose(kept[ray < 1.0], ray[ray < 1.0], atol=1e-12)
    assert (np.diff(kept) > 0).all()
    assert kept.max() < 1.25


@pytest.mark.parametrize("way", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.6, 0.8, 0.0), (0.3, 0.5, -0.8)])
def test_the_dome_is_the_identity_inside_and_monotone_outside(way: tuple[float, float, float]) -> None:
    """Along a ray from its middle: nothing moves near the head, nothing passes the dome, and all stays on the ray."""
    middle, along = np.array([0.0, 7.3, 0.58]), np.linspace(0, 4, 80)
    strand = (middle + along[:, None] * way)[None]
    kept = keep_in_dome(strand)[0]
    limit = 1 / np.linalg.norm(np.array(way) / [1.25, 1.42, 1.25 * 1.12])
    distance = (kept - middle) @ np.array(way) / np.dot(way, way)
    np.testing.assert_allclose(np.cross(kept - middle, way), 0, atol=1e-9)
    np.testing.assert_allclose(distance[along < 0.8 * limit], along[along < 0.8 * limit], atol=1e-9)
    assert (np.diff(distance) > 0).all()
    assert 0.97 * limit < distance.max() < limit


def test_below_its_middle_the_dome_is_a_cylinder() -> None:
    strand = np.array([[[0.9, 7.0, 0.58], [3.0, 5.0, 0.58]]])
    kept = keep_in_dome(strand)[0]
    np.testing.assert_allclose(kept[0], strand[0, 0])
    assert kept[1, 0] < 1.25
    np.testing.assert_allclose(kept[1, 1:], strand[0, 1, 1:])


def test_clumps_do_not_cross_the_parting() -> None:
    rng = np.random.default_rng(0)
    strands = rng.normal(size=(400, 6, 3)) * 0.05 + np.linspace(-1, 1, 400)[:, None, None] * [1, 0, 0]
    side = np.where(strands[:, 0, 0] > 0, 1.0, -1.0)
    clumped, member = clump(strands, rng, 40, 1.0, side=side)
    assert clumped.shape == strands.shape
    np.testing.assert_array_equal(clumped[:, 0], strands[:, 0])
    tips = clumped[:, -1, 0]
    assert (np.sign(tips[np.abs(tips) > 0.2]) == side[np.abs(tips) > 0.2]).mean() > 0.98
    assert member.max() < 40


def test_curls_keep_the_root_and_their_amplitude() -> None:
    rng = np.random.default_rng(0)
    straight = np.zeros((20, 200, 3))
    straight[..., 1] = -np.linspace(0, 3, 200)
    curled = curl(straight, rng, 0.1, 2.0, np.arange(20), 0.0, 0.2)
    np.testing.assert_allclose(curled[:, 0], straight[:, 0])
    radius = np.linalg.norm((curled - straight)[:, 100:], axis=-1)
    assert radius.mean() == pytest.approx(0.1, rel=0.2)
    np.testing.assert_allclose((curled - straight)[..., 1], 0, atol=1e-9)  # across the strand only


def test_bundles_stay_within_their_thickness() -> None:
    rng = np.random.default_rng(0)
    leader = np.zeros((3, 30, 3))
    leader[..., 1] = -np.linspace(0, 2, 30)
    for plaited in (False, True):
        ropes = bundle(leader, rng, 20, 0.06, plaited)
        assert ropes.shape == (60, 30, 3)
        assert np.linalg.norm(ropes[..., [0, 2]], axis=-1).max() < 0.06 * 1.5


def test_resampling_keeps_the_ends() -> None:
    strands = np.random.default_rng(0).normal(size=(5, 7, 3))
    fine = resample(strands, 20)
    np.testing.assert_allclose(fine[:, [0, -1]], strands[:, [0, -1]])
    np.testing.assert_allclose(resample(fine[:, ::1], 20), fine)


def test_white_hair_reflects_less_than_half() -> None:
    """The prototype's white hair was over-bright: its albedo is bounded, and no strand of it is dark."""
    person = person_with(grey=1.0, dye=None)
    color = strand_colors(person, 500, np.random.default_rng(0))
    assert color.max() < 0.5
    assert color.min() > 0.15


@pytest.mark.parametrize("kind", ["beanie", "skullcap", "wrap", "headscarf"])
def test_hats_cover_the_crown_and_tuck_the_hair(kind: str) -> None:
    person = person_with(5, hair_style="curly", headwear=kind)
    skin, normals = skin_of(person)
    hat = headwear(person, skin, normals)
    assert hat is not None
    assert np.isfinite(hat.part.vertices).all()
    crown = skin[head_basis().neutral[:, 1] > 8.3]
    assert hat.part.vertices[:, 1].max() > crown[:, 1].max()
    assert hides_all_hair(person) == (kind == "headscarf")
    if kind == "beanie":
        strands, field = grow_hair(person, skin, normals, hairline_density(person))
        tucked = hat.tuck(strands[0].points, field).reshape(-1, 3)
        distance, _ = field(tucked[tucked[:, 1] > 8.1])
        assert np.quantile(distance, 0.98) < 0.06
