"""A sample of a dataset looked at before it is used: masks against their images, faces against their labels."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.comparison.label_faces import compare_faces, dataset_problem
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


def installed_detector() -> FaceLandmarker | None:
    """Return MediaPipe's detector of faces, None where it is not installed."""
    try:
        import_mediapipe()
    except PanoHeadError:
        return None
    return MediaPipeFaces()


def sample_problems(sample: Iterable[SampleImage], detector: FaceLandmarker | None) -> list[str]:
    """Return sentences on what is wrong with the masks, the labels or the crops of a sample.

    Args:
        sample: images of the dataset.
        detector: detector of faces; None compares no faces.
    """
    images = list(sample)
    problems = [sample_problem([MaskedImage(one.name, one.image, one.mask) for one in images])]
    if detector is not None:
        problems.append(dataset_problem(compare_faces(((one.image, one.label) for one in images), detector)))
    return [problem for problem in problems if problem]


def refuse_wrong_sample(sample: Iterable[SampleImage], place: str) -> None:
    """Refuse a dataset whose masks, labels or crops are wrong as a whole; faces are compared if MediaPipe is there.

    Args:
        sample: images of the dataset.
        place: path of the dataset, for the error.

    Raises:
        PanoHeadError: with the first problem.
    """
    problems = sample_problems(sample, installed_detector())
    if problems:
        raise PanoHeadError(f"{place}: {problems[0]}")
