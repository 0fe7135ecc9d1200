"""Options of the detectors that find heads in photos, shared by ``prepare`` and ``reconstruct``."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from panohead.alignment.detector_models import DetectorModels
from panohead.errors import UsageError


@dataclass(kw_only=True)
class DetectorOptions:
    """Poses and masks of the user's own, and detectors in place of MediaPipe's."""

    poses: Path | None = None
    """CSV with file, yaw_deg, pitch_deg, roll_deg and optionally box (left top right bottom); a box alone chooses the
    head."""
    masks: Path | None = None
    """Folder or zip with your own masks of the whole photos, by the same names."""
    models: tyro.conf.OmitArgPrefixes[DetectorModels] = field(default_factory=DetectorModels)

    def check_detectors(self) -> None:
        """Refuse paths that do not exist; the file of poses is checked when it is read.

        Raises:
            UsageError: naming the option and the path.
        """
        given = {} if self.masks is None else {"masks": self.masks}
        for name, path in {**given, **self.models.files}.items():
            if not path.exists():
                raise UsageError(f"--{name.replace('_', '-')} {path} does not exist")
