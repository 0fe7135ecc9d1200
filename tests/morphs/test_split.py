"""Splitting and cutting of meshes: the surface stays, what is cut opens."""

import numpy as np
import trimesh

from panohead.morphs.split import cut_where, edges_of, refined_where, split_edges


def plane(steps: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """A square of side 2 in the x-y plane, triangulated."""
    x, y = np.meshgrid(np.linspace(-1, 1, steps + 1), np.linspace(-1, 1, steps + 1))
    shift = np.array([0.013, 0.017, 0])
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1) + shift
    first = (np.arange(steps)[:, None] * (steps + 1) + np.arange(steps)).ravel()
    quads = np.stack([first, first + 1, first + steps + 2, first + steps + 1], axis=1)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def area(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)[:, 2] / 2


def test_any_pattern_of_split_edges_keeps_area_and_orientation() -> None:
    vertices, faces = plane()
    edges, of_face = edges_of(faces)
    for seed in range(4):
        chosen = np.random.default_rng(seed).random(len(edges)) < 0.5
        new = np.full(len(edges), -1)
        new[chosen] = len(vertices) + np.arange(chosen.sum())
        finer = np.concatenate([vertices, vertices[edges[chosen]].mean(axis=1)])
        parts = area(finer, split_edges(faces, of_face, new))
        assert parts.min() > 0
        np.testing.assert_allclose(parts.sum(), 4.0)
    everything = split_edges(faces, of_face, len(vertices) + np.arange(len(edges)))
    assert len(everything) == 4 * len(faces)


def test_refinement_stays_closed_on_the_surface_and_only_where_asked() -> None:
    box = trimesh.creation.box()
    longest = np.where(box.vertices[:, 2] > 0, 0.2, np.inf)
    vertices, faces = refined_where(np.asarray(box.vertices), np.asarray(box.faces), longest)
    finer = trimesh.Trimesh(vertices, faces, process=False)
    assert finer.is_watertight
    np.testing.assert_allclose([finer.area, finer.volume], [box.area, box.volume])
    ends = vertices[finer.edges_unique]
    top = (ends[:, :, 2] > 0.499).all(axis=1)
    assert np.linalg.norm(ends[top, 0] - ends[top, 1], axis=1).max() <= 0.2
    bottom = (ends[:, :, 2] < -0.499).all(axis=1)
    assert np.linalg.norm(ends[bottom, 0] - ends[bottom, 1], axis=1).max() >= 1


def test_cut_opens_between_its_ends_alone() -> None:
    vertices, faces = plane()
    everywhere = np.ones(len(vertices), bool)
    opening = 0.5 - np.abs(vertices[:, 0])
    cut, cut_faces, pairs = cut_where(vertices, faces, vertices[:, 1], everywhere, opening)
    np.testing.assert_allclose(area(cut, cut_faces).sum(), 4.0)
    np.testing.assert_allclose(cut[pairs[:, 0]], cut[pairs[:, 1]])
    assert np.abs(cut[pairs[:, 0], 1]).max() < 0.25  # within an edge of the line
    assert np.abs(cut[pairs[:, 0], 0]).max() <= 0.5 + 1e-9
    centers = cut[cut_faces].mean(axis=1)
    upper, lower = (np.isin(cut_faces, pairs[:, k]).any(axis=1) for k in (0, 1))
    assert (centers[upper, 1] > -0.04).all()
    assert (centers[lower, 1] < 0.04).all()
    # One piece still: it hangs together beyond the ends.
    assert trimesh.Trimesh(cut, cut_faces, process=False).body_count == 1
    whole, whole_faces, none = cut_where(vertices, faces, vertices[:, 1], everywhere, opening - 9)
    assert len(none) == 0
    np.testing.assert_allclose(area(whole, whole_faces).sum(), 4.0)
