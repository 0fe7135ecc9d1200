"""Coarse pose of a head without visible face, from MediaPipe's body landmarks (BlazePose).

The detector is run twice, on the image and on its mirror image: the mean of the two answers is better than one, and
their difference tells the guesses, of which there are many behind a yaw of 90. Cameras from here are marked coarse.
"""

import cmath
import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.face_landmarks import import_mediapipe, quiet

NOSE, LEFT_EAR, RIGHT_EAR = 0, 7, 8
"""Indices of BlazePose's 33 landmarks."""
FACELESS_YAW_DEG = 50.0
"""|yaw| below which a face would have been found: without one, the landmarks have front and back confused."""
_MIN_SIDE_PX = 16

BodyLandmarks = Float[np.ndarray, "33 4"]


@runtime_checkable
class BodyLandmarker(Protocol):
    """Detector of a person's landmarks; :class:`MediaPipeBody` is the built-in one."""

    def body(self, image: UInt8[np.ndarray, "height width 3"]) -> BodyLandmarks | None:
        """Return pixels (x right, y down, z away from the viewer) and visibility (0 to 1) of 33 landmarks, or None."""
        ...


class MediaPipeBody:
    """BlazePose of the mediapipe wheel (extra ``face``); the model is opened at the first use."""

    def __init__(self) -> None:
        self._pose: Any = None

    def body(self, image: UInt8[np.ndarray, "height width 3"]) -> BodyLandmarks | None:
        """Return the landmarks of the most prominent person; None without one or in images below 16 pixels."""
        if min(image.shape[:2]) < _MIN_SIDE_PX:
            return None
        if self._pose is None:
            solution = import_mediapipe().solutions.pose.Pose
            self._pose = quiet(solution, static_image_mode=True, model_complexity=1, min_detection_confidence=0.3)
        found = self._pose.process(np.ascontiguousarray(image)).pose_landmarks
        if found is None:
            return None
        size = np.array([image.shape[1], image.shape[0], image.shape[1], 1.0])
        # 33 4
        return np.array([[p.x, p.y, p.z, p.visibility] for p in found.landmark]) * size


def yaw_of_body(landmarks: BodyLandmarks, *, face_found: bool = False) -> float:
    """Return the yaw in degrees (0 the front, positive from the side of the left ear), the mean of ears' and nose's.

    Args:
        face_found: True when a face was found. If none was, a frontal answer is taken for its mirror image behind.
    """
    # To axes with y up and z to the viewer, as everywhere else here.
    points = landmarks[:, :3] * [1.0, -1.0, -1.0]
    # From the front (yaw 0) the left ear lies to the right of the right one, and the nose towards the viewer.
    ears = points[LEFT_EAR] - points[RIGHT_EAR]
    nose = points[NOSE] - (points[LEFT_EAR] + points[RIGHT_EAR]) / 2
    # The mean of two angles is the angle of the sum of their unit vectors.
    both = cmath.exp(1j * math.atan2(ears[2], ears[0])) + cmath.exp(1j * math.atan2(-nose[0], nose[2]))
    yaw = math.degrees(cmath.phase(both)) if abs(both) > 1e-9 else math.degrees(math.atan2(ears[2], ears[0]))
    if face_found or abs(yaw) >= FACELESS_YAW_DEG:
        return yaw
    # The mirror image at the plane through the ears: yaw becomes 180 - yaw, here within -180 to 180.
    return (360.0 - yaw) % 360.0 - 180.0


def yaw_both_ways(image: UInt8[np.ndarray, "height width 3"], detector: BodyLandmarker) -> tuple[float, float] | None:
    """Estimate the yaw of a head without visible face from an image and its mirror image.

    Returns:
        (yaw, difference of the two answers) in degrees; the difference is 180 when a person is found in one of the two
        only. None when a person is found in neither.
    """
    straight, mirrored = detector.body(image), detector.body(np.ascontiguousarray(image[:, ::-1]))
    yaws = [] if straight is None else [yaw_of_body(straight)]
    yaws += [] if mirrored is None else [-yaw_of_body(mirrored)]
    if len(yaws) < 2:
        return (yaws[0], 180.0) if yaws else None
    # The shorter way round the circle.
    half = ((yaws[1] - yaws[0] + 180.0) % 360.0 - 180.0) / 2
    return (yaws[0] + half + 180.0) % 360.0 - 180.0, 2 * abs(half)
