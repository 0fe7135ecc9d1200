"""Cameras and rays. The conventions of the whole package are stated once, in :mod:`panohead.geometry.camera`."""

from panohead.geometry.camera import FOCAL, RADIUS, Camera, angle_between_deg
from panohead.geometry.camera_check import single_camera
from panohead.geometry.pose_sampling import look_at_pose, sample_gaussian_pose, sample_uniform_pose
from panohead.geometry.rays import project, rays_from_camera

__all__ = [
    "FOCAL",
    "RADIUS",
    "Camera",
    "angle_between_deg",
    "look_at_pose",
    "project",
    "rays_from_camera",
    "sample_gaussian_pose",
    "sample_uniform_pose",
    "single_camera",
]
