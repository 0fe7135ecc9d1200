"""ONNX files in place of MediaPipe's models. Imports nothing heavy, because commands make their options of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PoseKind = Literal["whenet", "whenet-keras", "6drepnet360"]
"""Head-pose network and the order of its outputs; whenet: yaw, roll, pitch (PINTO's exports)."""


@dataclass(frozen=True, kw_only=True)
class DetectorModels:
    """Networks of the user's own in place of MediaPipe's."""

    pose_model: Path | None = None
    """ONNX file for heads without visible face."""
    pose_kind: PoseKind = "whenet"
    """Architecture of the pose model; whenet has PINTO's order of outputs."""
    head_model: Path | None = None
    """ONNX file of a YOLO 5 or 8 head detector."""
    mask_model: Path | None = None
    """ONNX file of a matting network such as U2-Net or ISNet."""

    @property
    def files(self) -> dict[str, Path]:
        """The files that are given, by the name of their field."""
        fields = {"pose_model": self.pose_model, "head_model": self.head_model, "mask_model": self.mask_model}
        return {name: path for name, path in fields.items() if path is not None}
