"""A sample of a dataset looked at before it is used: masks against their images, faces against their labels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.comparison.label_faces import MIN_SIDE_PX, compare_faces, dataset_problem, framing_note
from panohead.alignment.face_landmarks import FaceLandmarker, MediaPipeFaces, import_mediapipe
from panohead.data.masks import MaskedImage, sample_problem
from panohead.errors import PanoHeadError

SAMPLE = 32
"""Images of a dataset that are looked at."""


@dataclass(frozen=True)
class SampleImage:
    """One image of a dataset.

    Attributes:
        name: name of the mask's file, for messages.
        image: RGB.
        mask: 0..255.
        label: its camera.
    """

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    mask: UInt8[np.ndarray, "height width"]
    label: Float[np.ndarray, "25"]


@dataclass(frozen=True)
class SampleFindings:
    """Sentences on a sample of a dataset.

    Attributes:
        problems: what is wrong with masks or labels, so that the dataset cannot be used.
        notes: what differs from the official frame, in which other networks may be trained.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def installed_detector() -> FaceLandmarker | None:
    """Return MediaPipe's detector of faces, None where it is not installed."""
    try:
        import_mediapipe()
    except PanoHeadError:
        return None
    return MediaPipeFaces()


def examine_sample(
    sample: Iterable[SampleImage], detector: Callable[[], FaceLandmarker | None] = installed_detector
) -> SampleFindings:
    """Compare masks with images and faces with labels in a sample of a dataset.

    Args:
        sample: images of the dataset.
        detector: function that opens a detector of faces, called when an image is large enough for it; where it returns
            None, no faces are compared.
    """
    images = list(sample)
    problems = [sample_problem([MaskedImage(one.name, one.image, one.mask) for one in images])]
    notes = []
    if any(min(one.image.shape[:2]) >= MIN_SIDE_PX for one in images) and (opened := detector()) is not None:
        compared = compare_faces(((one.image, one.label) for one in images), opened)
        problems.append(dataset_problem(compared))
        notes.append("" if problems[-1] else framing_note(compared))
    return SampleFindings(tuple(filter(None, problems)), tuple(filter(None, notes)))


def refuse_wrong_sample(sample: Iterable[SampleImage], place: str) -> None:
    """Refuse a dataset whose masks or labels are wrong as a whole; faces are compared if MediaPipe is installed.

    Args:
        sample: images of the dataset.
        place: path of the dataset, for the error.

    Raises:
        PanoHeadError: with the first problem.
    """
    problems = examine_sample(sample).problems
    if problems:
        raise PanoHeadError(f"{place}: {problems[0]}")
