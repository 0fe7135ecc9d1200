"""Third-party models that some metrics use, from optional packages; each is loaded when first asked for."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera
from panohead.ops.pixels import image_to_uint8

_ALIGNER_SIDE = 512
"""Side, in pixels, to which small images are enlarged; landmarks are unreliable on smaller ones."""


class MediapipeFaceDetector:
    """BlazeFace for faces within two meters (extra ``face``): confidence that a portrait shows a face.

    Raises:
        PanoHeadError: when mediapipe is not installed.
    """

    name = "mediapipe face detection, short range"

    def __init__(self) -> None:
        from panohead.alignment.face_landmarks import quiet

        solution = _mediapipe("the rate of faces").solutions.face_detection.FaceDetection
        self._detector: Any = quiet(solution, model_selection=0, min_detection_confidence=0.05)

    def confidence(self, image: Float[Tensor, "3 height width"]) -> float:
        """Return the score of the best detection, 0 for none; the image is in [-1, 1]."""
        with _unwarned():
            found = self._detector.process(pixels(image)).detections or []
        return max((float(face.score[0]) for face in found), default=0.0)


class PersonSegmenter:
    """Person segmentation of photo preparation (extra ``face``): the person's probability per pixel.

    Raises:
        PanoHeadError: when mediapipe is not installed.
    """

    name = "mediapipe selfie segmentation, general"

    def __init__(self) -> None:
        from panohead.alignment.person_mask import MediaPipeMasker

        _mediapipe("segmentation")
        self._masker = MediaPipeMasker()

    def mask(self, image: Float[Tensor, "3 height width"]) -> Float[Tensor, "1 height width"]:
        """Return the person's probability per pixel (0 to 1) for an image in [-1, 1]."""
        with _unwarned():
            return torch.from_numpy(self._masker.mask(pixels(image)).astype(np.float32))[None]


class AlignerPose:
    """Camera estimation of photo preparation (extra ``face``).

    A mere guess, as by the outline alone (which takes every faceless head for a back), counts as none.

    Raises:
        PanoHeadError: when mediapipe is not installed.
    """

    name = "panohead.alignment.align with mediapipe"

    def __init__(self) -> None:
        from panohead.alignment.detectors import Detectors

        _mediapipe("finding the camera of an image")
        self._tools = Detectors()

    def camera(self, image: Float[Tensor, "3 height width"]) -> tuple[Camera, str] | None:
        """Return camera and kind ("face", "coarse") of an image in [-1, 1]; None where there is none."""
        from panohead.alignment.head_alignment import align_image

        with _unwarned():
            found = align_image(pixels(enlarged(image, _ALIGNER_SIDE)), self._tools)
        if found is None or not found.is_sure:
            return None
        return found.camera, found.kind


def _mediapipe(what: str) -> Any:
    from panohead.alignment.face_landmarks import import_mediapipe

    try:
        return import_mediapipe()
    except PanoHeadError as error:
        raise PanoHeadError(f"{what} needs mediapipe; install it with pip install 'panohead[face]'") from error


@contextmanager
def _unwarned() -> Iterator[None]:
    """Silence the warnings of mediapipe's generated code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pixels(image: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """Map [-1, 1] to 0..255 by the official rounding."""
    return np.ascontiguousarray(image_to_uint8(image.cpu()).permute(1, 2, 0).numpy())


def enlarged(image: Float[Tensor, "3 height width"], side: int) -> Float[Tensor, "3 high wide"]:
    """Return the image enlarged to at least ``side`` pixels."""
    if image.shape[-1] >= side:
        return image
    return F.interpolate(image[None].float(), (side, side), mode="bicubic", align_corners=False)[0].clamp(-1, 1)
