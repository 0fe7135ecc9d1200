"""Where a head stands in the world: one similarity an edition, the same for all people.

Every face was already brought onto the neutral one (:mod:`panohead.synthetic.shape`); what is left is one origin, scale
and tilt. Edition 1 fills the core of the official crop with the head; edition 2 agrees with the whole frame that
``panohead prepare`` cuts from photos (the core, 10 % above it and 5 % on either side), to which the labels belong.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Framing:
    """Attributes:
    origin: the point of the head frame (decimetres of the head basis) that becomes the world's origin.
    scale: world units a decimetre.
    pitch_deg: tilt about the x axis; positive where the face looks up.
    """

    origin: tuple[float, float, float]
    scale: float
    pitch_deg: float

    def to_world(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """From decimetres of the head frame to world units (y up, face toward +z, camera radius 2.7)."""
        return self.turn(points - np.array(self.origin)) * self.scale

    def turn(self, directions: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Directions of the head frame in the world."""
        angle = np.radians(self.pitch_deg)
        c, s = np.cos(angle), np.sin(angle)
        tilt = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        turned: Float[np.ndarray, "*shape 3"] = directions @ tilt.T
        return turned

    def scaled(self, scale: float, lift: float, pitch_deg: float = 0.0) -> "Framing":
        """The same frame with the world scaled by ``scale`` about its origin, then raised by ``lift`` world units, the
        head tilted by ``pitch_deg`` more about its own origin."""
        angle = np.radians(self.pitch_deg + pitch_deg)
        # A point p is shown at scale' * T (p - o'); o' is chosen so that the old origin o is shown at (0, lift, 0).
        back = np.array([0.0, np.cos(angle), np.sin(angle)]) * lift / (self.scale * scale)
        x, y, z = np.array(self.origin) - back
        return Framing((float(x), float(y), float(z)), self.scale * scale, self.pitch_deg + pitch_deg)


FIRST = Framing((0.0, 7.127, 0.58), 0.2563, 6.8)
"""Found with ``tools/measure_faces.py``: landmarks of frontal renders ask for the core that was rendered."""
FRAMINGS = {1: FIRST, 2: FIRST.scaled(0.92, -0.029)}
"""By edition. The second was found with ``tools/measure_framing.py``."""
EDITIONS = tuple(FRAMINGS)
