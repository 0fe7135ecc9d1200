"""The detectors that an alignment uses. Each can be replaced; models are opened when first needed."""

from dataclasses import dataclass, field

from panohead.alignment.body_pose import BodyLandmarker, MediaPipeBody
from panohead.alignment.detector_models import DetectorModels
from panohead.alignment.face_landmarks import FaceLandmarker, MediaPipeFaces
from panohead.alignment.head_box import HeadDetector
from panohead.alignment.person_mask import MediaPipeMasker, OnnxMasker, PersonMasker
from panohead.alignment.pose_network import PoseModel, open_network


@dataclass
class Detectors:
    """One detector for each thing that an alignment needs to know; MediaPipe's (extra ``face``) by default.

    Attributes:
        faces: landmarks of visible faces.
        body: landmarks of a person without visible face; None does without.
        masker: mask of the person.
        head: boxes of heads, visible face or not; None does without.
        pose: full-range pose of a head in its box; None does without.
    """

    faces: FaceLandmarker = field(default_factory=MediaPipeFaces)
    body: BodyLandmarker | None = field(default_factory=MediaPipeBody)
    masker: PersonMasker = field(default_factory=MediaPipeMasker)
    head: HeadDetector | None = None
    pose: PoseModel | None = None


def open_detectors(models: DetectorModels) -> Detectors:
    """Return MediaPipe's detectors, with the given ONNX files in the places of some.

    Raises:
        PanoHeadError: when a file cannot be opened.
    """
    head, pose, mask = models.head_model, models.pose_model, models.mask_model
    return Detectors(
        masker=MediaPipeMasker() if mask is None else OnnxMasker(open_network(mask)),
        head=None if head is None else HeadDetector(open_network(head)),
        pose=None if pose is None else PoseModel(open_network(pose), models.pose_kind),
    )
