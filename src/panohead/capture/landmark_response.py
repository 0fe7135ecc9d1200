"""Linear model of MediaPipe's landmarks under expressions, and the weights that explain a frame's landmarks best.

Landmarks of a face in the frame of the canonical face, x and y, centimeters::

    landmarks = neutral + response^T unknowns + noise

with 59 unknowns: the 52 units (0 to 1), the gaze (radians to the person's left, and up) and five functions of the
head's pose, on which the error of landmarks depends. Response and noise were measured on renders of synthetic people
with known weights (``tools/bake_landmark_response.py``). The most probable unknowns, given the noise and a normal
prior of each unknown, minimize a quadratic form within bounds, which an active set solves (scipy).
"""

import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import lsq_linear

from panohead.files.archive import read_arrays
from panohead.synthetic.expressions import EXPRESSION_UNITS, GAZE_LIMITS, gaze_units

UNITS = len(EXPRESSION_UNITS)
GAZE = slice(UNITS, UNITS + 2)
UNKNOWNS = UNITS + 2 + 5
ASSET = "landmark_response.npz"


def pose_terms(yaw: float, pitch: float) -> Float[np.ndarray, "5"]:
    """Return the functions of the pose (radians) on which the error of landmarks depends."""
    return np.array([yaw, pitch, yaw * yaw, yaw * pitch, pitch * pitch])


@dataclass(frozen=True)
class LandmarkResponse:
    """The quadratic form of the unknowns: ``u^T normal u / 2 - u^T (projection @ displacement)``.

    Attributes:
        landmarks: numbers of the landmarks that count.
        normal: precision of the unknowns, prior included.
        projection: from displacements of these landmarks (x and y in turn, centimeters) to the right side.
    """

    landmarks: Int[np.ndarray, " used"]
    normal: Float[np.ndarray, "59 59"]
    projection: Float[np.ndarray, "59 coordinate"]

    def solve(
        self, displacement: Float[np.ndarray, "frame 478 2"], pose: Float[np.ndarray, "frame 5"]
    ) -> tuple[Float[np.ndarray, "frame 52"], Float[np.ndarray, "frame 2"]]:
        """Return the weights of the units (0 to 1) and the gaze (radians to the left, and up) of every frame.

        Args:
            displacement: landmarks minus those of the neutral face, centimeters of the canonical face.
            pose: :func:`pose_terms` of the frame minus those of the neutral face.
        """
        free, known = slice(0, UNITS + 2), slice(UNITS + 2, UNKNOWNS)
        root = np.linalg.cholesky(self.normal[free, free])
        low = np.array([0.0] * UNITS + [limit[0] for limit in GAZE_LIMITS])
        high = np.array([1.0] * UNITS + [limit[1] for limit in GAZE_LIMITS])
        found = []
        for moved, terms in zip(displacement[:, self.landmarks], pose, strict=True):
            right = self.projection[free] @ moved.ravel() - self.normal[free, known] @ terms
            # |root^T u - root^-1 right|^2 is the quadratic form, up to a constant.
            found.append(lsq_linear(root.T, np.linalg.solve(root, right), bounds=(low, high)).x)
        unknowns = np.array(found)
        gaze = unknowns[:, GAZE]
        return with_gaze_units(unknowns[:, :UNITS], gaze), gaze


def with_gaze_units(
    weights: Float[np.ndarray, "frame 52"], gaze: Float[np.ndarray, "frame 2"]
) -> Float[np.ndarray, "frame 52"]:
    """Return weights of all units, those of the eyes' turning as the gaze (radians to the left, and up) has them."""
    whole = weights.copy()
    for frame, (across, up) in zip(whole, gaze, strict=True):
        for name, value in gaze_units(float(across), float(up)).items():
            frame[EXPRESSION_UNITS.index(name)] = value
    return whole


@functools.lru_cache(maxsize=1)
def landmark_response() -> LandmarkResponse:
    """Read the measured response from the package."""
    with resources.as_file(resources.files("panohead.capture") / ASSET) as path:
        arrays = read_arrays(path)
    projection = arrays["projection"].astype(np.float64) * arrays["scale"][:, None]
    return LandmarkResponse(arrays["landmarks"].astype(int), arrays["normal"].astype(np.float64), projection)
