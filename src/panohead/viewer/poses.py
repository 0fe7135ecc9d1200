"""The browser's camera and ours: viser's world is set up like ours (y up, OpenCV camera axes), so only spheres differ.

The browser's camera orbits a point at a distance; a generator's cameras stand on one sphere around the head. So the
direction from that point to the camera becomes yaw and pitch, and the distance becomes the focal length.
"""

import math
from collections.abc import Iterable

from panohead.errors import UsageError
from panohead.geometry import FOCAL, RADIUS, Camera
from panohead.viewer.choices import ZOOM, Pose

MIN_DISTANCE = RADIUS / 2.5
MAX_DISTANCE = RADIUS * 1.25
"""Nearest and farthest position of the browser's camera, world units: zooms of 2.5 and 0.8."""
_DIGITS = 6
_POLE_DEG = 89.0
"""Largest pitch: nearer to the pole yaw is not defined well enough to be read from a direction."""


def pose_from(position: Iterable[float], look_at: Iterable[float]) -> Pose:
    """Return the pose of the browser's camera.

    Args:
        position: of the camera, three numbers in world units; viser gives an array.
        look_at: point that it orbits, likewise.

    Raises:
        UsageError: for numbers that are not finite, or a camera at the point itself.
    """
    x, y, z = (float(a) - float(b) for a, b in zip(position, look_at, strict=True))
    distance = math.sqrt(x * x + y * y + z * z)
    if not math.isfinite(distance) or distance < 1e-6:
        raise UsageError("the browser's camera has no direction; reset the view")
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, y / distance))))
    zoom = min(max(RADIUS / distance, ZOOM.low), ZOOM.high)
    pitch = min(max(pitch, -_POLE_DEG), _POLE_DEG)
    yaw = math.degrees(math.atan2(x, z))
    # The browser's own rounding would make another view of the same.
    return Pose(yaw_deg=round(yaw, _DIGITS), pitch_deg=round(pitch, _DIGITS), zoom=round(zoom, _DIGITS))


def is_out_of_reach(position: Iterable[float], look_at: Iterable[float]) -> bool:
    """Return True for a camera that is farther from its point than a visitor can move it."""
    return math.dist(list(position), list(look_at)) > 1.01 * MAX_DISTANCE


def position_of(pose: Pose) -> tuple[float, float, float]:
    """Return the position of the browser's camera that looks at the origin from a pose, world units."""
    yaw, pitch = math.radians(pose.yaw_deg), math.radians(pose.pitch_deg)
    distance = RADIUS / pose.zoom
    return (
        distance * math.cos(pitch) * math.sin(yaw),
        distance * math.sin(pitch),
        distance * math.cos(pitch) * math.cos(yaw),
    )


def camera_of(pose: Pose) -> Camera:
    """Return our camera of a pose, without batch dimension."""
    return Camera.orbit(pose.yaw_deg, pose.pitch_deg, focal=FOCAL * pose.zoom)


def vertical_fov(canvas: tuple[int, int]) -> float:
    """Return the browser's vertical field of view in radians at which a mesh covers the head's image.

    Args:
        canvas: width and height in pixels; the head's square image fills the shorter side.
    """
    width, height = canvas
    return 2 * math.atan(0.5 / FOCAL * max(1.0, height / width))


def label_text(pose: Pose) -> str:
    """Return the camera's label, 25 numbers, as text that can be copied into a dataset.json."""
    return ", ".join(f"{number:.6g}" for number in camera_of(pose).to_label().tolist())
