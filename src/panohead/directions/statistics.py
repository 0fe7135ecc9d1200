"""Statistics of a head's front view that have a name: measured in pixels, without a network that knows people."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.frame import Frame

LandmarkFinder = Callable[[UInt8[np.ndarray, "height width 3"]], Float[np.ndarray, "468 3"] | None]
"""Function of an image that returns MediaPipe's face landmarks in pixels, None without a face."""

IMAGE_STATISTICS = ("brightness", "warmth", "hair_length", "width")
LANDMARK_STATISTICS = ("smile", "mouth_open")
_UPPER, _LOWER = (0.15, 0.6), (0.72, 0.95)
"""Rows of the image, as shares of its height: from the crown to the mouth, and below the chin, of the official
framing."""
_NECK = 0.16
"""Half the width of a neck, as a share of the image's: what lies outside below the chin is hair or shoulders."""
_CHEEKS = (234, 454)
_MOUTH = (61, 291)
_LIPS = (13, 14)
_EYES = (33, 263)
"""MediaPipe's landmarks: sides of the face, corners of the mouth, inner lips, outer corners of the eyes."""


def image_statistics(frame: Frame) -> dict[str, float]:
    """Return the statistics of a front view that need no detector.

    brightness: mean luma of the head, 0 to 1. warmth: its mean red minus blue. hair_length: share of the pixels beside
    the neck that are head. width: mean width of the upper head, as a share of the image's width.
    """
    image = (frame.image[:3].clamp(-1, 1) + 1) / 2
    mask = torch.nn.functional.interpolate(frame.mask[None], image.shape[-2:], mode="bilinear", align_corners=False)[0]
    height, width = image.shape[-2:]
    weight = mask / mask.sum().clamp_min(1e-6)
    red, green, blue = ((image * weight).sum(dim=(1, 2))).tolist()
    x = torch.linspace(0, 1, width, device=mask.device)
    beside = (x - 0.5).abs() > _NECK
    return {
        "brightness": 0.2126 * red + 0.7152 * green + 0.0722 * blue,
        "warmth": red - blue,
        "hair_length": float(_rows(mask, _LOWER, height)[:, :, beside].mean()),
        "width": float(_rows(mask, _UPPER, height).mean()),
    }


def landmark_statistics(pixels: UInt8[np.ndarray, "height width 3"], find: LandmarkFinder) -> dict[str, float] | None:
    """Return the statistics of a front view that need landmarks; None where no face is found.

    smile: width of the mouth over the width of the face. mouth_open: distance of the lips over that of the eyes.
    """
    points = find(pixels)
    if points is None:
        return None

    def distance(pair: tuple[int, int]) -> float:
        return float(np.linalg.norm(points[pair[0], :2] - points[pair[1], :2]))

    return {
        "smile": distance(_MOUTH) / max(distance(_CHEEKS), 1e-6),
        "mouth_open": distance(_LIPS) / max(distance(_EYES), 1e-6),
    }


def _rows(mask: Tensor, share: tuple[float, float], height: int) -> Tensor:
    return mask[:, round(share[0] * height) : max(round(share[1] * height), round(share[0] * height) + 1)]
