"""The options of what finds heads in photos, the same for every command that does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from panohead.errors import UsageError


@dataclass(kw_only=True)
class DetectorOptions:
    """Help for the finders of heads, or others in their place."""

    poses: Path | None = None
    """CSV with file, yaw_deg, pitch_deg, roll_deg and optionally box (left top right bottom)."""
    masks: Path | None = None
    """Folder with your own masks of the whole photos, by the same names."""
    pose_model: Path | None = None
    """ONNX file for heads without visible face."""
    pose_kind: Literal["whenet", "whenet-keras", "6drepnet360"] = "whenet"
    """Which network that is; whenet has PINTO's order of outputs."""
    head_model: Path | None = None
    """ONNX file of a YOLO 5 or 8 head detector."""
    mask_model: Path | None = None
    """ONNX file of a matting network such as U2-Net or ISNet."""

    def check_detectors(self) -> None:
        """Raises UsageError for files that are not there; poses are told of when they are read."""
        for name in ("masks", "pose_model", "head_model", "mask_model"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.exists():
                raise UsageError(f"--{name.replace('_', '-')} {path} does not exist")
