"""Tubes and compact meshes."""

import numpy as np

from panohead.synthetic.mesh import compact, tube


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
