"""Projecting is the way back from rays; angles between cameras are those of their orbits."""

import pytest
import torch

from panohead.geometry import Camera, angle_between_deg, project, rays_from_camera


@pytest.mark.parametrize("yaw", [0.0, 75.0, -160.0])
def test_points_on_rays_project_to_their_pixels(yaw: float) -> None:
    camera, size = Camera.orbit(yaw, 12), 8
    origins, directions = rays_from_camera(camera.expand(1), size)
    depth = torch.linspace(2.0, 3.0, size * size)
    place, distance, ahead = project((origins + depth[:, None] * directions)[0], camera)
    centers = (torch.arange(size) + 0.5) / size * 2 - 1
    torch.testing.assert_close(place, torch.cartesian_prod(centers, centers).flip(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(distance, depth)
    assert bool(ahead.all())
    assert not bool(project((origins - directions)[0], camera)[2].any()), "behind the camera"


def test_angles_between_orbits() -> None:
    assert angle_between_deg(Camera.orbit(10), Camera.orbit(-30)) == pytest.approx(40, abs=0.05)
    assert angle_between_deg(Camera.orbit(0), Camera.orbit(180)) == pytest.approx(180, abs=0.1)
    assert angle_between_deg(Camera.orbit(0, 25), Camera.orbit(0, -5)) == pytest.approx(30, abs=0.05)
