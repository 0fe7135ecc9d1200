"""Cameras: laws over random inputs, then the original's numbers."""

import math

import pytest
import torch

from panohead.geometry import RADIUS, Camera, look_at_pose, rays_from_camera, sample_gaussian_pose, sample_uniform_pose
from panohead.geometry.camera import focal_from_official_fov
from panohead.geometry.pose_sampling import VideoPath, official_video_pose
from parity import golden


def _random_cameras(count: int) -> Camera:
    generator = torch.Generator().manual_seed(1)
    position = torch.randn(count, 3, generator=generator)
    return Camera.look_at(position, torch.randn(count, 3, generator=generator) * 0.1)


def test_rotation_is_orthonormal_and_right_handed() -> None:
    rotation = _random_cameras(50).cam2world[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(50))


def test_label_round_trip_is_exact() -> None:
    camera = _random_cameras(5)
    back = Camera.from_label(camera.to_label())
    assert torch.equal(back.cam2world, camera.cam2world)
    assert torch.equal(back.intrinsics, camera.intrinsics)


def test_front_label_is_the_official_one() -> None:
    label = Camera.orbit().to_label()
    expected = torch.zeros(25)
    expected[[0, 5, 10, 11, 15, 16, 18, 20, 21, 24]] = torch.tensor([1, -1, -1, RADIUS, 1, 4.2647, 0.5, 4.2647, 0.5, 1])
    torch.testing.assert_close(label, expected)


@pytest.mark.parametrize("yaw", [-170.0, -90.0, -30.0, 0.0, 60.0, 135.0])
def test_orbit_has_the_yaw_it_was_asked_for(yaw: float) -> None:
    camera = Camera.orbit(yaw_deg=yaw, pitch_deg=0)
    assert float(camera.angles_deg()[0]) == pytest.approx(yaw, abs=1e-3)
    assert float(camera.position.norm()) == pytest.approx(RADIUS, abs=1e-5)


def test_positive_yaw_is_plus_x_and_positive_pitch_is_above() -> None:
    assert Camera.orbit(yaw_deg=90).position[0] > 2.69
    assert Camera.orbit(pitch_deg=20).position[1] == pytest.approx(RADIUS * math.sin(math.radians(20)), abs=1e-5)


def test_mirror_twice_is_nothing_and_mirror_flips_yaw() -> None:
    camera = _random_cameras(5)
    assert torch.equal(camera.mirrored().mirrored().to_label(), camera.to_label())
    assert float(Camera.orbit(40).mirrored().angles_deg()[0]) == pytest.approx(-40, abs=1e-3)


def test_the_center_ray_meets_the_target() -> None:
    target = torch.tensor([0.1, -0.2, 0.3])
    camera = Camera.look_at(torch.tensor([1.0, 2.0, 3.0]), target).expand(1)
    origins, directions = rays_from_camera(camera, 9)
    origin, direction = origins[0, 40], directions[0, 40]
    distance = (target - origin).norm()
    torch.testing.assert_close(origin + distance * direction, target, atol=1e-5, rtol=0)


def test_rays_project_back_to_their_pixels() -> None:
    camera = _random_cameras(3)
    origins, directions = rays_from_camera(camera, 6)
    points = origins + 2.0 * directions
    in_camera = (points - camera.cam2world[:, None, :3, 3]) @ camera.cam2world[:, :3, :3]
    pixel = in_camera @ camera.intrinsics.transpose(1, 2)
    u = (pixel[..., 0] / pixel[..., 2]).reshape(3, 6, 6)
    v = (pixel[..., 1] / pixel[..., 2]).reshape(3, 6, 6)
    expected = (torch.arange(6) + 0.5) / 6
    torch.testing.assert_close(u, expected.expand(3, 6, 6), atol=1e-4, rtol=0)
    torch.testing.assert_close(v, expected[:, None].expand(3, 6, 6), atol=1e-4, rtol=0)


def test_translation_moves_the_center_only() -> None:
    camera = _random_cameras(2)
    moved = camera.translated(torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, -1.0]]))
    torch.testing.assert_close(moved.position - camera.position, torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, -1.0]]))
    assert torch.equal(moved.cam2world[:, :3, :3], camera.cam2world[:, :3, :3])


def test_golden_look_at_poses() -> None:
    h, v, radius = (golden.tensor("camera", key).float() for key in ("h", "v", "radius"))
    lookat = golden.tensor("camera", "lookat")
    golden.assert_close("camera", "lookat_pose", look_at_pose(h, v, target=lookat, radius=radius))
    golden.assert_close("camera", "gaussian_pose", look_at_pose(h, v, radius=radius))


def test_golden_random_samplers(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([golden.normal("cam/randn0", (6, 1)), golden.normal("cam/randn1", (6, 1))])
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: next(draws))
    pose = sample_gaussian_pose(1.4, 1.5, horizontal_std=0.3, vertical_std=0.155, batch=6)
    golden.assert_close("camera", "gaussian_rand_pose", pose)
    draws = iter([golden.uniform("cam2/rand0", (6, 1)), golden.uniform("cam2/rand1", (6, 1))])
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: next(draws))
    pose = sample_uniform_pose(1.4, 1.5, horizontal_range=0.6, vertical_range=0.3, radius=2.0, batch=6)
    golden.assert_close("camera", "uniform_rand_pose", pose)


def test_golden_angles_and_flips() -> None:
    labels = golden.tensor("camera", "labels")
    golden.assert_close("camera", "pose_angles_deg", Camera.from_label(labels).angles_deg())
    flipped = Camera.from_label(labels).mirrored()
    golden.assert_close("camera", "labels_flipped", flipped.to_label())
    golden.assert_close("camera", "pose_angles_flipped_deg", flipped.angles_deg())


@pytest.mark.parametrize("resolution", [7, 16])
def test_golden_rays(resolution: int) -> None:
    origins, directions = rays_from_camera(Camera.from_label(golden.tensor("camera", "ray_labels")), resolution)
    golden.assert_close("camera", f"ray_o_{resolution}", origins)
    golden.assert_close("camera", f"ray_d_{resolution}", directions)


def test_golden_focal_lengths() -> None:
    fov, intrinsics = golden.tensor("camera", "fov"), golden.tensor("camera", "fov_intrinsics")
    for degrees, matrix in zip(fov.tolist(), intrinsics, strict=True):
        assert focal_from_official_fov(degrees) == pytest.approx(float(matrix[0, 0]), abs=1e-5)


@pytest.mark.parametrize("pitch", [90.0, -90.0, 89.999])
def test_straight_above_and_below_are_proper_cameras(pitch: float) -> None:
    looked = Camera.look_at(torch.tensor([0.0, math.copysign(2.7, pitch), 0.0]), torch.zeros(3))
    for camera in (Camera.orbit(30, pitch), looked):
        rotation = camera.cam2world[:3, :3]
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-5, rtol=0)
        assert float(torch.linalg.det(rotation)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("key", "path"), [("path_head_gen_videos", "head"), ("path_head_pti", "head_pti"), ("path_ffhq", "ffhq")]
)
def test_golden_video_paths(key: str, path: VideoPath) -> None:
    frames = golden.tensor("misc", "path_frames").tolist()
    golden.assert_close("misc", key, torch.cat([official_video_pose(path, frame, 240) for frame in frames]))
