"""Settings of the ``prepare`` pipeline."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from panohead.alignment.detector_models import DetectorModels
from panohead.alignment.detectors import Detectors, open_detectors
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.quality_gates import QualityGates
from panohead.errors import UsageError
from panohead.limits import HEAD_NUMBER, IMAGE_SIDE

LAYOUT_VERSION = 1
"""Version of the files of a prepared dataset; another one is not continued."""
ImageFormat = Literal["png", "webp", "jpg"]


@dataclass(frozen=True, kw_only=True)
class PrepareSettings(DetectorModels):
    """Everything that decides a prepared dataset; see :class:`DetectorModels` for the networks.

    Attributes:
        out: folder of the dataset.
        size: side of its images in pixels; the official frame has 563 and is shrunk to this.
        format: file format of the images; masks are always PNG. webp is lossless, jpg has quality 95.
        all_faces: every head of a photo instead of one.
        head: number of the head to take of several in every photo, from 1, the most prominent first.
        gates: thresholds beyond which a crop is rejected.
        poses: the user's poses by name of photo.
        masks: folder of the user's own masks of the whole photos.
    """

    out: Path
    size: int = 512
    format: ImageFormat = "png"
    all_faces: bool = False
    head: int = 1
    gates: QualityGates = field(default_factory=QualityGates)
    poses: dict[str, GivenPose] = field(default_factory=dict)
    masks: Path | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.out, str | Path):
            raise UsageError(f"out is of type {type(self.out).__name__}; give the path of a folder")
        object.__setattr__(self, "out", Path(self.out))
        IMAGE_SIDE.whole(self.size, "size")
        if self.format not in get_args(ImageFormat):
            raise UsageError(
                f"there is no format {self.format!r} of crops; give one of {', '.join(get_args(ImageFormat))}"
            )
        if HEAD_NUMBER.whole(self.head, "head") > 1 and self.all_faces:
            raise UsageError(f"all heads and head {self.head} alone cannot both be taken; give one of them")

    def resume_key(self) -> dict[str, Any]:
        """Return the settings under which a dataset can be continued, as JSON.

        Poses are not among them: they belong to the stamps of their photos. The order of the keys is that of the file.
        """
        masks, models = self.masks, self.files
        return {
            "layout_version": LAYOUT_VERSION,
            "size": self.size,
            "format": self.format,
            "all_faces": self.all_faces,
            "gates": dataclasses.asdict(self.gates),
            "masks": None if masks is None else str(masks),
            "pose_model": str(models["pose_model"]) if "pose_model" in models else None,
            "pose_kind": self.pose_kind,
            "head_model": str(models["head_model"]) if "head_model" in models else None,
            "mask_model": str(models["mask_model"]) if "mask_model" in models else None,
            # Earlier versions took the first and did not write it.
            **({"head": self.head} if self.head > 1 else {}),
        }

    def open_detectors(self) -> Detectors:
        """Return the detectors for one process.

        Raises:
            PanoHeadError: when a model file cannot be opened.
        """
        return open_detectors(self)
