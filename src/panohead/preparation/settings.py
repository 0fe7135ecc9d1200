"""What decides a prepared dataset."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from panohead.alignment.detectors import AlignmentTools, make_tools
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.pose_network import PoseKind
from panohead.alignment.quality import QualityGates

LAYOUT_VERSION = 1
ImageFormat = Literal["png", "webp", "jpg"]


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Attributes:
    out: folder of the dataset.
    size: side of its pictures in pixels; the official frame has 563 and is shrunk to this.
    format: of the pictures; masks are always PNG. webp is lossless, jpg has quality 95.
    all_faces: every face of a photo instead of the most central one.
    gates: what is rejected.
    poses: the user's poses by name of photo.
    masks: folder of the user's own masks of the whole photos.
    pose_model, pose_kind, head_model, mask_model: ONNX files in place of the built-in models.
    """

    out: Path
    size: int = 512
    format: ImageFormat = "png"
    all_faces: bool = False
    gates: QualityGates = field(default_factory=QualityGates)
    poses: dict[str, GivenPose] = field(default_factory=dict)
    masks: Path | None = None
    pose_model: Path | None = None
    pose_kind: PoseKind = "whenet"
    head_model: Path | None = None
    mask_model: Path | None = None

    def resume_key(self) -> dict[str, Any]:
        """The settings under which a dataset can be continued, as JSON. Poses belong to their photos instead."""
        values = dataclasses.asdict(self)
        del values["out"], values["poses"]
        for name in ("masks", "pose_model", "head_model", "mask_model"):
            values[name] = None if values[name] is None else str(values[name])
        return {"layout_version": LAYOUT_VERSION, **values}

    def tools(self) -> AlignmentTools:
        """The finders for one process.

        Raises:
            PanoHeadError: when a model file cannot be opened.
        """
        return make_tools(
            head_model=self.head_model,
            pose_model=self.pose_model,
            pose_kind=self.pose_kind,
            mask_model=self.mask_model,
        )
