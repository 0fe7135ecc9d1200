"""The check of one camera that a user gives: one pose that is a rigid motion, and intrinsics that are not in pixels."""

import numpy as np

from panohead.errors import UsageError
from panohead.geometry.camera import Camera
from panohead.limits import FOCAL_LENGTH, PRINCIPAL_POINT

_ROUNDING = 0.02  # labels of other tools have three decimals


def single_camera(camera: Camera, name: str = "camera") -> Camera:
    """Return one camera without batch dimensions, after a check of its numbers.

    Args:
        camera: without batch dimensions, or with some of size 1.
        name: argument, for the sentence.

    Raises:
        UsageError: when it is no camera or several, a number is not finite, cam2world is no rigid motion, or the
            intrinsics are not divided by the image size.
    """
    if not isinstance(camera, Camera):
        raise UsageError(f"{name} is of type {type(camera).__name__}; give a Camera, such as Camera.orbit(yaw_deg=30)")
    if camera.cam2world.numel() != 16:
        count = camera.cam2world.numel() // 16
        raise UsageError(f"{name} holds {count} cameras; give one at a time, such as Camera.from_label(labels[0])")
    single = Camera(camera.cam2world.reshape(4, 4), camera.intrinsics.reshape(3, 3))
    pose = single.cam2world.detach().double().cpu().numpy()
    intrinsics = single.intrinsics.detach().double().cpu().numpy()
    for what, matrix, last in (("cam2world", pose, [0, 0, 0, 1]), ("intrinsics", intrinsics, [0, 0, 1])):
        if not np.isfinite(matrix).all():
            raise UsageError(f"the {what} of {name} holds numbers that are not finite; give another camera")
        if np.abs(matrix[-1] - last).max() > _ROUNDING:
            row = " ".join(map(str, last))
            raise UsageError(f"the last row of the {what} of {name} is {_row(matrix[-1])}, not {row}; transpose it")
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > _ROUNDING or np.linalg.det(rotation) < 0:
        raise UsageError(f"the first 3 x 3 numbers of the cam2world of {name} are no rotation; give a rigid motion")
    remedy = "divide pixels by the image size"
    for what, value, allowed in (
        ("focal length", intrinsics[0, 0], FOCAL_LENGTH),
        ("focal length", intrinsics[1, 1], FOCAL_LENGTH),
        ("principal point", intrinsics[0, 2], PRINCIPAL_POINT),
        ("principal point", intrinsics[1, 2], PRINCIPAL_POINT),
    ):
        if value not in allowed:
            ends = f"{allowed.low:g} to {allowed.high:g} {allowed.unit}"
            raise UsageError(f"the {what} of {name} is {value:.6g}, not {ends}; {remedy}")
    return single


def _row(values: np.ndarray) -> str:
    return " ".join(f"{value:.4g}" for value in values)
