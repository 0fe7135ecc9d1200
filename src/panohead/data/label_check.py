"""The one check of camera labels: whether they are cameras as the networks expect them.

Training, evaluation, the dataset tools and reconstruction use it; :mod:`panohead.data.conventions` names what labels
that fail it probably are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from panohead.geometry.camera import FOCAL, RADIUS

MAX_SKEW = 0.02
"""Largest absolute element of R^T R - 1; the original's own labels reach 0.015."""
MAX_RADIUS_ERROR = 0.02
"""Largest error of the distance from the origin, as a share of 2.7."""
MAX_FOCAL_ERROR = 0.01
"""Largest relative error of the focal length."""
MAX_MISS = 0.05
"""Largest distance of the viewing axis from the origin, world units."""
MAX_ROLL_DEG = 45.0
"""Largest roll of a camera: crops are cut upright."""
MAX_PITCH_DEG = 80.0
"""Angle above or below the head from which a camera is one of a world with another axis up."""


@dataclass(frozen=True)
class LabelProblem:
    """One thing wrong with one label: ``name`` of the photo, ``kind`` in a few words, ``detail`` with the number."""

    name: str
    kind: str
    detail: str


@dataclass(frozen=True)
class _Measures:
    """Measurements that the check compares with its limits, one value per label."""

    skew: Float[np.ndarray, " photo"]
    determinant: Float[np.ndarray, " photo"]
    last_row: Float[np.ndarray, " photo"]
    radius: Float[np.ndarray, " photo"]
    miss: Float[np.ndarray, " photo"]
    away: Bool[np.ndarray, " photo"]
    roll_deg: Float[np.ndarray, " photo"]
    pitch_deg: Float[np.ndarray, " photo"]
    focal: Float[np.ndarray, " photo"]
    intrinsics: Float[np.ndarray, " photo"]


def check_labels(names: Sequence[str], labels: Float[np.ndarray, "photo 25"]) -> list[LabelProblem]:
    """Return every problem, photo by photo.

    Checked: rotation orthonormal and not mirrored, last row, distance from the origin, viewing axis through the origin,
    camera upright and not above or below the head, standard intrinsics.
    """
    found: list[LabelProblem] = []
    wrong = np.flatnonzero(wrong_labels(labels))
    if not len(wrong):
        return found
    measured = _measure(labels[wrong])
    kinds = _kinds(measured)
    for row, photo in enumerate(wrong.tolist()):
        for kind, failed in kinds.items():
            if failed[row]:
                found.append(LabelProblem(names[photo], kind, _detail(kind, measured, row, labels[photo])))
    return found


def wrong_labels(labels: Float[np.ndarray, "photo 25"]) -> Bool[np.ndarray, " photo"]:
    """Return True for every label that is no camera as the networks expect it."""
    failed = list(_kinds(_measure(labels)).values())
    result: np.ndarray = np.any(failed, axis=0)
    return result


def _measure(labels: Float[np.ndarray, "photo 25"]) -> _Measures:
    pose = labels[:, :16].reshape(-1, 4, 4).astype(np.float64)
    intrinsics = labels[:, 16:].reshape(-1, 3, 3).astype(np.float64)
    rotation, position = pose[:, :3, :3], pose[:, :3, 3]
    radius = np.linalg.norm(position, axis=1)
    forward = rotation[:, :, 2] / np.maximum(np.linalg.norm(rotation[:, :, 2], axis=1), 1e-9)[:, None]
    along = (position * forward).sum(axis=1)
    focal = (intrinsics[:, 0, 0] + intrinsics[:, 1, 1]) / 2
    standard = np.zeros_like(intrinsics)
    standard[:, 0, 0] = standard[:, 1, 1] = focal
    standard[:, :2, 2], standard[:, 2, 2] = 0.5, 1.0
    skew = np.abs(np.einsum("nij,nik->njk", rotation, rotation) - np.eye(3)).max(axis=(1, 2))
    return _Measures(
        skew=skew,
        determinant=np.linalg.det(rotation),
        last_row=np.abs(pose[:, 3] - [0, 0, 0, 1]).max(axis=1),
        radius=radius,
        miss=np.linalg.norm(position - forward * along[:, None], axis=1),
        away=along > 0,
        # World y of the camera's x axis (right) and of its up axis, which is -y: their angle is the roll.
        roll_deg=np.degrees(np.arctan2(rotation[:, 1, 0], -rotation[:, 1, 1])),
        pitch_deg=np.degrees(np.arcsin(np.clip(position[:, 1] / np.maximum(radius, 1e-9), -1, 1))),
        focal=focal,
        intrinsics=np.abs(intrinsics - standard).max(axis=(1, 2)),
    )


def _kinds(m: _Measures) -> dict[str, Bool[np.ndarray, " photo"]]:
    """Return which labels fail, by the kind of the problem."""
    aimed = ~m.away & (m.miss <= MAX_MISS)
    steep = aimed & (np.abs(m.pitch_deg) > MAX_PITCH_DEG)
    return {
        "rotation not orthonormal": m.skew > MAX_SKEW,
        "rotation mirrored": m.determinant < 0,
        "last row of cam2world": m.last_row > 1e-4,
        "radius": np.abs(m.radius / RADIUS - 1) > MAX_RADIUS_ERROR,
        "camera does not look at the origin": (m.miss > MAX_MISS) | m.away,
        # Near the poles the roll is of no meaning.
        "camera not upright": aimed & ~steep & (np.abs(m.roll_deg) > MAX_ROLL_DEG),
        "camera above or below the head": steep,
        "focal length": np.abs(m.focal / FOCAL - 1) > MAX_FOCAL_ERROR,
        "intrinsics": m.intrinsics > 1e-3,
    }


def _detail(kind: str, m: _Measures, row: int, label: Float[np.ndarray, "25"]) -> str:
    details = {
        "rotation not orthonormal": f"off by {m.skew[row]:.3f}",
        "rotation mirrored": f"determinant {m.determinant[row]:.2f}",
        "last row of cam2world": f"{np.round(label[12:16].astype(float), 3).tolist()} instead of 0 0 0 1",
        "radius": f"{m.radius[row]:.3f} instead of {RADIUS}",
        "camera does not look at the origin": "looks away from it"
        if m.away[row]
        else f"passes it at {m.miss[row]:.3f}",
        "camera not upright": f"rolled by {m.roll_deg[row]:.0f} degrees",
        "camera above or below the head": f"pitch {m.pitch_deg[row]:.0f} degrees",
        "focal length": f"{m.focal[row]:.4f} instead of {FOCAL}",
        "intrinsics": "principal point off 0.5, skew or unequal focal lengths",
    }
    return details[kind]


def tilts_deg(labels: Float[np.ndarray, "photo 25"]) -> Float[np.ndarray, "photo 2"]:
    """Return |roll| and |pitch| of the labels' cameras in degrees: small for upright crops of heads."""
    measured = _measure(labels)
    return np.abs(np.stack([measured.roll_deg, measured.pitch_deg], axis=1))
