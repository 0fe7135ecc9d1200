"""Head poses in the conventions of the detectors that give them, and the camera that follows.

*View* axes: x to the right of the image, y up, z to the viewer. A view rotation R brings the head's axes (its left, up,
nose) there; it is the identity for a face that looks into the camera. The camera's label is made of it as the original
does (docs/reference.md 6.5): ``cam2world = inverse(diag(1, -1, -1, 1) @ [R | (0, 0, -2.7)])``. All angles are degrees.
"""

import math

import numpy as np
import torch
from jaxtyping import Float

from panohead.geometry.camera import RADIUS, Camera, default_intrinsics

_OPENCV_FROM_VIEW = np.diag([1.0, -1.0, -1.0, 1.0])


def camera_of_view(rotation: Float[np.ndarray, "3 3"]) -> Camera:
    """Return the official camera of a head with this view rotation, at a distance of 2.7 from the origin."""
    # World axes are the head's, so [R | t] brings world to view; OpenCV's view has y down and z away from the viewer.
    world2view = np.eye(4)
    world2view[:3, :3] = rotation
    world2view[2, 3] = -RADIUS
    cam2world = np.linalg.inv(_OPENCV_FROM_VIEW @ world2view)
    return Camera(torch.from_numpy(cam2world.astype(np.float32)), default_intrinsics())


def view_of_camera(camera: Camera) -> Float[np.ndarray, "3 3"]:
    """Return the view rotation of one camera (without batch dimension); the inverse of :func:`camera_of_view`."""
    cam2world = camera.cam2world.double().numpy()
    view: np.ndarray = _OPENCV_FROM_VIEW[:3, :3] @ cam2world[:3, :3].T
    return view


def view_of_head_angles(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """Return the view rotation of the angles that WHENet, DirectMHP and similar networks give.

    Args:
        yaw_deg: positive turns the nose to the left of the image.
        pitch_deg: positive turns it up.
        roll_deg: positive tilts the head clockwise.
    """
    return about_x(-pitch_deg) @ about_y(-yaw_deg) @ about_z(-roll_deg)


def view_of_orbit(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """Return the view rotation of this package's angles: the camera's direction and the head's clockwise tilt.

    Args:
        yaw_deg: 0 the front, positive the side of the head's left ear, 180 the back.
        pitch_deg: positive has the camera above the head.
        roll_deg: turning the image counter-clockwise by it sets the head upright.
    """
    return about_z(-roll_deg) @ about_x(pitch_deg) @ about_y(-yaw_deg)


def orbit_of_view(rotation: Float[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """Return (yaw, pitch, roll) in degrees, the inverse of :func:`view_of_orbit`; defined for any rotation."""
    # The view's z axis in head axes: the direction from the head to the camera.
    toward = rotation[2]
    yaw = math.degrees(math.atan2(toward[0], toward[2]))
    pitch = math.degrees(math.asin(min(1.0, max(-1.0, float(toward[1])))))
    upright = about_x(pitch) @ about_y(-yaw)
    # The remainder turns about the view's z axis alone: rotation = about_z(-roll) @ upright.
    turn = rotation @ upright.T
    return yaw, pitch, -math.degrees(math.atan2(turn[1, 0], turn[0, 0]))


def turned_upright(rotation: Float[np.ndarray, "3 3"], angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """Return the view rotation in an image that was turned counter-clockwise by ``angle_deg``."""
    turned: np.ndarray = about_z(angle_deg) @ rotation
    return turned


def nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """Return the rotation nearest a matrix in the Frobenius norm: outputs of networks are only nearly orthonormal."""
    # Polar factor by singular values; the sign of the determinant keeps it from becoming a reflection (Kabsch).
    left, _, right = np.linalg.svd(matrix)
    rotation: np.ndarray = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    return rotation


def about_x(angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation about the x axis, from y to z."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def about_y(angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation about the y axis, from z to x."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def about_z(angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation about the z axis, from x to y: counter-clockwise in the image."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
