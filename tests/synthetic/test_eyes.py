"""Eyes and lashes."""

import numpy as np
import pytest

from panohead.synthetic.basis import head_basis
from panohead.synthetic.eyes import eye_and_mouth_parts, eyelashes, lash_edges
from panohead.synthetic.hair.field import build_field
from panohead.synthetic.mesh import Material, vertex_normals
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
