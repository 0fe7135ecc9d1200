"""Simplified and smoothed meshes stay closed, in place and colored."""

import sys

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.mesh.simplify import closed, simplified, smoothed
from panohead.mesh.surface import extract_surface
from panohead.mesh.texture import TextureVisuals
from panohead.mesh.trimesh_object import to_trimesh


def ringed(points: Tensor) -> Tensor:
    """A ball with thin handles, which simplification squeezes flat."""
    x, y, z = points.T
    density = 0.2 - points.norm(dim=1)
    for shift in (-0.1, 0.0, 0.1):
        ring = ((x - 0.2).square() + (y - shift).square()).sqrt() - 0.05
        density = torch.maximum(density, 0.012 - (ring.square() + z.square()).sqrt())
    return 10 + 400 * density


@pytest.fixture(scope="module")
def head() -> trimesh.Trimesh:
    surface = extract_surface(ringed, resolution=80, crop=0)
    rgb = ((surface.vertices / 0.3 * 0.5 + 0.5).clip(0, 1) * 255).astype(np.uint8)
    mesh = to_trimesh(surface, rgb, level=10)
    mesh.vertex_attributes["seen"] = (surface.vertices[:, 2] + 0.3).astype(np.float32)
    mesh.metadata["seen_share"] = 0.5
    return mesh


@pytest.mark.parametrize("triangles", [4000, 1000, 300])
def test_simplified_stays_closed_and_one_piece(head: trimesh.Trimesh, triangles: int) -> None:
    pytest.importorskip("fast_simplification")
    small = simplified(head, triangles)
    # Handles squeezed flat are taken away, and their triangles with them.
    assert 0.8 * triangles < len(small.faces) <= triangles
    assert small.is_watertight
    assert trimesh.Trimesh(small.vertices, small.faces).is_watertight, "vertices that share a place"
    assert small.body_count == 1
    assert small.volume == pytest.approx(head.volume, rel=0.03)
    assert small.metadata["watertight"] is True
    assert small.metadata["triangles"] == len(small.faces)
    assert small.metadata["seen_share"] == 0.5
    # Both are linear in the place, so at every vertex its own place tells what they must be.
    world = small.vertices * small.metadata["world_units_per_metre"]
    np.testing.assert_allclose(small.vertex_attributes["seen"], world[:, 2] + 0.3, atol=0.02)
    expected = (world / 0.3 * 0.5 + 0.5).clip(0, 1) * 255
    assert np.abs(small.visual.vertex_colors[:, :3] - expected).max() < 16


def test_small_enough_is_left_alone(head: trimesh.Trimesh) -> None:
    assert simplified(head, len(head.faces)) is head


def test_smoothing_keeps_volume_and_attributes(head: trimesh.Trimesh) -> None:
    smooth = smoothed(head, 10)
    assert smooth.volume == pytest.approx(head.volume, rel=0.01)
    assert not np.allclose(smooth.vertices, head.vertices, atol=1e-5)
    np.testing.assert_array_equal(smooth.faces, head.faces)
    np.testing.assert_array_equal(smooth.visual.vertex_colors, head.visual.vertex_colors)
    np.testing.assert_array_equal(smooth.vertex_attributes["seen"], head.vertex_attributes["seen"])
    assert smooth.metadata["level"] == 10


def tetrahedron(corners: list[int]) -> np.ndarray:
    a, b, c, d = corners
    return np.array([[a, c, b], [a, b, d], [b, c, d], [c, a, d]])


def test_pieces_that_share_an_edge_or_a_corner_are_taken_apart() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -0.5, 0], [0, 0, -0.5]], float)
    large = tetrahedron([0, 1, 2, 3])
    by_edge = tetrahedron([0, 1, 4, 5])
    a, b, c = points[[0, 1, 4]]
    if np.cross(b - a, c - a) @ (points[5] - a) < 0:
        by_edge = by_edge[:, ::-1]
    surface = closed(points, np.concatenate([large, by_edge]))
    assert len(surface.faces) == 4
    assert surface.volume == pytest.approx(1 / 6)


def test_flat_pockets_vanish() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], float)
    pocket = np.array([[0, 1, 4], [0, 4, 1]])
    surface = closed(points, np.concatenate([tetrahedron([0, 1, 2, 3]), pocket]))
    assert len(surface.faces) == 4


def test_errors(head: trimesh.Trimesh, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PanoHeadError, match="from 100 to"):
        simplified(head, 10)
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    with pytest.raises(PanoHeadError, match="pip install"):
        simplified(head, 500)
    painted = trimesh.Trimesh(head.vertices, head.faces, visual=TextureVisuals(uv=head.vertices[:, :2]), process=False)
    with pytest.raises(PanoHeadError, match="before it is textured"):
        simplified(painted, 500)
    with pytest.raises(PanoHeadError, match="before it is textured"):
        smoothed(painted)
