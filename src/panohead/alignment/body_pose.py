"""Coarse pose of a head without visible face, from MediaPipe's body landmarks (BlazePose).

The picture is seen twice, as it is and mirrored: the mean of the two answers is better than one, and how far they are
apart tells the guesses, of which there are many behind a yaw of 90. Cameras from here are marked coarse.
"""

import cmath
import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.face_landmarks import import_mediapipe, quiet

NOSE, LEFT_EAR, RIGHT_EAR = 0, 7, 8
FACELESS_YAW_DEG = 50.0
"""A face at a smaller yaw would have been found: the landmarks have front and back confused."""
_MIN_SIDE_PX = 16

BodyLandmarks = Float[np.ndarray, "33 4"]


@runtime_checkable
class BodyLandmarker(Protocol):
    """Finds a person's landmarks; :class:`MediaPipeBody` is the real one."""

    def body(self, image: UInt8[np.ndarray, "height width 3"]) -> BodyLandmarks | None:
        """Pixels (x right, y down, z away from the viewer) and visibility of the 33 landmarks."""
        ...


class MediaPipeBody:
    """BlazePose of the mediapipe wheel; the model is opened at the first use."""

    def __init__(self) -> None:
        self._pose: Any = None

    def body(self, image: UInt8[np.ndarray, "height width 3"]) -> BodyLandmarks | None:
        """Landmarks of the most prominent person, or None."""
        if min(image.shape[:2]) < _MIN_SIDE_PX:
            return None
        if self._pose is None:
            solution = import_mediapipe().solutions.pose.Pose
            self._pose = quiet(solution, static_image_mode=True, model_complexity=1, min_detection_confidence=0.3)
        found = self._pose.process(np.ascontiguousarray(image)).pose_landmarks
        if found is None:
            return None
        size = np.array([image.shape[1], image.shape[0], image.shape[1], 1.0])
        return np.array([[p.x, p.y, p.z, p.visibility] for p in found.landmark]) * size


def yaw_of_body(landmarks: BodyLandmarks, *, face_seen: bool = False) -> float:
    """Yaw in degrees (0 the front, positive from the side of the left ear): between what ears and nose say.

    Args:
        face_seen: whether a face was found. If none was, a frontal answer is taken for its mirror image behind.
    """
    points = landmarks[:, :3] * [1.0, -1.0, -1.0]
    ears = points[LEFT_EAR] - points[RIGHT_EAR]
    nose = points[NOSE] - (points[LEFT_EAR] + points[RIGHT_EAR]) / 2
    both = cmath.exp(1j * math.atan2(ears[2], ears[0])) + cmath.exp(1j * math.atan2(-nose[0], nose[2]))
    yaw = math.degrees(cmath.phase(both)) if abs(both) > 1e-9 else math.degrees(math.atan2(ears[2], ears[0]))
    if face_seen or abs(yaw) >= FACELESS_YAW_DEG:
        return yaw
    return (360.0 - yaw) % 360.0 - 180.0


def yaw_both_ways(image: UInt8[np.ndarray, "height width 3"], finder: BodyLandmarker) -> tuple[float, float] | None:
    """Yaw of a head without visible face, from the picture and its mirror image.

    Returns:
        (yaw, how far the two answers are apart), degrees; 180 apart when a person is found in one of the two only, None
        when in neither.
    """
    seen, mirrored = finder.body(image), finder.body(np.ascontiguousarray(image[:, ::-1]))
    yaws = [] if seen is None else [yaw_of_body(seen)]
    yaws += [] if mirrored is None else [-yaw_of_body(mirrored)]
    if len(yaws) < 2:
        return (yaws[0], 180.0) if yaws else None
    half = ((yaws[1] - yaws[0] + 180.0) % 360.0 - 180.0) / 2
    return (yaws[0] + half + 180.0) % 360.0 - 180.0, 2 * abs(half)
