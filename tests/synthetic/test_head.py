"""The head in the world."""

import numpy as np
import pytest

from panohead.synthetic.basis import head_basis
from panohead.synthetic.head import to_world
from panohead.synthetic.shape import head_vertices
from synthetic.altered import person_with


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
