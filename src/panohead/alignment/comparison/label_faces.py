"""Faces in aligned crops compared with their labels: direction, mirror image, place, size; of a crop or a dataset."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.alignment.angles import orbit_of_view, view_of_camera
from panohead.alignment.crop import CORE, CORE_LEFT, CORE_TOP, FRAME
from panohead.alignment.face_landmarks import FaceLandmarker
from panohead.alignment.head_alignment import MAX_FACE_YAW_DEG, Kind, align_face
from panohead.geometry.camera import Camera, angle_between_deg
from panohead.system.quiet_stderr import quiet_stderr

MAX_APART_DEG: dict[Kind, float] = {"face": 25.0, "coarse": 50.0, "given": 50.0}
"""Largest angle between the cameras of label and landmarks, by the kind of estimate (a profile is "coarse")."""
MAX_SIZE_RATIO = 1.3
"""Largest ratio, either way, of a face's size to that in the official frame."""
MAX_SHIFT = 0.12
"""Largest distance of a face from its place in the official frame, in sides of the crop."""
MIN_SIDE_PX = 48
"""Side of a crop below which its face is not measured. Of 36 synthetic heads up to 45 degrees aside 34 are found
at 128, 64 and 48 pixels, 4, 4 and 5 degrees (median) from their labels, and none contradicts its label."""
_MIRRORED_YAW_DEG, _MIRRORED_GAIN_DEG = 10.0, 15.0
"""A crop seems mirrored where label and face are both turned by more than the first, to different sides, and the
mirrored label is nearer to the face by more than the second."""
_MIN_FACES = 4
"""Faces of a sample from which a verdict on a dataset is given."""
_WRONG_SHARE, _MIRRORED_SHARE = 0.5, 0.3
"""Share of faces that contradict their labels, and of turned ones that look mirrored, from which a dataset is wrong."""
_SAME_SHARE, _SAME_DEG = 0.75, 8.0
"""Share of faces whose yaw is that of their label but for its sign, within so many degrees, where some images of a
dataset are mirrored; of labels of other images it is about a half."""
_COMMON, _MAX_TURN_DEG = 0.95, 15.0
"""Length of the mean of the differences of yaw as unit vectors (1 for equal ones) from which they are one turn, and
angle beyond which that is a fault: detectors differ by less."""
_MIN_RELATED, _MIN_SPREAD_DEG, _MIN_CORRELATION = 8, 8.0, 0.5
"""Faces, and standard deviation of their yaw, from which its correlation with the labels' tells something; right labels
have 0.97 and more, those of other images 0.3 and less."""
_OTHER_IMAGES = "the labels seem to belong to other images"
_MEASURED_PX = 512
"""Side to which smaller crops are enlarged; landmarks are unreliable on smaller ones."""


@dataclass(frozen=True)
class FaceComparison:
    """The face in an aligned crop beside the camera of its label.

    Attributes:
        yaw_deg, pitch_deg: angles of the label's camera.
        face_yaw_deg, face_pitch_deg: angles of the camera by the face.
        kind: trust in the latter.
        apart_deg: angle between the two cameras.
        mirrored_apart_deg: the same for the mirrored label.
        size_ratio: size of the face, divided by that in the official frame.
        shift: place of the face less that in the official frame: right and down, in sides of the crop.
    """

    yaw_deg: float
    pitch_deg: float
    face_yaw_deg: float
    face_pitch_deg: float
    kind: Kind
    apart_deg: float
    mirrored_apart_deg: float
    size_ratio: float
    shift: tuple[float, float]

    @property
    def is_sure(self) -> bool:
        """True when the face is seen from the front, by its label too, where landmarks are reliable."""
        return self.kind == "face" and abs(self.yaw_deg) <= MAX_FACE_YAW_DEG

    @property
    def is_apart(self) -> bool:
        """True when label and face contradict each other."""
        return self.apart_deg > MAX_APART_DEG[self.kind]

    @property
    def is_turned(self) -> bool:
        """True when both label and face are turned enough to tell left from right."""
        return self.is_sure and min(abs(self.yaw_deg), abs(self.face_yaw_deg)) > _MIRRORED_YAW_DEG

    @property
    def is_mirrored(self) -> bool:
        """True when the face looks to the other side than its label says."""
        gain = self.apart_deg - self.mirrored_apart_deg
        return self.is_turned and self.yaw_deg * self.face_yaw_deg < 0 and gain > _MIRRORED_GAIN_DEG

    @property
    def is_misplaced(self) -> bool:
        """True when the face is of another size or at another place than in the official frame."""
        ratio = max(self.size_ratio, 1 / self.size_ratio)
        return self.is_sure and (ratio > MAX_SIZE_RATIO or float(np.hypot(*self.shift)) > MAX_SHIFT)

    def framing(self) -> str:
        """Return how the crop differs from the official frame, in words."""
        return framing(self.size_ratio, self.shift)


def framing(size_ratio: float, shift: tuple[float, float]) -> str:
    """Return in words how a face lies, compared with the official frame: ``shift`` is right and down, in sides."""
    parts = []
    if max(size_ratio, 1 / size_ratio) > MAX_SIZE_RATIO:
        parts.append(f"{size_ratio:.1f} times as large")
    across, down = shift
    if abs(across) > MAX_SHIFT / 2:
        parts.append(f"{abs(across):.0%} of the side farther {'right' if across > 0 else 'left'}")
    if abs(down) > MAX_SHIFT / 2:
        parts.append(f"{abs(down):.0%} of the side {'lower' if down > 0 else 'higher'}")
    return " and ".join(parts) or "otherwise placed"


def compare_face(
    crop: UInt8[np.ndarray, "height width 3"], camera: Camera, detector: FaceLandmarker
) -> FaceComparison | None:
    """Compare the face in a square crop with the camera of its label; None without a face or for a tiny crop.

    Args:
        crop: RGB crop, meant to be in the official frame.
        camera: camera of its label, without batch dimension.
        detector: detector of faces.

    Raises:
        PanoHeadError: when the detector is not installed.
    """
    side = min(crop.shape[:2])
    if side < MIN_SIDE_PX:
        return None
    if side < _MEASURED_PX:
        scale = _MEASURED_PX / side
        size = (round(crop.shape[1] * scale), round(crop.shape[0] * scale))
        crop = np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC))
        side = min(crop.shape[:2])
    with quiet_stderr(), warnings.catch_warnings():
        # MediaPipe's generated code warns of its own future.
        warnings.simplefilter("ignore")
        faces = detector.faces(crop, 1)
    if not faces:
        return None
    found = align_face(faces[0])
    # The middle of the core in the official frame, and half its side, in shares of the frame's side.
    middle = (np.array([CORE_LEFT, CORE_TOP]) + CORE / 2) / FRAME
    place = (np.array(found.crop.center) + 0.5) / [crop.shape[1], crop.shape[0]]
    yaw, pitch, _ = orbit_of_view(view_of_camera(camera))
    face_yaw, face_pitch, _ = found.angles_deg
    across, down = (float(v) for v in place - middle)
    return FaceComparison(
        yaw_deg=yaw,
        pitch_deg=pitch,
        face_yaw_deg=face_yaw,
        face_pitch_deg=face_pitch,
        kind=found.kind,
        apart_deg=angle_between_deg(camera, found.camera),
        mirrored_apart_deg=angle_between_deg(camera.mirrored(), found.camera),
        size_ratio=found.crop.half_px / (side * CORE / 2 / FRAME),
        shift=(across, down),
    )


def compare_faces(
    crops: Iterable[tuple[UInt8[np.ndarray, "height width 3"], Float[np.ndarray, "25"]]], detector: FaceLandmarker
) -> list[FaceComparison]:
    """Compare the faces of several crops with their labels; crops without a face are left out."""
    import torch

    found = (compare_face(crop, Camera.from_label(torch.from_numpy(label)), detector) for crop, label in crops)
    return [one for one in found if one is not None]


def dataset_problem(compared: Sequence[FaceComparison]) -> str:
    """Return a sentence on what is wrong with a dataset's labels, by a sample of its faces; else empty."""
    # Labels that are wrong may say anything, so faces alone decide whether there is something to compare.
    faces = [one for one in compared if one.kind == "face"]
    if len(faces) < _MIN_FACES:
        return ""
    turned = [one for one in faces if one.is_turned]
    mirrored = [one for one in turned if one.is_mirrored]
    apart = [one for one in faces if one.is_apart]
    if _sides_alone_differ(faces) and len(mirrored) >= 3 and len(mirrored) >= _MIRRORED_SHARE * len(turned):
        every = len(mirrored) > 0.9 * len(turned)
        remedy = " (convert the labels with: panohead dataset convert, --cameras-from mirrored)" if every else ""
        return (
            f"of {len(turned)} faces in a sample that are turned aside, {len(mirrored)} look to the other side than "
            f"their labels say; images seem to be mirrored without their labels{remedy}"
        )
    turn_deg = _common_turn_deg(faces)
    if turn_deg is not None and abs(turn_deg) > _MAX_TURN_DEG:
        return f"{len(faces)} faces in a sample are seen from elsewhere than their labels say; {_turned(turn_deg)}"
    if len(apart) > _WRONG_SHARE * len(faces):
        return (
            f"of {len(faces)} faces in a sample, {len(apart)} are seen from elsewhere than their labels say; "
            f"{_OTHER_IMAGES}"
        )
    return _unrelated([one for one in faces if one.is_sure])


def framing_note(compared: Sequence[FaceComparison]) -> str:
    """Return a sentence when most faces of a dataset lie otherwise than in the official frame; else empty.

    Datasets of other networks are framed otherwise, and these may be trained on them.
    """
    sure = [one for one in compared if one.is_sure]
    misplaced = [one for one in sure if one.is_misplaced]
    if len(sure) < _MIN_FACES or len(misplaced) <= _WRONG_SHARE * len(sure):
        return ""
    ratio = float(np.median([one.size_ratio for one in sure]))
    across, down = (float(v) for v in np.median([one.shift for one in sure], axis=0))
    return (
        f"the faces of a sample of {len(sure)} are {framing(ratio, (across, down))}, compared with the official frame; "
        "the crops are of another pipeline: for PanoHead's networks make them from the photos with panohead prepare"
    )


def _common_turn_deg(faces: Sequence[FaceComparison]) -> float | None:
    """Return the angle of yaw by which all faces differ from their labels; None where they differ variously."""
    mean = np.exp(1j * np.radians([one.face_yaw_deg - one.yaw_deg for one in faces])).mean()
    return float(np.degrees(np.angle(mean))) if abs(mean) > _COMMON else None


def _turned(turn_deg: float) -> str:
    if abs(turn_deg) > 150:
        return (
            "all by half a turn: the labels' heads look toward -z (convert them with: panohead dataset convert, "
            "--cameras-from turned)"
        )
    return f"all by about {turn_deg:.0f} degrees of yaw: the labels' heads look toward another axis than +z"


def _sides_alone_differ(faces: Sequence[FaceComparison]) -> bool:
    """Return True when the yaw of the faces is that of their labels but for its sign."""
    labels, found = np.abs([(one.yaw_deg, one.face_yaw_deg) for one in faces]).T
    return bool((np.abs(labels - found) <= _SAME_DEG).mean() >= _SAME_SHARE) and (
        _correlation(labels, found, _MIN_SPREAD_DEG / 2) >= _MIN_CORRELATION
    )


def _correlation(labels: Float[np.ndarray, " face"], faces: Float[np.ndarray, " face"], min_spread: float) -> float:
    """Return the correlation of two angles of the faces; 1 for too few of them, or too equal ones, to tell."""
    if len(faces) < _MIN_RELATED or min(labels.std(), faces.std()) < min_spread:
        return 1.0
    return float(np.corrcoef(labels, faces)[0, 1])


def _unrelated(sure: Sequence[FaceComparison]) -> str:
    """Return a sentence on labels that do not follow their faces, though few are far from them; else empty."""
    labels, faces = np.array([(one.yaw_deg, one.face_yaw_deg) for one in sure]).reshape(-1, 2).T
    related = _correlation(labels, faces, _MIN_SPREAD_DEG)
    if related >= _MIN_CORRELATION:
        return ""
    return (
        f"the yaw of {len(sure)} faces in a sample has little to do with their labels' (correlation {related:.2f}); "
        f"{_OTHER_IMAGES}"
    )
