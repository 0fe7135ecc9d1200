"""A check that the labels of a dataset are cameras as the networks expect them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from panohead.geometry.camera import FOCAL, RADIUS

MAX_SKEW = 0.02
"""Largest absolute element of R^T R - 1; the original's own labels reach 0.015."""
MAX_RADIUS_ERROR = 0.02
"""Largest error of the distance from the origin, as a share of 2.7."""
MAX_FOCAL_ERROR = 0.01
"""Largest relative error of the focal length."""
MAX_MISS = 0.05
"""Largest distance of the viewing axis from the origin, world units."""


@dataclass(frozen=True)
class LabelProblem:
    """One thing wrong with one label: ``name`` of the photo, ``kind`` in a few words, ``detail`` with the number."""

    name: str
    kind: str
    detail: str


def check_labels(names: Sequence[str], labels: Float[np.ndarray, "photo 25"]) -> list[LabelProblem]:
    """Return every problem, photo by photo.

    Checked: rotation orthonormal and not mirrored, last row, distance from the origin, viewing axis through the origin,
    standard intrinsics.
    """
    found: list[LabelProblem] = []
    for name, label in zip(names, labels.astype(np.float64), strict=True):
        found.extend(LabelProblem(name, kind, detail) for kind, detail in _wrong(label))
    return found


def _wrong(label: Float[np.ndarray, "25"]) -> list[tuple[str, str]]:
    pose, intrinsics = label[:16].reshape(4, 4), label[16:].reshape(3, 3)
    rotation, position = pose[:3, :3], pose[:3, 3]
    skew = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    radius = float(np.linalg.norm(position))
    forward = rotation[:, 2] / max(float(np.linalg.norm(rotation[:, 2])), 1e-9)
    miss = float(np.linalg.norm(position - forward * (position @ forward)))
    focal = (intrinsics[0, 0] + intrinsics[1, 1]) / 2
    standard = np.array([[focal, 0.0, 0.5], [0.0, focal, 0.5], [0.0, 0.0, 1.0]])
    checks = [
        (skew > MAX_SKEW, "rotation not orthonormal", f"off by {skew:.3f}"),
        (float(np.linalg.det(rotation)) < 0, "rotation mirrored", f"determinant {np.linalg.det(rotation):.2f}"),
        (
            bool(np.abs(pose[3] - [0, 0, 0, 1]).max() > 1e-4),
            "last row of cam2world",
            f"{np.round(pose[3], 3).tolist()} instead of 0 0 0 1",
        ),
        (abs(radius / RADIUS - 1) > MAX_RADIUS_ERROR, "radius", f"{radius:.3f} instead of {RADIUS}"),
        (
            miss > MAX_MISS or float(forward @ position) > 0,
            "camera does not look at the origin",
            f"passes it at {miss:.3f}" if float(forward @ position) <= 0 else "looks away from it",
        ),
        (abs(focal / FOCAL - 1) > MAX_FOCAL_ERROR, "focal length", f"{focal:.4f} instead of {FOCAL}"),
        (
            bool(np.abs(intrinsics - standard).max() > 1e-3),
            "intrinsics",
            "principal point off 0.5, skew or unequal focal lengths",
        ),
    ]
    return [(kind, detail) for failed, kind, detail in checks if failed]
