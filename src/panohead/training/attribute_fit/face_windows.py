"""Windows of the face in views, for sampling it more often than its share of the pixels.

A face covers a sixth of a frontal view and nothing of a rear one, but people look at eyes and mouths first.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_CENTER = (0.0, -0.005, 0.17)
"""Middle of the region from brows to chin of edition-2 people, world units (mean over 40 people of seed 9000)."""

_RADIUS = 0.115
"""Half the side of that region, world units."""

_MIN_COSINE = 0.25
"""Least cosine between a camera's direction and the face's (+z): beyond 75 degrees less than half of it is seen."""


@dataclass(frozen=True)
class FaceWindows:
    """Square windows of views, in image coordinates (0 to 1, y downward).

    Attributes:
        center: middle of the window (x, y).
        radius: half its side.
        visible: whether the camera sees the face.
    """

    center: Float[Tensor, "*view 2"]
    radius: Float[Tensor, "*view"]
    visible: Bool[Tensor, "*view"]


def face_windows(labels: Float[Tensor, "*view 25"]) -> FaceWindows:
    """Return the window of the face in every view."""
    pose, k = labels[..., :16].unflatten(-1, (4, 4)), labels[..., 16:].unflatten(-1, (3, 3))
    origin = pose[..., :3, 3]  # view 3
    in_camera = ((labels.new_tensor(_CENTER) - origin)[..., None, :] @ pose[..., :3, :3])[..., 0, :]  # R^T (p - t)
    x, y, distance = in_camera.unbind(-1)
    center = torch.stack([k[..., 0, 0] * x / distance + k[..., 0, 2], k[..., 1, 1] * y / distance + k[..., 1, 2]], -1)
    # A length at a distance, seen through a focal length in units of the image's side.
    radius = _RADIUS * k[..., 0, 0] / distance
    cosine = origin[..., 2] / origin.norm(dim=-1)
    return FaceWindows(center, radius, cosine > _MIN_COSINE)
