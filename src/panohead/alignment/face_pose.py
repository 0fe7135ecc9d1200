"""Pose of a face from its landmarks: a robust scaled-orthographic fit of the canonical face.

The model is ``landmark = offset + scale * (R p)`` with the image's y axis pointing down, orthographic as the 3DDFA fit
that the original's alignment uses (a perspective fit would be biased against it). Depth, which the landmark network
only guesses, counts a fifth: without it the shape of the face is taken for pitch, with more the network's bias is
(measured on real portraits and synthetic heads).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from panohead.alignment.canonical_face import canonical_face, rigid_weights

SOFT_RESIDUAL_CM = 0.3
"""Residuals above this count with their length instead of their square (soft L1)."""
DEPTH_WEIGHT = 0.2
"""Of a squared residual in depth, against one in the picture."""
_STEPS = 20
_SETTLED = 1e-7


@dataclass(frozen=True)
class FacePose:
    """Attributes:
    scale: pixels a centimetre of the canonical face.
    rotation: canonical face to view (x right, y up, z to the viewer).
    offset: where the canonical origin lies in the picture, pixels (x right, y down).
    residual: root mean square distance of the landmarks from the fit, as a share of the face's width of 15 cm.
    """

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    offset: Float[np.ndarray, "2"]
    residual: float

    def project(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 2"]:
        """Canonical points (centimetres) in the picture (pixels)."""
        view: np.ndarray = points @ self.rotation.T
        return self.offset + self.scale * view[:, :2] * [1.0, -1.0]


def fit_face(landmarks: Float[np.ndarray, "468 3"], weights: Float[np.ndarray, "468"] | None = None) -> FacePose:
    """The pose of one face.

    Args:
        landmarks: pixels, x right, y down, z away from the viewer on the scale of x; where z is 0 does not matter.
        weights: how much each landmark counts; None for :func:`rigid_weights`.

    Returns:
        The pose that minimises the soft-L1 distance in the picture and, with a smaller weight, in depth.
    """
    model = canonical_face()
    weight = rigid_weights() if weights is None else weights
    points = landmarks * [1.0, -1.0, -1.0]
    rotation, scale = _start(points, model, weight)
    offset = _mean(points - scale * (model @ rotation.T), weight)
    axes = np.sqrt([1.0, 1.0, DEPTH_WEIGHT])
    for _ in range(_STEPS):
        view = model @ rotation.T
        residual = (offset + scale * view - points) / scale * axes
        distance = np.sum(residual**2, axis=1) / SOFT_RESIDUAL_CM**2
        root = np.sqrt(weight) / (1.0 + distance) ** 0.25
        step = np.linalg.lstsq(
            (_jacobian(view) * axes[:, None] * root[:, None, None]).reshape(-1, 7),
            -(residual * root[:, None]).ravel(),
            rcond=None,
        )[0]
        # The offset is stepped in centimetres, like everything else here.
        offset = offset + scale * step[4:]
        rotation, scale = _rotation(step[:3]) @ rotation, scale * float(np.exp(step[3]))
        if np.abs(step).max() < _SETTLED:
            break
    pose = FacePose(scale, rotation, offset[:2] * [1.0, -1.0], 0.0)
    away = np.linalg.norm(pose.project(model) - landmarks[:, :2], axis=1) / scale
    return FacePose(scale, rotation, pose.offset, float(np.sqrt(np.mean(away**2))) / 15.0)


def _start(points: np.ndarray, model: np.ndarray, weight: np.ndarray) -> tuple[Float[np.ndarray, "3 3"], float]:
    """Rotation and scale of the rigid three-dimensional fit (Kabsch)."""
    flat, solid = points - _mean(points, weight), model - _mean(model, weight)
    left, _, right = np.linalg.svd((flat * weight[:, None]).T @ solid)
    rotation = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    spread = (solid @ rotation.T)[:, :2]
    scale = np.sqrt(np.sum(weight[:, None] * flat[:, :2] ** 2) / np.sum(weight[:, None] * spread**2))
    return rotation, max(float(scale), np.finfo(float).tiny)


def _jacobian(view: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3 7"]:
    """Of the residuals in centimetres: to turns about the view's x, y, z, the log of the scale, shifts in x, y, z."""
    x, y, z = view.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    across = [zero, z, -y, x, one, zero, zero]
    up = [-z, zero, x, y, zero, one, zero]
    toward = [y, -x, zero, z, zero, zero, one]
    return np.stack([np.stack(across, 1), np.stack(up, 1), np.stack(toward, 1)], 1)


def _rotation(turn: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation about the direction of ``turn`` by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-12:
        return np.eye(3) + cross
    return np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross


def _mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.sum(values * weight[:, None], axis=0) / np.sum(weight)
    return mean
