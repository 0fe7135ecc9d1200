"""Cameras of aligned crops: reading them from a ``dataset.json`` of any name, and checking them against the faces."""

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
from panohead.geometry import Camera, angle_between_deg
from panohead.system.quiet_stderr import quiet_stderr

MAX_APART_DEG: dict[Kind, float] = {"face": 25.0, "coarse": 50.0, "given": 50.0}
"""Between label and landmarks, by how far these can be trusted: a face from the side is a coarse one."""


class _OneFile(FolderSource):
    """Whatever is asked for, the one file answers."""

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    def read(self, name: str) -> bytes:
        """Its content."""
        return self.path.read_bytes()

    def describe(self, name: str) -> str:
        """Its path."""
        return str(self.path)


def read_cameras(path: Path, photos: Sequence[Path]) -> list[Camera]:
    """The cameras of photos by their file names.

    Raises:
        PanoHeadError: when the file or a label is missing or wrong.
    """
    labels = read_labels(_OneFile(path), [photo.name for photo in photos])
    return [Camera.from_label(torch.from_numpy(label)) for label in labels]


def label_mismatch(pixels: UInt8[np.ndarray, "height width 3"], camera: Camera, tools: Detectors) -> str | None:
    """A sentence when the face in an aligned crop looks elsewhere than its label says; None when it does not.

    Without a face to be found nothing can be said: the crop may show a back.

    Raises:
        PanoHeadError: when the finder of faces is not installed.
    """
    with quiet_stderr():
        faces = tools.faces.faces(pixels, 1)
    if not faces:
        return None
    seen = align_face(faces[0])
    if angle_between_deg(camera, seen.camera) <= MAX_APART_DEG[seen.kind]:
        return None
    yaw, pitch, _ = orbit_of_view(view_of_camera(camera))
    seen_yaw, seen_pitch, _ = seen.angles_deg
    return (
        f"Its label says yaw {yaw:.0f}, pitch {pitch:.0f} degrees, but its face is seen from about yaw {seen_yaw:.0f}, "
        f"pitch {seen_pitch:.0f} degrees; if the label is of another view, the head will be wrong."
    )
