"""Landmarks of a frame in the frame of the canonical face: what is left is the person and the expression."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from panohead.alignment.angles import about_x, about_y
from panohead.alignment.canonical_face import LANDMARKS, canonical_face
from panohead.alignment.face_pose import FacePose, fit_face

_TO_VIEW = np.array([1.0, -1.0, -1.0])
"""Signs of the view's axes (y up, z to the viewer) on the image's (x right, y down, z away)."""


@dataclass(frozen=True)
class CanonicalLandmarks:
    """Landmarks without the head's pose.

    Attributes:
        points: centimeters of the canonical face (x to the viewer's right, y up, z out of the face).
        pose: the pose that was taken away.
    """

    points: Float[np.ndarray, "478 3"]
    pose: FacePose

    @property
    def angles(self) -> Float[np.ndarray, "3"]:
        """Yaw (to the person's left), pitch (up) and roll (to the person's right shoulder) in radians."""
        return head_angles(self.pose.rotation)


def canonical_landmarks(landmarks: Float[np.ndarray, "478 3"]) -> CanonicalLandmarks:
    """Take the pose from landmarks (pixels, z away from the viewer)."""
    pose = fit_face(landmarks[:LANDMARKS])
    view = landmarks * _TO_VIEW
    across = (view[:, :2] - pose.offset * _TO_VIEW[:2]) / pose.scale
    # The landmarks' depth has no origin: its mean is that of the fitted face.
    depth = view[:, 2] / pose.scale
    depth = depth - depth[:LANDMARKS].mean() + float((canonical_face() @ pose.rotation.T)[:, 2].mean())
    points = np.concatenate([across, depth[:, None]], axis=1) @ pose.rotation
    return CanonicalLandmarks(points, pose)


def head_angles(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Return yaw, pitch and roll (radians) of a rotation from the face to the view (x to the viewer's right, y up).

    The face turns by its roll about z first, then by its pitch about x, then by its yaw about y.
    """
    forward, up = rotation[:, 2], rotation[:, 1]
    yaw = float(np.arctan2(forward[0], forward[2]))
    pitch = float(np.arcsin(np.clip(forward[1], -1.0, 1.0)))
    # Without yaw and pitch the face's up axis lies in the image plane, turned by the roll.
    upright = about_x(math.degrees(pitch)) @ about_y(-math.degrees(yaw)) @ up
    return np.array([yaw, pitch, float(np.arctan2(-upright[0], upright[1]))])
