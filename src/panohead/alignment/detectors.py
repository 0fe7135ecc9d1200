"""The finders that an alignment uses. Each can be replaced; models are opened when first needed."""

from dataclasses import dataclass, field
from pathlib import Path

from panohead.alignment.body_pose import BodyLandmarker, MediaPipeBody
from panohead.alignment.face_landmarks import FaceLandmarker, MediaPipeFaces
from panohead.alignment.head_box import HeadDetector
from panohead.alignment.person_mask import MediaPipeMasker, OnnxMasker, PersonMasker
from panohead.alignment.pose_network import PoseKind, PoseModel, open_network


@dataclass
class AlignmentTools:
    """Attributes:
    faces: landmarks of visible faces.
    body: landmarks of a person without visible face; None does without.
    masker: the person's outline.
    head: boxes of heads, visible face or not; None does without.
    pose: full-range pose of a head in its box; None does without.
    """

    faces: FaceLandmarker = field(default_factory=MediaPipeFaces)
    body: BodyLandmarker | None = field(default_factory=MediaPipeBody)
    masker: PersonMasker = field(default_factory=MediaPipeMasker)
    head: HeadDetector | None = None
    pose: PoseModel | None = None


def make_tools(
    *,
    head_model: Path | None = None,
    pose_model: Path | None = None,
    pose_kind: PoseKind = "whenet",
    mask_model: Path | None = None,
) -> AlignmentTools:
    """Tools with the given ONNX files in the places of MediaPipe's.

    Raises:
        PanoHeadError: when a file cannot be opened.
    """
    return AlignmentTools(
        masker=MediaPipeMasker() if mask_model is None else OnnxMasker(open_network(mask_model)),
        head=None if head_model is None else HeadDetector(open_network(head_model)),
        pose=None if pose_model is None else PoseModel(open_network(pose_model), pose_kind),
    )
