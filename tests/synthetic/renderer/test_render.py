"""Color, mask, depth and normals of one view agree with each other, and two views with one surface."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from panohead.synthetic.head import SyntheticHead
from panohead.synthetic.renderer.lighting import Lighting, sample_lighting
from panohead.synthetic.renderer.render import Rendered, render
from panohead.synthetic.renderer.scene import Scene, build_scene
from panohead.synthetic.renderer.shade import gather_light
from panohead.synthetic.views import FOCAL, PersonView

SIZE = 96


def lighting() -> Lighting:
    return sample_lighting(np.random.default_rng(4))


def points_of(rendered: Rendered, view: PersonView) -> tuple[np.ndarray, np.ndarray]:
    """World points of the pixels that see something, and the unit rays to all pixels."""
    pose = view.cam2world()
    rows, columns = (np.mgrid[0:SIZE, 0:SIZE] + 0.5) / SIZE - 0.5
    rays = np.stack([columns / FOCAL, rows / FOCAL, np.ones_like(rows)], -1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ pose[:3, :3].T
    points = pose[:3, 3] + rendered.depth[..., None] * rays
    return points[rendered.depth > 0], rays


def test_mask_and_depth_agree_but_at_edges(short_scene: Scene) -> None:
    seen = render(short_scene, PersonView(20.0, 5.0), lighting(), SIZE, FOCAL)
    assert ((seen.depth > 0) == (seen.mask >= 0.5)).mean() > 0.985
    assert (seen.depth[seen.mask >= 0.999] > 0).all()
    assert (seen.depth[seen.mask == 0] == 0).all()
    assert seen.color[seen.mask == 0].max() == 0
    assert 0.3 < seen.mask.mean() < 0.8


def test_depth_is_the_distance_along_the_ray(short_scene: Scene) -> None:
    """The nearest vertex of the scene to the unprojected point lies on the same surface."""
    view = PersonView(-50.0, 12.0)
    points, _ = points_of(render(short_scene, view, lighting(), SIZE, FOCAL), view)
    away, _ = cKDTree(np.concatenate([short_scene.vertices, short_scene.points])).query(points)
    assert np.median(away) < 0.004
    assert np.quantile(away, 0.99) < 0.02


def seen_from(points: np.ndarray, view: PersonView, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of points to a camera, and what its depth map holds at their pixels (0 outside)."""
    pose = view.cam2world()
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    pixel = np.floor((local[:, :2] / local[:, 2:] * FOCAL + 0.5) * SIZE).astype(int)
    inside = ((pixel >= 0) & (pixel < SIZE)).all(1)
    stored = np.zeros(len(points))
    stored[inside] = depth[pixel[inside, 1], pixel[inside, 0]]
    return np.linalg.norm(local, axis=1), stored


def test_two_views_see_one_surface(long_head: SyntheticHead) -> None:
    scene = build_scene(long_head)
    first, second = PersonView(0.0, 0.0), PersonView(25.0, 8.0)
    points, _ = points_of(render(scene, first, lighting(), SIZE, FOCAL), first)
    away, stored = seen_from(points, second, render(scene, second, lighting(), SIZE, FOCAL).depth)
    difference = np.abs(away - stored)[stored > 0]
    co_visible = difference[difference < 0.03]
    assert len(co_visible) > 0.6 * len(difference)
    assert np.median(co_visible) < 0.004
    # A camera that is only 2 degrees off must fail the same test.
    away, stored = seen_from(points, PersonView(27.0, 8.0), render(scene, second, lighting(), SIZE, FOCAL).depth)
    wrong = np.abs(away - stored)[stored > 0]
    assert np.median(wrong[wrong < 0.03]) > 0.0045


def test_normals_have_unit_length_and_face_the_camera(short_scene: Scene) -> None:
    view = PersonView(70.0, -10.0)
    seen = render(short_scene, view, lighting(), SIZE, FOCAL)
    hit = seen.depth > 0
    np.testing.assert_allclose(np.linalg.norm(seen.normals[hit], axis=-1), 1, atol=1e-5)
    assert (seen.normals[~hit] == 0).all()
    _, rays = points_of(seen, view)
    assert ((seen.normals * rays).sum(-1)[hit] < 0.1).mean() > 0.98


def test_normals_agree_with_the_slope_of_the_depth(short_scene: Scene) -> None:
    view = PersonView(0.0, 0.0)
    seen = render(short_scene, view, lighting(), SIZE, FOCAL)
    pose = view.cam2world()
    _, rays = points_of(seen, view)
    points = pose[:3, 3] + seen.depth[..., None] * rays
    slope = np.cross(points[1:-1, 2:] - points[1:-1, :-2], points[:-2, 1:-1] - points[2:, 1:-1])
    slope /= np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-12)
    forehead = (slice(30, 60), slice(35, 60))
    cosine = (slope * seen.normals[1:-1, 1:-1]).sum(-1)[forehead]
    assert np.median(cosine) > 0.95


def test_rendering_is_deterministic(short_scene: Scene) -> None:
    first, second = (render(short_scene, PersonView(10.0, 0.0), lighting(), 48, FOCAL) for _ in range(2))
    for name in ("color", "mask", "depth", "normals"):
        assert (getattr(first, name) == getattr(second, name)).all()


def test_the_face_looks_toward_the_frontal_camera(short_scene: Scene) -> None:
    """The nose is the point nearest a camera at yaw 0, and lies left of the middle for a camera on +x."""
    front = render(short_scene, PersonView(0.0, 0.0), lighting(), SIZE, FOCAL)
    depth = np.where(front.depth > 0, front.depth, 9)
    upper = depth[: SIZE * 3 // 4]
    row, column = np.unravel_index(upper.argmin(), upper.shape)
    assert abs(column - SIZE / 2) < 0.06 * SIZE
    assert 0.35 * SIZE < row < 0.65 * SIZE
    side = render(short_scene, PersonView(90.0, 0.0), lighting(), SIZE, FOCAL)
    columns = np.nonzero(side.mask[int(row)] > 0.5)[0]
    assert columns.min() < 0.2 * SIZE  # the profile looks to the left


def test_light_is_gathered_whole(short_scene: Scene) -> None:
    light = lighting()
    gathered = gather_light(short_scene, light).sum(0)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(gathered, light.radiance(directions).mean(0) * 4 * np.pi, rtol=0.02)


def test_shadows_fall_away_from_the_light(short_scene: Scene) -> None:
    """On the bare face, light from where the normal points arrives; light from behind the head does not."""
    skin = (short_scene.material == 0) & (short_scene.vertices[:, 2] > 0.15) & (short_scene.vertices[:, 1] > 0.0)
    facing = short_scene.normals @ short_scene.directions.T.astype(np.float64)
    light = short_scene.vertex_light.T / 255
    assert np.median(light[skin][facing[skin] > 0.7]) > 0.9
    behind = short_scene.directions[:, 2] < -0.8
    assert behind.any()
    assert np.median(light[skin][:, behind]) < 0.05


def test_twice_the_light_is_twice_the_color(short_scene: Scene) -> None:
    light = lighting()
    double = replace(
        light,
        above=tuple(2 * x for x in light.above),
        below=tuple(2 * x for x in light.below),
        colors=2 * light.colors,
    )
    one, two = (render(short_scene, PersonView(0.0, 0.0), x, 32, FOCAL).color for x in (light, double))
    matte = one.max(-1) < 0.5  # clipped or limited highlights do not double
    np.testing.assert_allclose(two[matte], 2 * one[matte], rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("resolution", [32, 64])
def test_resolution_changes_the_sampling_not_the_frame(short_scene: Scene, resolution: int) -> None:
    reference = render(short_scene, PersonView(30.0, 0.0), lighting(), 128, FOCAL).mask
    factor = 128 // resolution
    pooled = reference.reshape(resolution, factor, resolution, factor).mean((1, 3))
    mask = render(short_scene, PersonView(30.0, 0.0), lighting(), resolution, FOCAL).mask
    assert np.abs(pooled - mask).mean() < 0.01
