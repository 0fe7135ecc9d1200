"""Drawn photos, and detectors that find heads in them, so that nothing needs MediaPipe."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from panohead.alignment.angles import view_of_orbit
from panohead.alignment.canonical_face import canonical_face

SIDE = 320


def drawn_photo(seed: int) -> tuple[Image.Image, Image.Image]:
    """A noisy ellipse and its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    head = (((x - 160) / 75) ** 2 + ((y - 155) / 95) ** 2 < 1).astype(float)
    coarse = np.array(Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).resize((SIDE, SIDE)))
    pixels = coarse * (0.4 + 0.6 * head[..., None]) + rng.normal(0, 12, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), Image.fromarray((head * 255).astype(np.uint8))


@dataclass
class DrawnFaces:
    """Stand-in for MediaPipe: faces in whatever is large enough and not of one color.

    Attributes:
        turn_deg: yaw of the faces.
        middles: places of the faces, as shares of the image's width and height.
        scale: pixels per centimeter, in an image of SIDE pixels.
    """

    turn_deg: float = 0.0
    middles: tuple[tuple[float, float], ...] = ((0.5, 0.5),)
    scale: float = 6.6

    def faces(self, image: np.ndarray, most: int) -> list[np.ndarray]:
        if min(image.shape[:2]) < 64 or image.std() < 5:
            return []
        scale, size = self.scale * min(image.shape[:2]) / SIDE, np.array([image.shape[1], image.shape[0]])
        face = canonical_face() @ view_of_orbit(self.turn_deg, 0.0, 0.0).T
        return [
            np.concatenate([face[:, :2] * [scale, -scale] + size * middle, -scale * face[:, 2:]], axis=1)
            for middle in self.middles[:most]
        ]


def framed_faces(turn_deg: float = 0.0) -> DrawnFaces:
    """One face where aligned crops in the official frame have it."""
    return DrawnFaces(turn_deg, ((0.499, 0.55),), 11.93)


class DrawnMask:
    """Stand-in for a masker: an oval, whatever the image."""

    def mask(self, image: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
        return ((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1).astype(np.float64)
