"""Landmarks of the faces in a photo by MediaPipe, in two passes: the photo, then an upright window around each face."""

import math
import os
import warnings
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.canonical_face import LANDMARKS
from panohead.alignment.crop import HeadCrop, cut_window
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
"""Rotations of the photo that the first pass tries, until one shows a face."""

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
            "(prepare: --poses FILE.csv --masks DIR; reconstruct: aligned crops, --aligned --labels FILE)"
        ) from error
    return mediapipe


class MediaPipeFaces:
    """MediaPipe's face mesh and, for small faces, its full-range face detector; opened at the first use."""

    def __init__(self) -> None:
        self._mesh: dict[int, Any] = {}
        self._boxes: Any = None

    def faces(self, image: UInt8[np.ndarray, "height width 3"], most: int = _MAX_FACES) -> list[Landmarks]:
        """Return the landmarks of the faces, each measured in an upright window of its own."""
        if min(image.shape[:2]) < _MIN_SIDE_PX:
            return []
        found = [self.second_pass(image, landmarks) for landmarks in self._first_pass(image)]
        return distinct([face for face in found if face is not None])[:most]

    def second_pass(self, image: UInt8[np.ndarray, "height width 3"], landmarks: Landmarks) -> Landmarks | None:
        """Return the landmarks found again in an upright window around the face.

        None where no face is found there: the first pass finds faces in hair and profiles (in a third of synthetic
        heads with a yaw of 60 to 90 degrees), the second does not.
        """
        window = upright_window(landmarks)
        found = self._detect(cut_window(image, window, WINDOW_PX), 1)
        return from_window(found[0], window) if found else None

    def _first_pass(self, image: np.ndarray) -> list[Landmarks]:
        shrink = max(1.0, max(image.shape[:2]) / MAX_SIDE_PX)
        small = shrunk(image, shrink)
        for turn_deg in _TURNS_DEG:
            turned = np.ascontiguousarray(np.rot90(small, turn_deg // 90))
            # Beside a large face the mesh misses smaller ones; faces found twice are thinned out by distinct().
            found = [*self._detect(turned, _MAX_FACES), *self._refine(turned)]
            if found:
                return [turn_back(face, turn_deg, small.shape) * shrink for face in found]
        return []

    def _detect(self, image: np.ndarray, most: int) -> list[Landmarks]:
        if most not in self._mesh:
            solution = import_mediapipe().solutions.face_mesh.FaceMesh
            self._mesh[most] = quiet(solution, static_image_mode=True, max_num_faces=most, refine_landmarks=False)
        result = self._mesh[most].process(image).multi_face_landmarks
        # MediaPipe gives shares of the image; z is on the scale of x.
        size = np.array([image.shape[1], image.shape[0], image.shape[1]])
        return [np.array([[p.x, p.y, p.z] for p in face.landmark[:LANDMARKS]]) * size for face in result or []]

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
            found += [from_window(face, window) for face in self._detect(cut_window(image, window, WINDOW_PX), 1)]
        return found


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
    up = pose.rotation[:2, 1]
    # From straight above or below the up axis has no direction in the image.
    angle = math.degrees(math.atan2(up[0], up[1])) if np.hypot(*up) > 1e-6 else 0.0
    center = pose.project(np.array([[0.0, 0.0, 0.0]]))[0]
    return HeadCrop((float(center[0]), float(center[1])), WINDOW_HALF_CM * pose.scale, angle)


def from_window(landmarks: Landmarks, window: HeadCrop) -> Landmarks:
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


def _extent(face: Landmarks) -> float:
    return float(np.ptp(face[:, :2], axis=0).max())
