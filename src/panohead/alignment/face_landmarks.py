"""Landmarks of the faces in a photo by MediaPipe, in two passes: the photo, then an upright window around each face.

The landmark network finds "a face" in faces that are upside down, and its fit is hardly worse than that of the right
one. Hence every face is looked at in all four quarter turns, and the turn in which the face detector is surest counts.
"""

import math
import os
import warnings
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.canonical_face import LANDMARKS
from panohead.alignment.crop import HeadCrop, cut_window, is_inside
from panohead.alignment.face_pose import fit_face
from panohead.errors import PanoHeadError
from panohead.system.optional import failure_of
from panohead.system.quiet_stderr import quiet_stderr

WINDOW_PX = 512
"""Side of the second pass's window in pixels."""
WINDOW_HALF_CM = 14.0
"""Half the side of the second pass's window, in centimeters of the canonical face."""
MAX_SIDE_PX = 1280
"""Longer side of the photo in the first pass; the models work on 128 to 256 pixels anyway."""
_MAX_FACES = 16
_MIN_SIDE_PX = 16
_TURNS_DEG = (0, 90, -90, 180)
"""Quarter turns of the photo that the first pass tries, until one shows a face; and of every face in its window."""
_PANORAMA = 2.0
"""Longer side of a photo, in shorter sides, from which the first pass takes it in parts: shrunk, it loses faces."""
_PART, _STEP = 1.5, 0.75
"""Length of a part and distance of two parts, in shorter sides of the photo: a face lies whole in one of them."""
_MAX_PARTS = 48
_UPRIGHT = 0.05
"""Advantage of the upright turn in the comparison of scores."""
_SURE = 0.7
"""Score below which a turn of the window is not believed: sure faces have 0.85 and more, upright profiles 0.57 to 0.9.
A face that is found lying or upside down is compared with the body in :mod:`panohead.alignment.head_alignment`."""
_BEYOND: Final = "edge"
"""Windows continue the photo's edge beyond it. A mirror image would show a second face, or half of one made whole; into
a photo that ends in black within a face the network squeezes all of its landmarks: errors of the yaw of up to 38
degrees for three faces of which half or more is seen, and of up to 9 so."""

Landmarks = Float[np.ndarray, "468 3"]
"""MediaPipe's face landmarks in pixels: x right, y down, z away from the viewer on the scale of x."""


@runtime_checkable
class FaceLandmarker(Protocol):
    """Detector of faces; :class:`MediaPipeFaces` is the built-in one."""

    def faces(self, image: UInt8[np.ndarray, "height width 3"], most: int) -> list[Landmarks]:
        """Return the landmarks of at most ``most`` faces."""
        ...


def import_mediapipe() -> Any:
    """Import mediapipe without its messages and return the module.

    Raises:
        PanoHeadError: when it cannot be imported, with the reason and the remedy here.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mediapipe
            from mediapipe import solutions  # noqa: F401
    except ImportError as error:
        failure = failure_of("mediapipe", error)
        raise PanoHeadError(
            f"finding faces and people needs mediapipe 0.10.14, and {failure.reason}: {failure.remedy}; or do without "
            "(--poses FILE.csv with boxes and --masks DIR; reconstruct also aligned crops: --aligned --labels FILE)"
        ) from error
    return mediapipe


class MediaPipeFaces:
    """MediaPipe's face mesh and, for small faces, its full-range face detector; opened at the first use."""

    def __init__(self) -> None:
        self._mesh: dict[int, Any] = {}
        self._boxes: Any = None
        self._upright: Any = None

    def faces(self, image: UInt8[np.ndarray, "height width 3"], most: int = _MAX_FACES) -> list[Landmarks]:
        """Return the landmarks of the faces, each measured in a window of its own that shows it upright."""
        if min(image.shape[:2]) < _MIN_SIDE_PX:
            return []
        turn_deg, found = 0, list[Landmarks]()
        for turn_deg in _TURNS_DEG:
            found = self._confirmed(image, self._first_pass(image, turn_deg))
            if found:
                break
        # Where faces stand otherwise than they were found, the photo is turned; then it may show more of them.
        others = {quarter_turn(tilt_deg(face)) for face in found} - {turn_deg}
        for other in sorted(others):
            found += self._confirmed(image, self._first_pass(image, other))
        return sorted(separate(found), key=_extent, reverse=True)[:most]

    def second_pass(self, image: UInt8[np.ndarray, "height width 3"], landmarks: Landmarks) -> Landmarks | None:
        """Return the landmarks found again in a window around the face, in the quarter turn that shows it upright.

        None where no face is found there: the first pass finds faces in hair and profiles (in a third of synthetic
        heads with a yaw of 60 to 90 degrees), the second does not. Where the photo's edge cuts the window, the first
        pass has found too small a face, so a third look from the second's place follows.
        """
        window = upright_window(landmarks)
        found = self._look(image, window)
        if found is None or is_inside(window.core_corners(), image.shape).all():
            return found
        again = self._look(image, upright_window(found))
        return found if again is None else again

    def _look(self, image: UInt8[np.ndarray, "height width 3"], window: HeadCrop) -> Landmarks | None:
        """Return the landmarks of the face in a window, in the quarter turn that shows it upright; None without one."""
        pixels = cut_window(image, window, WINDOW_PX, beyond=_BEYOND)
        turned = {turn: np.ascontiguousarray(np.rot90(pixels, turn // 90)) for turn in _TURNS_DEG}
        scores = {turn: self.face_score(turned[turn]) for turn in _TURNS_DEG}
        # Most photos are upright, so other turns must be better by more than the scores vary.
        upright = -quarter_turn(window.angle_deg) % 360
        turn_deg = max(_TURNS_DEG, key=lambda turn: scores[turn] + _UPRIGHT * (turn % 360 == upright))
        if scores[turn_deg] < _SURE:
            turn_deg = next(turn for turn in _TURNS_DEG if turn % 360 == upright)
        found = self._detect(turned[turn_deg], 1)
        if not found:
            return None
        return from_window(found[0], HeadCrop(window.center, window.half_px, window.angle_deg + turn_deg))

    def face_score(self, image: UInt8[np.ndarray, "height width 3"]) -> float:
        """Return the score of the surest upright face by the short-range face detector, 0 (none) to 1.

        It was highest upright for the three real faces tried (0.92 to 0.96, others at most 0.79) and for 129 of 133
        synthetic ones within a yaw of 50 degrees; for the other four it was higher in another turn by at most 0.05.
        """
        if self._upright is None:
            solution = import_mediapipe().solutions.face_detection.FaceDetection
            self._upright = quiet(solution, model_selection=0, min_detection_confidence=0.3)
        return max((float(face.score[0]) for face in self._upright.process(image).detections or []), default=0.0)

    def _confirmed(self, image: np.ndarray, candidates: list[Landmarks]) -> list[Landmarks]:
        found = [self.second_pass(image, landmarks) for landmarks in distinct(candidates)]
        return [face for face in found if face is not None]

    def _first_pass(self, image: np.ndarray, turn_deg: int) -> list[Landmarks]:
        """Return the faces of a photo that is turned by ``turn_deg``, in the photo's own pixels."""
        found: list[Landmarks] = []
        for left, top, right, bottom in parts(image.shape):
            part = image[top:bottom, left:right]
            shrink = max(1.0, max(part.shape[:2]) / MAX_SIDE_PX)
            small = shrunk(part, shrink)
            turned = np.ascontiguousarray(np.rot90(small, turn_deg // 90))
            # Beside a large face the mesh misses smaller ones; faces found twice are thinned out by distinct().
            faces = [*self._detect(turned, _MAX_FACES), *self._refine(turned)]
            found += [turn_back(face, turn_deg, small.shape) * shrink + [left, top, 0] for face in faces]
        return found

    def _detect(self, image: np.ndarray, most: int) -> list[Landmarks]:
        if most not in self._mesh:
            solution = import_mediapipe().solutions.face_mesh.FaceMesh
            self._mesh[most] = quiet(solution, static_image_mode=True, max_num_faces=most, refine_landmarks=False)
        result = self._mesh[most].process(image).multi_face_landmarks
        return [in_pixels(face, image.shape)[:LANDMARKS] for face in result or []]

    def _refine(self, image: np.ndarray) -> list[Landmarks]:
        """Return the landmarks of small faces: boxes of the full-range detector, the mesh within each."""
        if self._boxes is None:
            solution = import_mediapipe().solutions.face_detection.FaceDetection
            self._boxes = quiet(solution, model_selection=1, min_detection_confidence=0.5)
        found = []
        for detection in (self._boxes.process(image).detections or [])[:_MAX_FACES]:
            box = detection.location_data.relative_bounding_box
            width, height = box.width * image.shape[1], box.height * image.shape[0]
            # A window of twice the box: room around the face for the mesh.
            center = ((box.xmin * image.shape[1]) + width / 2, (box.ymin * image.shape[0]) + height / 2)
            window = HeadCrop(center, max(width, height, 1.0), 0.0)
            found += [
                from_window(face, window)
                for face in self._detect(cut_window(image, window, WINDOW_PX, beyond=_BEYOND), 1)
            ]
        return found


def parts(shape: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Return the parts (left, top, right, bottom) of a photo in which faces are searched; several of a panorama."""
    height, width = shape[:2]
    long, short = max(height, width), min(height, width)
    if long <= _PANORAMA * short:
        return [(0, 0, width, height)]
    step = max(int(_STEP * short), 1, -(-long // _MAX_PARTS))
    length = step + max(int((_PART - _STEP) * short), 1)
    starts = [*range(0, long - length, step), long - length]
    if width >= height:
        return [(start, 0, start + length, height) for start in starts]
    return [(0, start, width, start + length) for start in starts]


def tilt_deg(landmarks: Landmarks) -> float:
    """Return the clockwise tilt of a face in the image in degrees, -180 to 180."""
    up = fit_face(landmarks).rotation[:2, 1]
    return math.degrees(math.atan2(up[0], up[1])) if np.hypot(*up) > 1e-6 else 0.0


def quarter_turn(angle_deg: float) -> int:
    """Return the quarter turn nearest to an angle: 0, 90, -90 or 180 degrees."""
    quarters = round(angle_deg / 90.0) % 4
    return {0: 0, 1: 90, 2: 180, 3: -90}[quarters]


class QuietSolution:
    """A MediaPipe solution whose native code and generated protobuf code write nothing to the terminal."""

    def __init__(self, make: Any, options: dict[str, Any]) -> None:
        with quiet_stderr():
            self._solution = make(**options)

    def process(self, image: UInt8[np.ndarray, "height width 3"]) -> Any:
        """Return what the solution finds; errors are printed with all that it has written."""
        with quiet_stderr():
            return self._solution.process(image)


def quiet(make: Any, **options: Any) -> Any:
    """Make a MediaPipe solution that writes nothing to the terminal."""
    return QuietSolution(make, options)


def upright_window(landmarks: Landmarks) -> HeadCrop:
    """Return a square around the face in which its up axis points up."""
    pose = fit_face(landmarks)
    center = pose.project(np.array([[0.0, 0.0, 0.0]]))[0]
    return HeadCrop((float(center[0]), float(center[1])), WINDOW_HALF_CM * pose.scale, tilt_deg(landmarks))


def in_pixels(face: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "point 3"]:
    """Return MediaPipe's landmarks of one face in pixels of the image, which has this shape."""
    # MediaPipe gives shares of the image; z is on the scale of x.
    size = np.array([shape[1], shape[0], shape[1]])
    return np.array([[p.x, p.y, p.z] for p in face.landmark]) * size


def from_window(landmarks: Float[np.ndarray, "point 3"], window: HeadCrop) -> Float[np.ndarray, "point 3"]:
    """Transform landmarks from pixels of a window to pixels of the photo."""
    # Pixel 0 of the window is core coordinate -1, the last one 1.
    half = (WINDOW_PX - 1) / 2
    depth = landmarks[:, 2:] * window.half_px / half
    return np.concatenate([window.points(landmarks[:, :2] / half - 1), depth], axis=1)


def turn_back(landmarks: Landmarks, turns_deg: int, shape: tuple[int, ...]) -> Landmarks:
    """Transform landmarks found in ``numpy.rot90(image, turns_deg // 90)`` to the image, which has this shape."""
    height, width = shape[:2]
    x, y, z = landmarks.T
    turned = {0: (x, y), 90: (width - y, x), -90: (y, height - x), 180: (width - x, height - y)}[turns_deg]
    return np.stack([*turned, z], axis=1)


def shrunk(image: UInt8[np.ndarray, "height width 3"], factor: float) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return the image made smaller by ``factor`` (bilinear); the image itself for 1."""
    if factor <= 1.0:
        return image
    from PIL import Image

    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def distinct(faces: list[Landmarks]) -> list[Landmarks]:
    """Return the faces without those found twice: their middle within a quarter of their size of an earlier one."""
    kept: list[Landmarks] = []
    for face in faces:
        middle, size = face[:, :2].mean(axis=0), _extent(face)
        if all(np.hypot(*(middle - other[:, :2].mean(axis=0))) > 0.25 * min(size, _extent(other)) for other in kept):
            kept.append(face)
    return kept


def separate(faces: list[Landmarks]) -> list[Landmarks]:
    """Return the faces without those that lie in another one, within half its size of its middle; the better fit stays.

    In one large face the first pass finds smaller ones.
    """
    kept: list[Landmarks] = []
    for face in sorted(distinct(faces), key=lambda face: fit_face(face).residual):
        middle, size = face[:, :2].mean(axis=0), _extent(face)
        if all(np.hypot(*(middle - other[:, :2].mean(axis=0))) > 0.5 * max(size, _extent(other)) for other in kept):
            kept.append(face)
    return kept


def _extent(face: Landmarks) -> float:
    return float(np.ptp(face[:, :2], axis=0).max())
