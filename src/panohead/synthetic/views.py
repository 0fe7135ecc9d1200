"""Sampling of cameras: yaw stratified over the circle, pitch normal and clipped; one 25-number label each."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RADIUS = 2.7
FOCAL = 4.2647
PITCH_LIMIT_DEG = 35.0


@dataclass(frozen=True)
class PersonView:
    """Direction of a camera in degrees. Yaw 0 is the front, positive toward +x; pitch is positive above the head."""

    yaw_deg: float
    pitch_deg: float

    def cam2world(self) -> Float[np.ndarray, "4 4"]:
        """Return OpenCV axes (x right, y down, z forward) on the sphere of radius 2.7, facing the origin."""
        yaw, pitch = np.radians(self.yaw_deg), np.radians(self.pitch_deg)
        back = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, -np.cross(back, right), -back], 1)
        pose[:3, 3] = RADIUS * back
        return pose

    def label(self, focal: float) -> list[float]:
        """Return 16 numbers of cam2world and 9 of the normalized intrinsics, row-major, rounded to 6 digits as in the
        official labels."""
        intrinsics = [focal, 0.0, 0.5, 0.0, focal, 0.5, 0.0, 0.0, 1.0]
        return [round(float(x), 6) + 0.0 for x in [*self.cam2world().ravel(), *intrinsics]]


def sample_views(rng: np.random.Generator, count: int, pitch_std_deg: float) -> list[PersonView]:
    """Sample ``count`` views of one person, one in each of ``count`` equal sectors of a randomly turned circle."""
    turn = rng.uniform(0, 360)
    views = []
    for k in range(count):
        yaw = turn + 360 / count * (k + rng.uniform(0, 1))
        pitch = float(np.clip(rng.normal() * pitch_std_deg, -PITCH_LIMIT_DEG, PITCH_LIMIT_DEG))
        views.append(PersonView(float((yaw + 180) % 360 - 180), pitch))
    return views
