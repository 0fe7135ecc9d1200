"""Framing of the heads in the world: one similarity transform per edition, the same for all people.

Every face was already mapped onto the neutral one (:mod:`panohead.synthetic.shape`); one origin, scale and tilt
remain. Edition 1 fills the core of the official crop with the head; edition 2 agrees with the whole frame that
``panohead prepare`` cuts from photos (the core, 10 % above it and 5 % on either side), to which the labels belong.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Framing:
    """Similarity transform from the head frame to the world.

    Attributes:
        origin: the point of the head frame (decimeters of the head basis) that becomes the world's origin.
        scale: world units per decimeter.
        pitch_deg: tilt about the x axis in degrees; positive where the face points up.
    """

    origin: tuple[float, float, float]
    scale: float
    pitch_deg: float

    def to_world(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Map decimeters of the head frame to world units (y up, face toward +z, camera radius 2.7)."""
        return self.turn(points - np.array(self.origin)) * self.scale

    def turn(self, directions: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Rotate directions of the head frame into the world."""
        angle = np.radians(self.pitch_deg)
        c, s = np.cos(angle), np.sin(angle)
        tilt = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        turned: Float[np.ndarray, "*shape 3"] = directions @ tilt.T
        return turned

    def scaled(self, scale: float, lift: float, pitch_deg: float = 0.0) -> "Framing":
        """Return the frame with the world scaled by ``scale`` about its origin, then raised by ``lift`` world units.

        The head is tilted by ``pitch_deg`` degrees more about its own origin.
        """
        angle = np.radians(self.pitch_deg + pitch_deg)
        # A point p is shown at scale' * T (p - o'); o' is chosen so that the old origin o is shown at (0, lift, 0).
        back = np.array([0.0, np.cos(angle), np.sin(angle)]) * lift / (self.scale * scale)
        x, y, z = np.array(self.origin) - back
        return Framing((float(x), float(y), float(z)), self.scale * scale, self.pitch_deg + pitch_deg)


FIRST = Framing((0.0, 7.127, 0.58), 0.2563, 6.8)
"""Framing of edition 1, found with ``tools/measure_faces.py``: landmarks of frontal renders give the rendered core."""
FRAMINGS = {1: FIRST, 2: FIRST.scaled(0.92, -0.029)}
"""Framings by edition. The second was found with ``tools/measure_framing.py``."""
EDITIONS = tuple(FRAMINGS)
