"""Soft masks of the person: MediaPipe's selfie segmentation, a matting network as ONNX file, or the user's own."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.face_landmarks import import_mediapipe, quiet
from panohead.alignment.pose_network import Network, describe_input, network_input, run_network
from panohead.errors import PanoHeadError

_ISNET_PX = 1024
_U2NET_PX = 320
"""Sides of the networks' inputs; U2-Net's where the file leaves it open."""

Mask = Float[np.ndarray, "height width"]
"""Share of the person in each pixel, 0 to 1."""


@runtime_checkable
class PersonMasker(Protocol):
    """Network that separates the person from the background."""

    def mask(self, image: UInt8[np.ndarray, "height width 3"]) -> Mask:
        """Return the mask of the people in an image."""
        ...


class MediaPipeMasker:
    """Selfie segmentation of the mediapipe wheel (256 pixels inside); opened at the first use."""

    def __init__(self) -> None:
        self._model: Any = None

    def mask(self, image: UInt8[np.ndarray, "height width 3"]) -> Mask:
        """Return the soft mask of the people in the image."""
        if self._model is None:
            solution = import_mediapipe().solutions.selfie_segmentation.SelfieSegmentation
            self._model = quiet(solution, model_selection=0)
        found = self._model.process(np.ascontiguousarray(image)).segmentation_mask
        return np.clip(np.asarray(found, dtype=np.float64).reshape(image.shape[:2]), 0.0, 1.0)


class OnnxMasker:
    """U2-Net, ISNet and other matting networks with one image as input and the mask as first output.

    U2-Net: 320 pixels, divided by the brightest value, then ImageNet's mean and standard deviation. ISNet: 1024
    pixels, minus 0.5. The output of both is stretched to 0..1.

    Raises:
        PanoHeadError: in :meth:`mask`, when the first output is not one mask.
        FloatingPointError: in :meth:`mask`, when it is not finite.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def mask(self, image: UInt8[np.ndarray, "height width 3"]) -> Mask:
        """Return the soft mask of the foreground that the network was trained for."""
        from PIL import Image

        size = describe_input(self._network).size or _U2NET_PX
        if size >= _ISNET_PX:
            pixels = network_input(image, size, np.full(3, 0.5, np.float32), np.ones(3, np.float32))
        else:
            # The networks were trained on images divided by their brightest value; black ones stay black.
            bright = (image * (255.0 / max(1, int(image.max())))).astype(np.uint8)
            pixels = network_input(bright, size)
        first = run_network(self._network, pixels)[0]
        output = first.astype(np.float32).squeeze()
        if output.ndim != 2:
            raise PanoHeadError(f"its first output is {' x '.join(str(n) for n in first.shape)}, not one mask")
        if not np.isfinite(output).all():
            raise FloatingPointError("the mask model gives numbers that are not finite")
        stretched = (output - output.min()) / max(float(np.ptp(output)), 1e-6)
        full = Image.fromarray(stretched).resize((image.shape[1], image.shape[0]), Image.Resampling.BILINEAR)
        return np.clip(np.asarray(full, dtype=np.float64), 0.0, 1.0)
