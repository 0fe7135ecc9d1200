"""Angles of heads and cameras: signs and conventions."""

import numpy as np
import pytest
import torch

from panohead.alignment.angles import (
    camera_of_view,
    nearest_rotation,
    orbit_of_view,
    turned_upright,
    view_of_camera,
    view_of_head_angles,
    view_of_orbit,
)
from panohead.geometry.camera import Camera

YAWS = [-170.0, -95.0, -40.0, 0.0, 60.0, 135.0, 179.0]


@pytest.mark.parametrize("yaw", YAWS)
@pytest.mark.parametrize("pitch", [-35.0, 0.0, 50.0])
def test_orbit_angles_are_those_of_the_camera(yaw: float, pitch: float) -> None:
    camera = camera_of_view(view_of_orbit(yaw, pitch, 0.0))
    torch.testing.assert_close(camera.cam2world, Camera.orbit(yaw, pitch).cam2world, atol=1e-5, rtol=0)
    np.testing.assert_allclose(orbit_of_view(view_of_camera(camera)), (yaw, pitch, 0.0), atol=1e-4)


@pytest.mark.parametrize("angles", [(30.0, 20.0, -40.0), (-120.0, -10.0, 15.0), (90.0, 0.0, 5.0)])
def test_orbit_angles_come_back(angles: tuple[float, float, float]) -> None:
    view = view_of_orbit(*angles)
    np.testing.assert_allclose(orbit_of_view(view), angles, atol=1e-9)
    np.testing.assert_allclose(orbit_of_view(turned_upright(view, angles[2])), (*angles[:2], 0.0), atol=1e-9)


def test_roll_is_the_clockwise_tilt() -> None:
    up = view_of_orbit(0.0, 0.0, 30.0)[:2, 1]
    assert up[0] > 0
    assert np.degrees(np.arctan2(up[0], up[1])) == pytest.approx(30.0)


def test_head_angles_have_the_signs_of_their_networks() -> None:
    nose = view_of_head_angles(40.0, 0.0, 0.0)[:, 2]
    assert nose[0] < 0, "positive yaw turns the nose to the left of the image"
    assert view_of_head_angles(0.0, 25.0, 0.0)[1, 2] > 0, "positive pitch turns it up"
    assert view_of_head_angles(0.0, 0.0, 20.0)[0, 1] > 0, "positive roll tilts the head clockwise"
    yaw, pitch, roll = orbit_of_view(view_of_head_angles(40.0, 0.0, 0.0))
    np.testing.assert_allclose((yaw, pitch, roll), (40.0, 0.0, 0.0), atol=1e-9)
    assert orbit_of_view(view_of_head_angles(0.0, 25.0, 0.0))[1] == pytest.approx(-25.0)


def test_rotation_nearest_a_matrix() -> None:
    rotation = view_of_orbit(33.0, 10.0, -5.0)
    np.testing.assert_allclose(nearest_rotation(rotation * 1.3), rotation, atol=1e-12)
