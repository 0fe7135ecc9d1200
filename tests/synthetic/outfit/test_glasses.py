"""Glasses on heads."""

import numpy as np
import pytest

from panohead.synthetic.basis import head_basis
from panohead.synthetic.hair.field import build_field
from panohead.synthetic.mesh import Material, vertex_normals
from panohead.synthetic.outfit.glasses import glasses
from panohead.synthetic.shape import head_vertices
from synthetic.altered import person_with


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
