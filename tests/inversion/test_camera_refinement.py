"""Refined cameras against orbits."""

import pytest
import torch

from panohead.geometry import Camera
from panohead.inversion.camera_refinement import moved


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (70, 20), (180, -15)])
def test_a_moved_camera_is_the_orbit_s_neighbor(yaw: float, pitch: float) -> None:
    found = moved(Camera.orbit(yaw, pitch), torch.tensor([6.0, 4.0, 0, 0, 0]))
    torch.testing.assert_close(found.cam2world, Camera.orbit(yaw + 6, pitch + 4).cam2world, atol=1e-5, rtol=0)
    camera = Camera.orbit(yaw, pitch)
    back = moved(camera, torch.tensor([0, 0, 0, 0, -0.3]))
    torch.testing.assert_close(back.position.norm(), torch.tensor(3.0))
