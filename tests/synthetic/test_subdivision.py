"""Catmull-Clark as a matrix, against the rules written out by hand."""

import numpy as np

from panohead.synthetic.subdivision import catmull_clark

CUBE = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def slow_catmull_clark(vertices: np.ndarray, quads: np.ndarray) -> set[tuple[float, ...]]:
    """The positions of all new points of a closed mesh, by loops."""
    faces = [vertices[q].mean(0) for q in quads]
    edges: dict[tuple[int, int], list[int]] = {}
    for f, quad in enumerate(quads):
        for k in range(4):
            a, b = sorted((int(quad[k]), int(quad[(k + 1) % 4])))
            edges.setdefault((a, b), []).append(f)
    points = list(faces)
    for (a, b), sides in edges.items():
        points.append((vertices[a] + vertices[b] + faces[sides[0]] + faces[sides[1]]) / 4)
    for v in range(len(vertices)):
        around = [faces[f] for f, quad in enumerate(quads) if v in quad]
        middles = [(vertices[a] + vertices[b]) / 2 for a, b in edges if v in (a, b)]
        n = len(around)
        points.append((np.mean(around, 0) + 2 * np.mean(middles, 0) + (n - 3) * vertices[v]) / n)
    return {tuple(np.round(p, 9) + 0.0) for p in points}


def test_a_cube_equals_the_rules_by_hand() -> None:
    matrix, quads = catmull_clark(CUBE_QUADS, 8)
    assert {tuple(np.round(p, 9) + 0.0) for p in matrix @ CUBE} == slow_catmull_clark(CUBE, CUBE_QUADS)
    assert quads.shape == (24, 4)


def test_rows_sum_to_one_so_that_moving_the_head_moves_its_refinement() -> None:
    matrix, _ = catmull_clark(CUBE_QUADS, 8)
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1, atol=1e-12)


def test_a_flat_sheet_stays_flat_and_keeps_its_straight_rim() -> None:
    grid = np.array([[x, y, 0.5 * x - y] for y in range(4) for x in range(4)], float)
    quads = np.array([[4 * y + x, 4 * y + x + 1, 4 * y + x + 5, 4 * y + x + 4] for y in range(3) for x in range(3)])
    matrix, fine = catmull_clark(quads, 16)
    new = matrix @ grid
    np.testing.assert_allclose(new[:, 2], 0.5 * new[:, 0] - new[:, 1], atol=1e-12)
    assert new[:, 0].min() >= 0
    assert new[:, 0].max() <= 3
    assert len(fine) == 36


def test_children_keep_the_orientation_of_their_quad() -> None:
    grid = np.array([[x, y, 0.0] for y in range(3) for x in range(3)], float)
    quads = np.array([[3 * y + x, 3 * y + x + 1, 3 * y + x + 4, 3 * y + x + 3] for y in range(2) for x in range(2)])
    matrix, fine = catmull_clark(quads, 9)
    new = matrix @ grid
    normals = np.cross(new[fine[:, 1]] - new[fine[:, 0]], new[fine[:, 2]] - new[fine[:, 0]])
    assert (normals[:, 2] > 0).all()
