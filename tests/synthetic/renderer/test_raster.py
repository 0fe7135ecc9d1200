"""The z-buffer against rays: a slow one written here, and embree where it is installed."""

import numpy as np
import pytest

from panohead.synthetic.renderer.raster import empty_buffers, raster_strands, raster_triangles
from panohead.synthetic.renderer.render import project
from panohead.synthetic.renderer.scene import Scene
from panohead.synthetic.views import FOCAL, PersonView


def slow_triangles(screen: np.ndarray, triangles: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearness and index at every sample center, all triangles tried at each."""
    nearness, hit = np.full((size, size), -1e30), np.full((size, size), -1)
    for row in range(size):
        for column in range(size):
            p = np.array([column + 0.5, row + 0.5])
            for index, (a, b, c) in enumerate(screen[triangles]):
                matrix = np.stack([b[:2] - a[:2], c[:2] - a[:2]], 1)
                wb, wc = np.linalg.solve(matrix, p - a[:2])
                if wb >= 0 and wc >= 0 and wb + wc <= 1:
                    near = a[2] + wb * (b[2] - a[2]) + wc * (c[2] - a[2])
                    if near > nearness[row, column]:
                        nearness[row, column], hit[row, column] = near, index
    return nearness, hit


def test_triangles_equal_the_slow_reference() -> None:
    rng = np.random.default_rng(0)
    screen = (rng.uniform(-4, 20, (30, 3)) * [1, 1, 0.1]).astype(np.float32)
    triangles = rng.permutation(30).reshape(10, 3).astype(np.int32)
    nearness, hit = empty_buffers(16)
    raster_triangles(screen, triangles, nearness, hit)
    wanted_nearness, wanted_hit = slow_triangles(screen.astype(float), triangles, 16)
    assert (hit == wanted_hit).all()
    seen = hit >= 0
    assert seen.any()
    np.testing.assert_allclose(nearness[seen], wanted_nearness[seen], rtol=1e-5)


def test_hidden_ribbons_are_skipped_without_a_trace() -> None:
    """Surfaces first (so that ribbons behind them are skipped) equals ribbons first, where none is skipped."""
    rng = np.random.default_rng(1)
    size, count = 64, 400
    surface = (rng.uniform(-8, 72, (24, 3)) * [1, 1, 0.0] + [0, 0, 0.5]).astype(np.float32)
    surface[:, 2] = rng.uniform(0.45, 0.55, 24)
    triangles = rng.permutation(24).reshape(8, 3).astype(np.int32)
    strands = np.stack([*rng.uniform(0, size, (2, count)), rng.uniform(0.4, 0.6, count)], 1).astype(np.float32)
    strands[1::2] = strands[::2] + rng.normal(size=(count // 2, 3)).astype(np.float32) * [4, 4, 0.01]
    radius, follows = rng.uniform(0.3, 2.5, count).astype(np.float32), np.arange(count) % 2 == 0
    first, second = empty_buffers(size), empty_buffers(size)
    raster_triangles(surface, triangles, *first)
    raster_strands(strands, radius, follows, len(triangles), *first)
    raster_strands(strands, radius, follows, len(triangles), *second)
    raster_triangles(surface, triangles, *second)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (first[1] >= len(triangles)).mean() > 0.1
    assert ((first[1] >= 0) & (first[1] < len(triangles))).mean() > 0.1


@pytest.mark.parametrize("end", [(26.0, 20.0), (12.0, 28.0), (27.0, 6.0), (5.0, 7.0)])
def test_a_strand_covers_the_samples_within_its_radius(end: tuple[float, float]) -> None:
    size, radius = 32, 2.0
    screen = np.array([[6, 5, 1.0], [*end, 2.0]], np.float32)
    nearness, hit = empty_buffers(size)
    raster_strands(screen, np.full(2, radius, np.float32), np.array([True, False]), 7, nearness, hit)
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    direction = screen[1, :2] - screen[0, :2]
    length = np.linalg.norm(direction)
    away = np.stack([columns - 6, rows - 5], -1)
    along = away @ direction / length
    across = np.abs(away @ np.array([-direction[1], direction[0]])) / length
    inside = (across < radius - 0.05) & (along > radius) & (along < length - radius)
    outside = (across > radius + 0.05) | (along < -2 * radius) | (along > length + 2 * radius)
    assert inside.any() or length < 2 * radius
    assert (hit[inside] == 7).all()
    assert (hit[outside] == -1).all()
    covered = nearness[hit == 7]
    assert covered.min() >= 1 - 1e-6
    assert covered.max() <= 2 + 1e-6


def test_the_nearer_of_mesh_and_strand_wins() -> None:
    screen = np.array([[0, 0, 1], [40, 0, 1], [0, 40, 1]], np.float32)
    for depth, wanted in ((0.5, 0), (2.0, 1)):
        nearness, hit = empty_buffers(16)
        raster_triangles(screen, np.array([[0, 1, 2]], np.int32), nearness, hit)
        strand = np.array([[2, 8, depth], [14, 8, depth]], np.float32)
        raster_strands(strand, np.full(2, 1.5, np.float32), np.array([True, False]), 1, nearness, hit)
        assert hit[8, 8] == wanted


def test_embree_sees_the_same_surface(short_scene: Scene) -> None:
    rtcore_scene = pytest.importorskip("embreex.rtcore_scene")
    mesh_construction = pytest.importorskip("embreex.mesh_construction")
    size, pose = 96, PersonView(35.0, 10.0).cam2world()
    screen = project(short_scene.vertices, pose, FOCAL * size, size)
    nearness, hit = empty_buffers(size)
    raster_triangles(screen, short_scene.triangles, nearness, hit)
    scene = rtcore_scene.EmbreeScene()
    # The mesh must outlive the query: embree reads its buffers.
    mesh = mesh_construction.TriangleMesh(scene, short_scene.vertices, short_scene.triangles)
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    local = np.stack([(columns / size - 0.5) / FOCAL, (rows / size - 0.5) / FOCAL, np.ones_like(rows)], -1)
    rays = (local.reshape(-1, 3) @ pose[:3, :3].T).astype(np.float32)
    origins = np.broadcast_to(pose[:3, 3].astype(np.float32), rays.shape).copy()
    found = scene.run(origins, rays, query="INTERSECT", output=True)
    assert mesh is not None
    wanted = found["primID"].reshape(size, size)
    depth = found["tfar"].reshape(size, size)  # rays are unnormalised with unit z: tfar is z-depth
    both = (wanted >= 0) & (hit >= 0)
    assert both.mean() > 0.3
    assert ((wanted >= 0) == (hit >= 0)).mean() > 0.999
    assert (wanted[both] == hit[both]).mean() > 0.99
    difference = np.abs(1 / nearness[both] - depth[both])
    assert np.quantile(difference, 0.99) < 1e-5
