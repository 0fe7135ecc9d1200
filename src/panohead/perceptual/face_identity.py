"""Identity embeddings of faces: dlib's network (extra ``identity``) or any ArcFace as an ONNX file (extra ``onnx``)."""

import importlib.util
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.files.regular import MAX_WEIGHTS_BYTES, check_regular, reason_of
from panohead.ops.pixels import image_to_uint8

_DLIB_SIDE = 256
_ARCFACE_SIDE = 112
_FACE_CENTER, _FACE_SIDE = (0.5, 0.55), 0.62
"""Center (x, y) and side of ArcFace's template in the official crop, as fractions of the image size."""


@runtime_checkable
class Detects(Protocol):
    """A face detector."""

    def confidence(self, image: Float[Tensor, "3 height width"]) -> float:
        """Return the confidence that the image, in [-1, 1], shows a face: 0 to 1."""


class DlibEmbedder:
    """Embedding by dlib's HOG detector, five landmarks and ResNet: 128 numbers (CC0 models of face_recognition_models).

    Raises:
        PanoHeadError: when the packages are missing.
    """

    name = "dlib face recognition ResNet v1"

    def __init__(self) -> None:
        found = importlib.util.find_spec("face_recognition_models")
        try:
            import dlib
        except ImportError:
            found = None
        if found is None or not found.submodule_search_locations:
            raise PanoHeadError(
                "identity by dlib needs its packages; install them with pip install 'panohead[identity]'"
            )
        models = Path(found.submodule_search_locations[0]) / "models"
        self._detect = dlib.get_frontal_face_detector()
        self._shape = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def embed(self, image: Float[Tensor, "3 height width"]) -> Float[np.ndarray, " feature"] | None:
        """Return the embedding of the largest face of an image in [-1, 1]; None without a face."""
        pixels = _pixels(_at_least(image, _DLIB_SIDE))
        faces = sorted(self._detect(pixels, 0), key=lambda box: box.area())
        if not faces:
            return None
        return np.array(self._network.compute_face_descriptor(pixels, self._shape(pixels, faces[-1])))


class OnnxEmbedder:
    """Embedding by an ArcFace-like network of 112 x 112 pixels in (RGB, [-1, 1]) and one vector out.

    The face is cut at a fixed place of the official crop, not by landmarks: similarities are a little lower than those
    of an aligned face. Without a detector every view counts as a face.

    Raises:
        PanoHeadError: when onnxruntime or the file is missing, or the file is no network.
    """

    def __init__(self, path: Path, detector: Detects | None = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise PanoHeadError(
                "an ONNX network needs onnxruntime; install it with pip install 'panohead[onnx]'"
            ) from None
        if not path.is_file():
            raise PanoHeadError(f"there is no network {path}; name an ArcFace .onnx file with --identity-model")
        self.name, self._detector = path.name, detector
        try:
            check_regular(path, MAX_WEIGHTS_BYTES)
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise PanoHeadError(f"{path} is not a readable ONNX network ({reason_of(error)})") from error
        self._input = self._session.get_inputs()[0].name

    def embed(self, image: Float[Tensor, "3 height width"]) -> Float[np.ndarray, " feature"] | None:
        """Return the embedding of the face at its fixed place in an image in [-1, 1]; None where none is detected."""
        if self._detector is not None and self._detector.confidence(image) < 0.5:
            return None
        found = self._session.run(None, {self._input: _face(image).numpy()})[0]
        return np.asarray(found, np.float64).ravel()


def _face(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "1 3 112 112"]:
    """Return the square around the face's fixed place, resized."""
    height, width = image.shape[1:]
    left, top = (
        round((center - _FACE_SIDE / 2) * size) for center, size in zip(_FACE_CENTER, (width, height), strict=True)
    )
    cut = image[:, max(top, 0) : top + round(_FACE_SIDE * height), max(left, 0) : left + round(_FACE_SIDE * width)]
    size = (_ARCFACE_SIDE, _ARCFACE_SIDE)
    return F.interpolate(cut[None].float().cpu(), size, mode="bilinear", antialias=True).clamp(-1, 1)


def _at_least(image: Float[Tensor, "3 height width"], side: int) -> Tensor:
    """Return the image, enlarged to ``side`` pixels if it is smaller."""
    if image.shape[-1] >= side:
        return image
    return F.interpolate(image[None].float(), (side, side), mode="bicubic", align_corners=False)[0].clamp(-1, 1)


def _pixels(image: Float[Tensor, "3 height width"]) -> np.ndarray:
    """8-bit pixels, height width 3."""
    return np.ascontiguousarray(image_to_uint8(image.cpu()).permute(1, 2, 0).numpy())
