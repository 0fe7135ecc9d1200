"""Coarse pose of a head without visible face, from MediaPipe's body landmarks (BlazePose).

The detector is run twice, on the image and on its mirror image: the mean of the two answers is better than one, and
their difference tells the guesses, of which there are many behind a yaw of 90. Where the two differ it is run again in
windows around the head, and what most readings say counts. Cameras from here are marked coarse.
"""

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.crop import HeadCrop, cut_window
from panohead.alignment.face_landmarks import import_mediapipe, quiet

NOSE, LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 7, 8, 11, 12
"""Indices of BlazePose's 33 landmarks."""
FACELESS_YAW_DEG = 50.0
"""|yaw| below which a face would have been found: without one, the landmarks have front and back confused."""
AGREEMENT_DEG = 25.0
"""Difference between the yaws of two readings up to which they agree."""
_MIN_SIDE_PX = 16
_WINDOW_PX = 512
_WINDOW_HALVES = (2.0, 3.0)
"""Halves of the sides of the windows around a head, in distances from its ears to the shoulders."""
_ROUNDS, _GROWN = 3, 1.5
"""Number of times that larger windows are tried, and how much larger the person in them must be for another one."""
_SAME_TILT_DEG, _OTHER_TILT_DEG = 30.0, 60.0
"""Difference of tilts below which two readings agree, and from which a body stands otherwise than a face."""
_NECK_OF_HALF = 0.5
"""Distance from ears to shoulders, in halves of the crop's core, up to which landmarks have shrunk."""
_SHRUNK = 0.5
"""Readings whose distance from ears to shoulders is less than this share of the largest have shrunk."""

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


@dataclass(frozen=True)
class BodyReading:
    """One answer of a detector on a person without visible face.

    Attributes:
        yaw_deg: yaw of the head, -180 to 180.
        ears: midpoint of the ears, pixels (x right, y down).
        neck_px: distance from there to the middle of the shoulders, pixels: about 0.6 sides of the head's frame, and
            much less where the landmarks have shrunk to a part of the head.
        tilt_deg: clockwise tilt of the ears over the shoulders in the image, -180 to 180.
    """

    yaw_deg: float
    ears: tuple[float, float]
    neck_px: float
    tilt_deg: float = 0.0


@dataclass(frozen=True)
class BodyPose:
    """The pose on which readings agree.

    Attributes:
        yaw_deg: yaw of the head, -180 to 180.
        disagreement_deg: largest difference between those readings; 180 for a single one.
        ears, neck_px: as of :class:`BodyReading`.
    """

    yaw_deg: float
    disagreement_deg: float
    ears: tuple[float, float]
    neck_px: float


def read_body(image: UInt8[np.ndarray, "height width 3"], detector: BodyLandmarker) -> list[BodyReading]:
    """Return the readings of an image and of its mirror image, in the pixels and angles of the image; up to two."""
    straight, mirrored = detector.body(image), detector.body(np.ascontiguousarray(image[:, ::-1]))
    found = [] if straight is None else [_reading(straight)]
    if mirrored is not None:
        other = _reading(mirrored)
        ears = (image.shape[1] - 1 - other.ears[0], other.ears[1])
        found.append(replace(other, yaw_deg=-other.yaw_deg, ears=ears, tilt_deg=-other.tilt_deg))
    return found


def read_body_again(
    image: UInt8[np.ndarray, "height width 3"], readings: Sequence[BodyReading], detector: BodyLandmarker
) -> list[BodyReading]:
    """Return further readings of the person, in windows around the head that the given ones have found.

    Where the landmarks have shrunk to a part of the head, a window around that shows more of the person, and so on.
    """
    found = list(readings)
    for _ in range(_ROUNDS):
        scale = max((reading.neck_px for reading in found), default=0.0)
        if scale < 1.0:
            break
        ears = _middle(_plausible(found))
        for sides in _WINDOW_HALVES:
            window = HeadCrop(ears, sides * scale, 0.0)
            pixels = cut_window(image, window, _WINDOW_PX, beyond=0)
            found += [_from_window(reading, window) for reading in read_body(pixels, detector)]
        if max(reading.neck_px for reading in found) < _GROWN * scale:
            break
    return found[len(readings) :]


def agreed_pose(readings: Sequence[BodyReading]) -> BodyPose | None:
    """Return the pose on which more than half of the readings agree, else the mean of all; None without readings.

    Landmarks that have shrunk to a part of the head do not count.
    """
    if not readings:
        return None
    plausible = _plausible(readings)
    # Every reading with those within the difference of a good answer.
    groups = [[other for other in plausible if _apart(one, other) <= AGREEMENT_DEG] for one in plausible]
    best = max(groups, key=lambda group: (len(group), -_spread(group)))
    disagreement = _spread(best)
    if 2 * len(best) <= len(plausible):
        best, disagreement = plausible, _spread(plausible)
    if len(best) == 1:
        disagreement = 180.0
    # The mean of angles is the angle of the sum of their unit vectors.
    total = sum(cmath.exp(1j * math.radians(one.yaw_deg)) for one in best)
    return BodyPose(
        math.degrees(cmath.phase(total)), disagreement, _middle(best), float(np.median([one.neck_px for one in best]))
    )


def between_deg(one: float, other: float) -> float:
    """Return the difference of two angles in degrees the shorter way round the circle, 0 to 180."""
    return abs((one - other + 180.0) % 360.0 - 180.0)


def body_contradicts(readings: Sequence[BodyReading], crop: HeadCrop) -> bool:
    """Return True for a body that stands otherwise than a head with this crop, in an image and in its mirror image.

    In 39 photos of synthetic heads and of the astronaut, turned by 0, 90 and 180 degrees, the tilt of the body was
    right within 20 degrees wherever the landmarks had not shrunk, where faces are found upside down in some.
    """
    near = [
        one
        for one in readings
        if one.neck_px > _NECK_OF_HALF * crop.half_px and math.dist(one.ears, crop.center) < 2 * crop.half_px
    ]
    agree = len(near) == 2 and between_deg(near[0].tilt_deg, near[1].tilt_deg) < _SAME_TILT_DEG
    return agree and all(between_deg(one.tilt_deg, crop.angle_deg) > _OTHER_TILT_DEG for one in near)


def _reading(landmarks: BodyLandmarks) -> BodyReading:
    ears = (landmarks[LEFT_EAR, :2] + landmarks[RIGHT_EAR, :2]) / 2
    shoulders = (landmarks[LEFT_SHOULDER, :2] + landmarks[RIGHT_SHOULDER, :2]) / 2
    right, down = ears - shoulders
    tilt = math.degrees(math.atan2(right, -down))
    return BodyReading(yaw_of_body(landmarks), (float(ears[0]), float(ears[1])), math.hypot(right, down), tilt)


def _from_window(reading: BodyReading, window: HeadCrop) -> BodyReading:
    """Return a reading of a window's pixels in those of the photo."""
    half = (_WINDOW_PX - 1) / 2
    x, y = window.points(np.array([reading.ears]) / half - 1)[0]
    return replace(reading, ears=(float(x), float(y)), neck_px=reading.neck_px * window.half_px / half)


def _plausible(readings: Sequence[BodyReading]) -> list[BodyReading]:
    least = _SHRUNK * max(reading.neck_px for reading in readings)
    return [reading for reading in readings if reading.neck_px >= least]


def _middle(readings: Sequence[BodyReading]) -> tuple[float, float]:
    x, y = np.median([reading.ears for reading in readings], axis=0)
    return float(x), float(y)


def _apart(one: BodyReading, other: BodyReading) -> float:
    """Return the difference of two yaws the shorter way round the circle, 0 to 180 degrees."""
    return between_deg(one.yaw_deg, other.yaw_deg)


def _spread(readings: Sequence[BodyReading]) -> float:
    return max((_apart(one, other) for one in readings for other in readings), default=0.0)
