"""Pose of a face from its landmarks: a robust scaled-orthographic fit of the canonical face.

The model is ``landmark = offset + scale * (R p)`` with the image's y axis pointing down, orthographic like the 3DDFA
fit that the original's alignment uses (a perspective fit would be biased against it). Depth, which the landmark network
only guesses, counts a fifth: without it the shape of the face is taken for pitch, with more the network's bias is
(measured on real portraits and synthetic heads).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from panohead.alignment.canonical_face import canonical_face, rigid_weights

SOFT_RESIDUAL_CM = 0.3
"""Length above which a residual counts linearly instead of squared (soft L1)."""
DEPTH_WEIGHT = 0.2
"""Weight of a squared residual in depth, against one in the image plane."""
_MAX_STEPS = 20
_CONVERGED = 1e-7
"""Largest component of a step (radians, log scale, centimeters) at which the fit ends."""
_FACE_WIDTH_CM = 15.0


@dataclass(frozen=True)
class FacePose:
    """A scaled-orthographic pose of the canonical face.

    Attributes:
        scale: pixels per centimeter of the canonical face.
        rotation: canonical face to view (x right, y up, z to the viewer).
        offset: the canonical origin in the image, pixels (x right, y down).
        residual: root mean square distance of the landmarks from the fit, as a share of the face's width of 15 cm.
    """

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    offset: Float[np.ndarray, "2"]
    residual: float

    def project(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 2"]:
        """Project canonical points (centimeters) into the image (pixels)."""
        view: np.ndarray = points @ self.rotation.T
        return self.offset + self.scale * view[:, :2] * [1.0, -1.0]


def fit_face(landmarks: Float[np.ndarray, "468 3"], weights: Float[np.ndarray, "468"] | None = None) -> FacePose:
    """Fit the pose of one face by iteratively reweighted least squares (Gauss-Newton).

    Args:
        landmarks: pixels, x right, y down, z away from the viewer on the scale of x; the origin of z does not matter.
        weights: weight of each landmark; None for :func:`rigid_weights`.

    Returns:
        The pose that minimizes the soft-L1 distance in the image plane and, with a smaller weight, in depth.
    """
    model = canonical_face()  # 468 3, centimeters
    weight = rigid_weights() if weights is None else weights
    # To view axes: y up, z to the viewer.
    points = landmarks * [1.0, -1.0, -1.0]
    rotation, scale = _start(points, model, weight)
    offset = _mean(points - scale * (model @ rotation.T), weight)
    # Weights multiply squared residuals, so their roots multiply residuals.
    axes = np.sqrt([1.0, 1.0, DEPTH_WEIGHT])
    for _ in range(_MAX_STEPS):
        view = model @ rotation.T  # 468 3
        residual = (offset + scale * view - points) / scale * axes  # centimeters
        # Soft L1, rho(d) = 2 sqrt(1 + d) - 2: the weight rho'(d) is (1 + d)^-1/2, and its root scales the residuals.
        distance = np.sum(residual**2, axis=1) / SOFT_RESIDUAL_CM**2
        root = np.sqrt(weight) / (1.0 + distance) ** 0.25
        # Gauss-Newton: (468 * 3) equations in 7 unknowns, three turns, log scale, three shifts.
        step = np.linalg.lstsq(
            (_jacobian(view) * axes[:, None] * root[:, None, None]).reshape(-1, 7),
            -(residual * root[:, None]).ravel(),
            rcond=None,
        )[0]
        # The offset is stepped in centimeters, like everything else here.
        offset = offset + scale * step[4:]
        # The turn is one of the view, so it multiplies from the left.
        rotation, scale = _rotation(step[:3]) @ rotation, scale * float(np.exp(step[3]))
        if np.abs(step).max() < _CONVERGED:
            break
    pose = FacePose(scale, rotation, offset[:2] * [1.0, -1.0], 0.0)
    # The reported residual is that of the image plane, unweighted.
    away = np.linalg.norm(pose.project(model) - landmarks[:, :2], axis=1) / scale
    return FacePose(scale, rotation, pose.offset, float(np.sqrt(np.mean(away**2))) / _FACE_WIDTH_CM)


def _start(points: np.ndarray, model: np.ndarray, weight: np.ndarray) -> tuple[Float[np.ndarray, "3 3"], float]:
    """Return rotation and scale of the rigid three-dimensional fit (Kabsch 1976)."""
    flat, solid = points - _mean(points, weight), model - _mean(model, weight)
    # Weighted covariance of landmarks and model, 3 3; the rotation is its orthogonal part.
    left, _, right = np.linalg.svd((flat * weight[:, None]).T @ solid)
    rotation = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    # The scale by the image plane alone: the landmarks' depth is not to be trusted.
    spread = (solid @ rotation.T)[:, :2]
    scale = np.sqrt(np.sum(weight[:, None] * flat[:, :2] ** 2) / np.sum(weight[:, None] * spread**2))
    return rotation, max(float(scale), np.finfo(float).tiny)


def _jacobian(view: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3 7"]:
    """Return the derivatives of the residuals (centimeters) by turns about the view's x, y, z, log scale and shifts.

    A small turn w moves a view point v by the cross product w x v.
    """
    x, y, z = view.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    # Rows of [w x v, v * d log s, shift] by the three axes; 7 columns each.
    across = [zero, z, -y, x, one, zero, zero]
    up = [-z, zero, x, y, zero, one, zero]
    toward = [y, -x, zero, z, zero, zero, one]
    return np.stack([np.stack(across, 1), np.stack(up, 1), np.stack(toward, 1)], 1)


def _rotation(turn: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Return the rotation about the direction of ``turn`` by its length in radians (Rodrigues' formula)."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn
    # The matrix of the cross product: cross @ v = turn x v.
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # The first order, where the quotients below lose their digits.
    if angle < 1e-12:
        return np.eye(3) + cross
    return np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross


def _mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.sum(values * weight[:, None], axis=0) / np.sum(weight)
    return mean
