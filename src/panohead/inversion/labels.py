"""Camera labels of aligned crops: read from a ``dataset.json`` of any name, and compared with the faces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from panohead.alignment.angles import orbit_of_view, view_of_camera
from panohead.alignment.detectors import Detectors
from panohead.alignment.head_alignment import Kind, align_face
from panohead.data.labels import read_labels
from panohead.data.sources import FolderSource
from panohead.errors import PanoHeadError
from panohead.files.regular import MAX_TEXT_BYTES, read_regular
from panohead.geometry import Camera, angle_between_deg
from panohead.system.quiet_stderr import quiet_stderr

MAX_APART_DEG: dict[Kind, float] = {"face": 25.0, "coarse": 50.0, "given": 50.0}
"""Largest angle between the cameras of label and landmarks, by the kind of estimate (a profile is "coarse")."""


class _OneFile(FolderSource):
    """Folder that answers with the same file, whatever its name."""

    def has(self, name: str) -> bool:
        """Return True if the file exists."""
        return self.path.is_file()

    def read(self, name: str) -> bytes:
        """Return its content.

        Raises:
            PanoHeadError: when it cannot be read.
        """
        try:
            return read_regular(self.path, MAX_TEXT_BYTES)
        except OSError as error:
            raise PanoHeadError(f"cannot read {self.path} ({error.strerror}); restore the file") from error

    def describe(self, name: str) -> str:
        """Return its path."""
        return str(self.path)


def read_cameras(path: Path, photos: Sequence[Path]) -> list[Camera]:
    """Return the cameras of photos by their file names.

    Args:
        path: JSON file in the format of ``dataset.json`` (docs/reference.md 6.1).
        photos: paths of the photos; folders do not matter.

    Raises:
        PanoHeadError: when the file or a label is missing or wrong.
    """
    labels = read_labels(_OneFile(path), [photo.name for photo in photos])
    return [Camera.from_label(torch.from_numpy(label)) for label in labels]


def label_mismatch(pixels: UInt8[np.ndarray, "height width 3"], camera: Camera, tools: Detectors) -> str | None:
    """Return a sentence if the face in an aligned crop has another direction than its label, None otherwise.

    Without a detected face there is no comparison: the crop may show a back.

    Args:
        pixels: RGB crop in the official frame.
        camera: camera of its label.
        tools: detectors.

    Raises:
        PanoHeadError: when the face detector is not installed.
    """
    with quiet_stderr():
        faces = tools.faces.faces(pixels, 1)
    if not faces:
        return None
    estimate = align_face(faces[0])
    if angle_between_deg(camera, estimate.camera) <= MAX_APART_DEG[estimate.kind]:
        return None
    yaw, pitch, _ = orbit_of_view(view_of_camera(camera))
    face_yaw, face_pitch, _ = estimate.angles_deg
    return (
        f"Its label says yaw {yaw:.0f}, pitch {pitch:.0f} degrees, but its face is seen from about yaw {face_yaw:.0f}, "
        f"pitch {face_pitch:.0f} degrees; if the label is of another view, the head will be wrong."
    )
