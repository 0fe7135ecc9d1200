"""Windows of the face, its eyes and its mouth in views, which count more than their share of the pixels.

A face covers a sixth of a frontal view and nothing of a rear one, an eye a three-hundredth, but people look at them
first. Synthetic faces lie where the neutral one lies, so constants serve for all.
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


_DETAILS = ((0.068, 0.029, 0.17), (-0.068, 0.029, 0.17), (0.0, -0.122, 0.185))
"""Middle of both eyes and of the mouth, world units (people differ by 0.003 at the eyes, by 0.01 at the mouth)."""

_DETAIL_RADII = ((0.042, 0.026), (0.042, 0.026), (0.055, 0.035))
"""Half of their width and height, lids and lips included, world units."""


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


@dataclass(frozen=True)
class DetailWindows:
    """Windows of both eyes and the mouth, in image coordinates (0 to 1, y downward).

    Attributes:
        center: their middles (x, y).
        radius: half their width and height.
        visible: whether the camera sees the face.
    """

    center: Float[Tensor, "*view detail 2"]
    radius: Float[Tensor, "*view detail 2"]
    visible: Bool[Tensor, "*view"]

    def cover(self, points: Float[Tensor, "*view point 2"]) -> Bool[Tensor, "*view point"]:
        """Return which image points lie in a window of a view that sees the face."""
        apart = (points[..., :, None, :] - self.center[..., None, :, :]).abs()  # view point detail 2
        return (apart < self.radius[..., None, :, :]).all(dim=-1).any(dim=-1) & self.visible[..., None]


def face_windows(labels: Float[Tensor, "*view 25"]) -> FaceWindows:
    """Return the window of the face in every view."""
    center, scale = _project(labels, labels.new_tensor([_CENTER]))
    return FaceWindows(center[..., 0, :], _RADIUS * scale[..., 0], _sees_faces(labels))


def detail_windows(labels: Float[Tensor, "*view 25"]) -> DetailWindows:
    """Return the windows of eyes and mouth in every view."""
    center, scale = _project(labels, labels.new_tensor(_DETAILS))
    return DetailWindows(center, labels.new_tensor(_DETAIL_RADII) * scale[..., None], _sees_faces(labels))


def _project(
    labels: Float[Tensor, "*view 25"], places: Float[Tensor, "place 3"]
) -> tuple[Float[Tensor, "*view place 2"], Float[Tensor, "*view place"]]:
    """Return image coordinates of places (world units), and the size of a world unit there in units of the image."""
    pose, k = labels[..., None, :16].unflatten(-1, (4, 4)), labels[..., None, 16:].unflatten(-1, (3, 3))
    in_camera = ((places - pose[..., :3, 3])[..., None, :] @ pose[..., :3, :3])[..., 0, :]  # R^T (p - t)
    x, y, distance = in_camera.unbind(-1)
    center = torch.stack([k[..., 0, 0] * x / distance + k[..., 0, 2], k[..., 1, 1] * y / distance + k[..., 1, 2]], -1)
    # A length at a distance, seen through a focal length in units of the image's side.
    return center, k[..., 0, 0] / distance


def _sees_faces(labels: Float[Tensor, "*view 25"]) -> Bool[Tensor, "*view"]:
    origin = labels[..., :16].unflatten(-1, (4, 4))[..., :3, 3]
    return origin[..., 2] / origin.norm(dim=-1) > _MIN_COSINE
