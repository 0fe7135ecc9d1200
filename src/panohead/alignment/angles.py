"""Head poses in the conventions of the detectors that give them, and the camera that follows.

*View* axes: x to the right of the picture, y up, z to the viewer. A view rotation brings the head's axes (its left, up,
nose) there; it is the identity for a face that looks into the camera. The camera's label is made of it as the original
does (facts section 6): ``cam2world = inverse(diag(1, -1, -1, 1) * shift z by -2.7 * R)``.
"""

import math

import numpy as np
import torch
from jaxtyping import Float

from panohead.geometry.camera import RADIUS, Camera, default_intrinsics

_OPENCV_FROM_VIEW = np.diag([1.0, -1.0, -1.0, 1.0])


def camera_of_view(rotation: Float[np.ndarray, "3 3"]) -> Camera:
    """The official camera that sees the head so turned, at a distance of 2.7 from the origin."""
    world2view = np.eye(4)
    world2view[:3, :3] = rotation
    world2view[2, 3] = -RADIUS
    cam2world = np.linalg.inv(_OPENCV_FROM_VIEW @ world2view)
    return Camera(torch.from_numpy(cam2world.astype(np.float32)), default_intrinsics())


def view_of_camera(camera: Camera) -> Float[np.ndarray, "3 3"]:
    """The view rotation of one camera; the inverse of :func:`camera_of_view`."""
    cam2world = camera.cam2world.double().numpy()
    view: np.ndarray = _OPENCV_FROM_VIEW[:3, :3] @ cam2world[:3, :3].T
    return view


def view_of_head_angles(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """From the angles that WHENet, DirectMHP and their like give.

    Args:
        yaw_deg: positive turns the nose to the left of the picture.
        pitch_deg: positive turns it up.
        roll_deg: positive tilts the head clockwise.
    """
    return about_x(-pitch_deg) @ about_y(-yaw_deg) @ about_z(-roll_deg)


def view_of_orbit(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """From this package's angles: where the camera stands, and the head's clockwise tilt in the picture.

    Args:
        yaw_deg: 0 the front, positive the side of the head's left ear, 180 the back.
        pitch_deg: positive has the camera above the head.
        roll_deg: turning the picture counter-clockwise by it sets the head upright.
    """
    return about_z(-roll_deg) @ about_x(pitch_deg) @ about_y(-yaw_deg)


def orbit_of_view(rotation: Float[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees, as :func:`view_of_orbit` takes them; any rotation has such."""
    toward = rotation[2]
    yaw = math.degrees(math.atan2(toward[0], toward[2]))
    pitch = math.degrees(math.asin(min(1.0, max(-1.0, float(toward[1])))))
    upright = about_x(pitch) @ about_y(-yaw)
    turn = rotation @ upright.T
    return yaw, pitch, -math.degrees(math.atan2(turn[1, 0], turn[0, 0]))


def turned_upright(rotation: Float[np.ndarray, "3 3"], angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """The view rotation in a picture that was turned counter-clockwise by ``angle_deg``."""
    turned: np.ndarray = about_z(angle_deg) @ rotation
    return turned


def nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation nearest a matrix: what networks put out is orthonormal only nearly."""
    left, _, right = np.linalg.svd(matrix)
    rotation: np.ndarray = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    return rotation


def about_x(angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about the x axis, from y to z."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def about_y(angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about the y axis, from z to x."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def about_z(angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about the z axis, from x to y: counter-clockwise in the picture."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
