"""Eyes, clothes and glasses sit where they should."""

import numpy as np
import pytest

from panohead.synthetic.basis import head_basis
from panohead.synthetic.eyes import eye_and_mouth_parts, eyelashes, lash_edges
from panohead.synthetic.glasses import glasses
from panohead.synthetic.hair.field import build_field
from panohead.synthetic.head import build_head, to_world
from panohead.synthetic.mesh import Material, compact, tube, vertex_normals
from panohead.synthetic.shape import head_vertices
from synthetic.altered import person_with


@pytest.mark.parametrize("index", [0, 4, 9])
def test_the_eye_is_behind_the_lids_but_for_its_front(index: int) -> None:
    person = person_with(index, expression={}, gaze=(0.0, 0.0))
    basis, coarse = head_basis(), head_vertices(person)
    skin = basis.subdivide(coarse)
    normals = vertex_normals(skin, basis.fine_triangles)
    field = build_field(skin, normals)
    for eye in [p for p in eye_and_mouth_parts(person, coarse) if p.material is Material.EYE]:
        middle = (eye.vertices.max(0) + eye.vertices.min(0)) / 2
        distance, _ = field(eye.vertices)
        outside = eye.vertices[distance > 0.03]
        assert len(outside) < 0.1 * len(eye.vertices)
        if len(outside):  # only the cornea may stand out between the lids
            assert (outside[:, 2] > middle[2]).all()


def test_irises_are_dark_in_the_middle_and_white_is_pale() -> None:
    person = person_with(0)
    eye = eye_and_mouth_parts(person, head_vertices(person))[0]
    assert eye.albedo[:48].max() < 0.01  # the pole is the pupil
    assert eye.albedo[-48 * 10 :].min() > 0.3


def test_lashes_start_at_the_lids() -> None:
    person = person_with(0)
    coarse = head_vertices(person)
    skin = head_basis().subdivide(coarse)
    lashes = eyelashes(person, coarse, lash_edges(coarse, skin))
    assert lashes is not None
    roots = np.linalg.norm(lashes.points[:, 0, None] - skin[None, ::40], axis=-1).min(1)
    tips = np.linalg.norm(lashes.points[:, -1, None] - skin[None, ::40], axis=-1).min(1)
    assert np.median(roots) < np.median(tips)


@pytest.mark.parametrize("shape", ["round", "square", "aviator", "sunglasses"])
def test_glasses_stand_before_both_eyes_and_reach_the_ears(shape: str) -> None:
    person = person_with(6, glasses=shape)
    basis, coarse = head_basis(), head_vertices(person)
    skin = basis.subdivide(coarse)
    field = build_field(skin, vertex_normals(skin, basis.fine_triangles))
    parts = glasses(person, coarse, skin, field)
    frame = np.concatenate([p.vertices for p in parts])
    assert (sum(p.material is Material.LENS for p in parts) == 2) == (shape == "sunglasses")
    assert np.isfinite(frame).all()
    for side in "lr":
        eye = coarse[np.unique(basis.helpers[f"helper-{side}-eye"])].mean(0)
        before = frame[np.hypot(frame[:, 0] - eye[0], frame[:, 1] - eye[1]) < 0.4]
        assert before[:, 2].max() > eye[2]
    ears = skin[basis.masks["ears"] > 0.3]
    assert frame[:, 2].min() < ears[:, 2].max()
    distance, _ = field(frame)
    assert np.quantile(distance, 0.05) > -0.03


def test_no_glasses_no_parts() -> None:
    person = person_with(6, glasses="none")
    coarse = head_vertices(person)
    skin = head_basis().subdivide(coarse)
    field = build_field(skin, vertex_normals(skin, head_basis().fine_triangles))
    assert glasses(person, coarse, skin, field) == []


def test_a_garment_covers_the_shoulders_and_bare_ones_have_none() -> None:
    dressed, bare = (build_head(person_with(2, clothes=c, headwear="none")) for c in ("crew", "none"))
    assert sum(p.material is Material.CLOTH for p in dressed.parts) == 1
    assert sum(p.material is Material.CLOTH for p in bare.parts) == 0
    cloth = next(p for p in dressed.parts if p.material is Material.CLOTH)
    assert cloth.vertices[:, 1].max() < 0  # below the face
    # The skin that nobody sees is left out.
    assert len(dressed.parts[0].triangles) < len(bare.parts[0].triangles)


def test_the_world_is_a_similarity_of_the_head_frame() -> None:
    points = np.random.default_rng(0).normal(size=(10, 3))
    moved = to_world(points)
    ratio = np.linalg.norm(moved[1:] - moved[0], axis=1) / np.linalg.norm(points[1:] - points[0], axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    assert ratio[0] == pytest.approx(0.2563)
    up = to_world(np.array([[0.0, 8.0, 0.58], [0.0, 7.0, 0.58]]))
    assert up[0, 1] > up[1, 1]


def test_heads_lie_in_the_official_frame() -> None:
    """Face and skull of every person fit into the frame of half-size 0.3166 at the front."""
    basis = head_basis()
    for index in range(12):
        skin = to_world(basis.subdivide(head_vertices(person_with(index))))
        head = skin[basis.neutral[:, 1] > 6.6]
        assert np.abs(head[:, 0]).max() < 0.29
        assert head[:, 2].max() < 0.35
        assert head[:, 2].min() > -0.36
        assert 0.22 < head[:, 1].max() < 0.40


def test_tubes_have_their_radius() -> None:
    path = np.stack([np.linspace(0, 2, 20), np.zeros(20), np.zeros(20)], 1)
    vertices, triangles = tube(path, (0.1, 0.1), closed=False)
    np.testing.assert_allclose(np.linalg.norm(vertices[:, 1:], axis=1), 0.1, atol=1e-12)
    assert triangles.max() == len(vertices) - 1


def test_compacting_renumbers_faces() -> None:
    vertices = np.arange(30.0).reshape(10, 3)
    used, faces = compact(np.array([[2, 5, 7], [7, 5, 9]]), vertices)
    np.testing.assert_array_equal(used, [2, 5, 7, 9])
    np.testing.assert_array_equal(vertices[used][faces], vertices[[[2, 5, 7], [7, 5, 9]]])
