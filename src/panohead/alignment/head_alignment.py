"""Stage 1 of the two-stage alignment (PanoHead section 3.4): the canonical crop of a head in a photo, and its camera.

A visible face gives both by the scaled-orthographic fit of the canonical face. Without one (profile, back of the head)
they come from the user's pose file, a head and pose model, or body landmarks and the person's outline; those cameras
are marked ``coarse``, and stage 2 (camera self-adaptation in training) has to correct them.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from panohead.alignment.angles import (
    camera_of_view,
    orbit_of_view,
    turned_upright,
    view_of_camera,
    view_of_orbit,
)
from panohead.alignment.body_pose import (
    AGREEMENT_DEG,
    BodyLandmarker,
    BodyPose,
    agreed_pose,
    between_deg,
    body_contradicts,
    read_body,
    read_body_again,
)
from panohead.alignment.canonical_face import LEFT_EYE, MOUTH_CORNERS, RIGHT_EYE
from panohead.alignment.crop import HeadCrop, crop_of_landmarks, cut_frame, cut_window
from panohead.alignment.detectors import Detectors
from panohead.alignment.face_landmarks import Landmarks
from panohead.alignment.face_pose import FacePose, fit_face
from panohead.alignment.head_box import Box, crop_of_box, outline, outline_of_body
from panohead.alignment.head_choice import MIN_CONFIDENCE, TURNED_FROM_DEG, by_prominence
from panohead.alignment.photo_area import PhotoArea, head_outside, inside_photo, photo_area
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.pose_network import PoseModel
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera

Kind = Literal["face", "coarse", "given"]
"""Trust in a camera. face: fitted to landmarks; given: the user's own angles; coarse: anything less sure."""

CENTER_CM = (0.0, 0.12, -2.81)
"""The crop's center in the canonical face, in centimeters; fitted to official crops (the original: 3DDFA's center)."""
HALF_CM = 12.2
"""Half the side of the crop's core in centimeters, from the same fit."""
MAX_FACE_YAW_DEG = 45.0
"""|yaw| beyond which the landmarks of the hidden half are guesses (yaw error 4 degrees at 45-60, 12 at 60-75)."""
MIN_FACE_SHOWN = 0.6
"""Share of the landmarks in the photo below which the rest is a guess: errors of three faces cut at any side are up to
8 degrees of yaw and 7 of pitch above it; below, 9 of yaw where half of the face is seen, 21 where less is."""
_DOUBTFUL_RESIDUAL = 0.06
"""Residual of the landmarks' fit at which the confidence is halved."""
_MAX_FACES = 16
"""Largest number of faces that are looked for in a photo."""
_HEAD_WINDOW = 1.15
"""Side of the pose model's window, in sides of the crop's core."""
_BODY_WINDOW = 3.5
"""Half the side of the window in which the body below the user's box is searched, in halves of the crop's core."""
_COARSE_CONFIDENCE = {"model": 0.5, "face": 0.5, "body": 0.35, "behind": 0.2, "outline": 0.1}
"""Confidence of a coarse camera by its source; the quality gate's default of 0.15 lies above the outline alone."""
MAX_CUT = 0.15
"""Share of a head beyond the photo, by its mean outline, up to which landmarks of its body are believed."""
_CUT_GRID = 282
"""Pixels per side of the frame at which that share is counted."""
_DISAGREEMENT_DEG = (AGREEMENT_DEG, 60.0)
"""Differences between the yaws of an image and of its mirror image: beyond the first unsure, beyond the second void."""


@dataclass(frozen=True)
class Alignment:
    """The crop and the camera of one head in a photo.

    Attributes:
        camera: the official camera of the crop's frame, without batch dimension.
        crop: place of the crop in the photo.
        confidence: 0 to 1; comparable within one kind only.
        kind: trust in the camera.
        method: source of the camera, in a word or two. Stored in datasets, so the words stay.
        residual: root mean square residual of the landmarks' fit, as a share of the face's width; None without them.
        landmarks: in the photo's pixels; None without a visible face.
    """

    camera: Camera
    crop: HeadCrop
    confidence: float
    kind: Kind
    method: str
    residual: float | None = None
    landmarks: Landmarks | None = None

    @property
    def is_sure(self) -> bool:
        """False for a mere guess: an outline that neither a face nor a body confirms, landmarks that fit no face."""
        return self.kind == "given" or self.confidence >= MIN_CONFIDENCE

    @property
    def angles_deg(self) -> tuple[float, float, float]:
        """Yaw and pitch of the camera, and the head's tilt that is left in the crop; see :func:`orbit_of_view`."""
        return orbit_of_view(view_of_camera(self.camera))

    def cut(self, image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "563 563 3"]:
        """Cut the official frame out of the photo that was aligned, RGB.

        :func:`panohead.alignment.cut_head.cut_head` tells which part of it the photo shows.
        """
        return cut_frame(image, self.crop)


def align_image(
    image: UInt8[np.ndarray, "height width 3"],
    detectors: Detectors | None = None,
    given: GivenPose | None = None,
) -> Alignment | None:
    """Return the crop and camera of the most prominent head in a photo; None when no head is found.

    Args:
        image: the upright photo, RGB.
        detectors: None for MediaPipe's (extra ``face``). Keep one object for many photos: opening models takes a
            second.
        given: the user's pose, which then is not estimated.

    Raises:
        PanoHeadError: when a detector is not installed.
    """
    found = align_all(image, detectors, given)
    return found[0] if found else None


def align_all(
    image: UInt8[np.ndarray, "height width 3"],
    detectors: Detectors | None = None,
    given: GivenPose | None = None,
) -> list[Alignment]:
    """Return every head with a visible face or in a head model's box, the most prominent first; else one head found
    in a coarse way, or none.

    Without a head model a person seen from behind is not found beside a visible face, however small that is.
    Arguments as for :func:`align_image`. With ``given`` there is one head, or none: the one in the user's box, or the
    one of the user's angles.

    Raises:
        PanoHeadError: when a detector is not installed.
    """
    detectors = Detectors() if detectors is None else detectors
    if given is not None:
        one = align_given(image, given, detectors)
        return [] if one is None else [one]
    faces = _faces(image, detectors)
    boxes = [] if detectors.head is None else detectors.head.boxes(image)
    faceless = [_align_faceless(image, box, detectors) for box in boxes if not any(_holds(box, one) for one in faces)]
    found = by_prominence([*faces, *(one for one in faceless if one is not None)], image.shape)
    if found and (found[0].kind == "face" or detectors.pose is None or found[0].landmarks is None):
        return found
    # A face from the side gives way to the pose model.
    own_box = next((box for box in boxes if found and _holds(box, found[0])), None)
    modeled = align_with_models(image, own_box, detectors)
    if modeled is not None:
        return [modeled, *found[1:]]
    coarse = align_outline(image, detectors)
    return [] if coarse is None else [coarse]


def _faces(image: UInt8[np.ndarray, "height width 3"], detectors: Detectors) -> list[Alignment]:
    """Return the alignments of the visible faces, the most prominent first.

    In a profile the detector may see a surer face upside down; one that lies or hangs while its body stands is none.
    """
    area = photo_area(image)
    # In bars beside a photo there is no more of a face than beyond its edges.
    found = detectors.faces.faces(np.ascontiguousarray(area.part(image)), _MAX_FACES)
    faces = [align_face(landmarks + np.array([area.left, area.top, 0]), area) for landmarks in found]
    if detectors.body is not None and any(_is_turned(face) for face in faces):
        body = read_body(image, detectors.body)
        faces = [face for face in faces if not (_is_turned(face) and body_contradicts(body, face.crop))]
    return by_prominence(faces, image.shape)


def _is_turned(face: Alignment) -> bool:
    return between_deg(face.crop.angle_deg, 0.0) >= TURNED_FROM_DEG


def _holds(box: Box, face: Alignment) -> bool:
    """Return True for a box around the center of a face's crop."""
    left, top, right, bottom = box
    x, y = face.crop.center
    return left <= x <= right and top <= y <= bottom


def align_face(landmarks: Landmarks, area: PhotoArea | None = None) -> Alignment:
    """Return crop and camera of one face from its landmarks (pixels).

    Args:
        landmarks: of the face.
        area: part of the image that was photographed: where it holds little of the face, the camera is a guess. None
            for a whole face.
    """
    pose = fit_face(landmarks)
    # The canonical face's head center, projected, is the crop's center; the fit's scale (pixels/cm) gives its size.
    center = pose.project(np.array([CENTER_CM]))[0]
    crop = HeadCrop((float(center[0]), float(center[1])), HALF_CM * pose.scale, upright_angle(landmarks, pose))
    # The crop is cut upright, so the head in it is turned back by the crop's angle.
    rotation = turned_upright(pose.rotation, crop.angle_deg)
    mismatch = (pose.residual / _DOUBTFUL_RESIDUAL) ** 2
    unsure = abs(orbit_of_view(rotation)[0]) > MAX_FACE_YAW_DEG
    unsure |= area is not None and area.share_of(landmarks[:, :2]) < MIN_FACE_SHOWN
    return Alignment(
        camera_of_view(rotation),
        crop,
        (_COARSE_CONFIDENCE["face"] if unsure else 1.0) / (1.0 + mismatch),
        "coarse" if unsure else "face",
        "face landmarks",
        pose.residual,
        landmarks,
    )


def upright_angle(landmarks: Landmarks, pose: FacePose) -> float:
    """Return the crop's clockwise angle in degrees: the official rule by eyes and mouth; from aside the fit's up axis.

    From the side the eyes coincide and the rule means nothing; the two are blended by the cosine of the yaw.
    """
    flat = landmarks[:, :2]
    rule = crop_of_landmarks(flat[list(RIGHT_EYE)], flat[list(LEFT_EYE)], flat[list(MOUTH_CORNERS)]).angle_deg
    up = pose.rotation[:2, 1]
    fitted = math.degrees(math.atan2(up[0], up[1]))
    # rotation[2, 2] is the cosine between nose and viewer: the rule alone above 0.75, none of it below 0.25.
    share = min(1.0, max(0.0, 2.0 * float(pose.rotation[2, 2]) - 0.5))
    difference = (fitted - rule + 180.0) % 360.0 - 180.0
    return rule + (1.0 - share) * difference


def align_given(image: UInt8[np.ndarray, "height width 3"], given: GivenPose, detectors: Detectors) -> Alignment | None:
    """Return crop and camera from the user's angles; the crop by the user's box, a head model or the outline.

    A box without angles chooses the head, whose pose is estimated.

    Raises:
        PanoHeadError: for a box beside the photo.
    """
    if problem := given.beside(image.shape):
        raise PanoHeadError(problem)
    if given.yaw_deg is None:
        return None if given.box is None else align_in_box(image, given.box, detectors)
    camera = camera_of_view(view_of_orbit(given.yaw_deg, given.pitch_deg, 0.0))
    if given.box is not None:
        return Alignment(camera, crop_of_box(given.box, given.roll_deg), 1.0, "given", "sidecar")
    boxes = [] if detectors.head is None else detectors.head.boxes(image)
    crop = crop_of_box(boxes[0], given.roll_deg) if boxes else outline(image, detectors.masker, given.yaw_deg)
    if crop is None:
        return None
    turned = HeadCrop(crop.center, crop.half_px, given.roll_deg)
    return Alignment(camera, turned, 0.8, "given", "sidecar, " + ("head model" if boxes else "outline"))


def align_in_box(image: UInt8[np.ndarray, "height width 3"], box: Box, detectors: Detectors) -> Alignment | None:
    """Return the alignment of the head in the user's box: by its face, the pose model, or the body in its surroundings.

    None when the box shows no face, there is no pose model, and no body is found.
    """
    faces = _faces(image, detectors)
    return next((face for face in faces if _holds(box, face)), None) or _align_faceless(image, box, detectors)


def _align_faceless(image: UInt8[np.ndarray, "height width 3"], box: Box, detectors: Detectors) -> Alignment | None:
    """Return the alignment of a head in a box without its face: by the pose model, or the body in its surroundings."""
    crop = crop_of_box(box)
    if detectors.pose is not None:
        return _modeled(image, crop, detectors.pose)
    around = HeadCrop(crop.center, crop.half_px * _BODY_WINDOW, 0.0)
    body = None if detectors.body is None else _body_in(cut_window(image, around, 512, beyond=0), detectors.body)
    if body is None:
        return None
    return _embodied(image, body, crop, "body landmarks in the box")


def _body_in(window: UInt8[np.ndarray, "size size 3"], detector: BodyLandmarker) -> BodyPose | None:
    """Return the pose of the person in a window."""
    readings = read_body(window, detector)
    pose = agreed_pose(readings)
    if pose is None or pose.disagreement_deg <= AGREEMENT_DEG:
        return pose
    return agreed_pose([*readings, *read_body_again(window, readings, detector)])


def align_with_models(
    image: UInt8[np.ndarray, "height width 3"], box: Box | None, detectors: Detectors
) -> Alignment | None:
    """Return crop and camera from the pose model, in the head's box or, where there is none, the outline's."""
    if detectors.pose is None:
        return None
    crop = outline(image, detectors.masker, 90.0) if box is None else crop_of_box(box)
    if crop is None:
        return None
    found = _modeled(image, crop, detectors.pose)
    if box is not None:
        return found
    crop = outline(image, detectors.masker, found.angles_deg[0]) or crop
    return replace(found, crop=HeadCrop(crop.center, crop.half_px, found.crop.angle_deg))


def _modeled(image: UInt8[np.ndarray, "height width 3"], crop: HeadCrop, model: PoseModel) -> Alignment:
    """Return the alignment of a head by the pose model, in a crop that is known but for its angle."""
    window = HeadCrop(crop.center, crop.half_px * _HEAD_WINDOW, 0.0)
    yaw, pitch, roll = orbit_of_view(model.view(cut_window(image, window, 256)))
    upright = HeadCrop(crop.center, crop.half_px, roll)
    camera = camera_of_view(view_of_orbit(yaw, pitch, 0.0))
    return Alignment(camera, upright, _COARSE_CONFIDENCE["model"], "coarse", "pose model")


def align_outline(image: UInt8[np.ndarray, "height width 3"], detectors: Detectors) -> Alignment | None:
    """Return the coarse alignment without models: yaw by body landmarks, crop by the outline, level and upright.

    A profile that no outline confirms, or on whose yaw the readings do not agree, has the confidence of an outline
    alone: not enough for a head.
    """
    body, crop = _body_and_outline(image, detectors)
    if body is not None and crop is not None:
        return _embodied(image, body, crop, "body landmarks and outline")
    crop = outline(image, detectors.masker, 180.0)
    if crop is None:
        return None
    camera = camera_of_view(view_of_orbit(180.0, 0.0, 0.0))
    label = "outline alone, taken for a back" if body is None else "outline apart from the body landmarks"
    return Alignment(camera, crop, _COARSE_CONFIDENCE["outline"], "coarse", label)


def _embodied(image: UInt8[np.ndarray, "height width 3"], body: BodyPose, crop: HeadCrop, method: str) -> Alignment:
    """Return the alignment of a head by its body: level and upright.

    Of a head that the photo's edge cuts (hair and forehead alone, say) the face may be beyond it, and so is the body:
    the landmarks are a guess, and that no face is found tells nothing.
    """
    camera = camera_of_view(view_of_orbit(body.yaw_deg, 0.0, 0.0))
    confidence = body_confidence(body.yaw_deg, body.disagreement_deg)
    inside = inside_photo(photo_area(image).corners(crop), _CUT_GRID)
    if head_outside(inside, body.yaw_deg).share > MAX_CUT:
        confidence, method = _COARSE_CONFIDENCE["outline"], f"{method}, of a head that the photo cuts"
    return Alignment(camera, crop, confidence, "coarse", method)


def _body_and_outline(
    image: UInt8[np.ndarray, "height width 3"], detectors: Detectors
) -> tuple[BodyPose | None, HeadCrop | None]:
    """Return the pose by body landmarks and the crop by the outline around them; None for what is not found."""
    if detectors.body is None:
        return None, None
    readings = read_body(image, detectors.body)
    body = agreed_pose(readings)
    if body is None:
        return None, None
    crop = outline_of_body(image, body, detectors.masker)
    if crop is None or body.disagreement_deg > AGREEMENT_DEG:
        body = agreed_pose([*readings, *read_body_again(image, readings, detectors.body)]) or body
        crop = outline_of_body(image, body, detectors.masker)
    return body, crop


def body_confidence(yaw_deg: float, disagreement_deg: float) -> float:
    """Return the confidence of body landmarks by their yaw and by how far an image and its mirror image disagree.

    Median yaw errors on synthetic heads (true yaw above 60): 11 degrees where both agree on a side view, 20 to 40
    behind or where they are up to 60 apart, 40 to 50 beyond that or where only one shows a person: as good as nothing.
    """
    if disagreement_deg > _DISAGREEMENT_DEG[1]:
        return _COARSE_CONFIDENCE["outline"]
    return _COARSE_CONFIDENCE["behind" if abs(yaw_deg) > 100.0 or disagreement_deg > _DISAGREEMENT_DEG[0] else "body"]
