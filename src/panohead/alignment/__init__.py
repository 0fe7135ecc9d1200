"""Stage 1 of the paper's two-stage alignment: from a photo to its crop, camera and mask (PanoHead section 3.4).

Start with :func:`align` for one photo; :mod:`panohead.preparation` does it for whole folders.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.alignment.align_photo import AlignedHead, align
    from panohead.alignment.crop import HeadCrop
    from panohead.alignment.detector_models import DetectorModels
    from panohead.alignment.detectors import Detectors, open_detectors
    from panohead.alignment.head_alignment import Alignment, align_all, align_image
    from panohead.alignment.pose_file import GivenPose, read_poses
    from panohead.alignment.quality_gates import QualityGates

__all__ = [
    "AlignedHead",
    "Alignment",
    "DetectorModels",
    "Detectors",
    "GivenPose",
    "HeadCrop",
    "QualityGates",
    "align",
    "align_all",
    "align_image",
    "open_detectors",
    "read_poses",
]

_MODULES = {
    "AlignedHead": "align_photo",
    "Alignment": "head_alignment",
    "DetectorModels": "detector_models",
    "Detectors": "detectors",
    "GivenPose": "pose_file",
    "HeadCrop": "crop",
    "QualityGates": "quality_gates",
    "align": "align_photo",
    "align_all": "head_alignment",
    "align_image": "head_alignment",
    "open_detectors": "detectors",
    "read_poses": "pose_file",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that the options of commands need not wait for torch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'panohead.alignment' has no attribute {name!r}")
    return getattr(importlib.import_module(f"panohead.alignment.{_MODULES[name]}"), name)
