"""Camera labels of aligned crops: read from a ``dataset.json`` of any name, and compared with the faces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from panohead.alignment.comparison.label_faces import compare_face
from panohead.alignment.detectors import Detectors
from panohead.alignment.photo_area import PhotoCorners
from panohead.data.conventions import refuse_wrong_labels
from panohead.data.labels import LabelFile, listed_corners, read_labels, read_labels_file
from panohead.data.names import NameIndex
from panohead.errors import PanoHeadError
from panohead.geometry import Camera


def read_cameras(path: Path, photos: Sequence[Path]) -> list[Camera]:
    """Return the cameras of photos by their file names.

    Args:
        path: JSON file in the format of ``dataset.json`` (docs/reference.md 6.1).
        photos: paths of the photos; folders matter only where several labels have the same file name.

    Raises:
        PanoHeadError: when the file or a label is missing or wrong.
    """
    labels = read_labels(LabelFile(path), [photo.as_posix() for photo in photos])
    return [Camera.from_label(torch.from_numpy(label)) for label in labels]


def read_corners(path: Path, photos: Sequence[Path]) -> list[PhotoCorners | None]:
    """Return where the photos of crops end in them, as ``panohead prepare`` writes it beside the labels.

    Args:
        path: JSON file in the format of ``dataset.json``.
        photos: paths of the crops.

    Returns:
        Corners by crop; None for crops that lie in their photos, and in files of other tools.

    Raises:
        PanoHeadError: when the file cannot be read, or holds other corners than four pairs of numbers.
    """
    listed = listed_corners(read_labels_file(LabelFile(path)), str(path))
    index = NameIndex(listed)
    found = [index.find(photo.as_posix()) for photo in photos]
    return [None if name is None else np.array(listed[name]) for name in found]


def check_camera(camera: Camera, name: str) -> None:
    """Refuse a camera of a crop that is none as the networks expect it.

    Raises:
        PanoHeadError: naming the crop, and what its camera probably is.
    """
    label = camera.to_label().detach().cpu().double().numpy().reshape(1, 25)
    refuse_wrong_labels([name], label, f"the camera of {name}", "LABELS.json")


def refuse_mismatch(
    pixels: UInt8[np.ndarray, "height width 3"], camera: Camera, tools: Detectors, name: str
) -> str | None:
    """Compare the face in an aligned crop with its label and with the official frame.

    Without a detected face there is no comparison: the crop may show a back.

    Args:
        pixels: RGB crop in the official frame.
        camera: camera of its label.
        tools: detectors.
        name: name of the crop, for the error.

    Returns:
        A sentence if the face has another direction than the label, None otherwise.

    Raises:
        PanoHeadError: when the crop is not in the official frame, or the face detector is not installed.
    """
    found = compare_face(pixels, camera, tools.faces)
    if found is None:
        return None
    if found.is_misplaced:
        raise PanoHeadError(
            f"the face in {name} is {found.framing()}, compared with the official frame: it is a crop of another "
            "pipeline (FFHQ's and EG3D's are different); run without --aligned and --labels, so that the head is found "
            "and cut"
        )
    if not found.is_apart and not found.is_mirrored:
        return None
    mirrored = " It looks like the mirror image of its label." if found.is_mirrored else ""
    return (
        f"Its label says yaw {found.yaw_deg:.0f}, pitch {found.pitch_deg:.0f} degrees, but its face is seen from about "
        f"yaw {found.face_yaw_deg:.0f}, pitch {found.face_pitch_deg:.0f} degrees; if the label is of another view, the "
        f"head will be wrong.{mirrored}"
    )
