"""Visibility of the head's surface in the photos, by depth and cameras; the rest the generator invented."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.frame import Frame
from panohead.geometry import project, rays_from_camera

DEPTH_TOLERANCE = 0.02
"""Distance behind the visible surface, in world units (8 mm), up to which a point is visible; not at twice that."""
_OPAQUE = 0.5
_IN_PHOTO = 0.5


def seen_points(
    points: Float[Tensor, "point 3"],
    views: Sequence[Frame],
    normals: Float[Tensor, "point 3"] | None = None,
    inside: Sequence[Float[Tensor, "1 height width"] | None] | None = None,
) -> Float[Tensor, " point"]:
    """Return the visibility of each point in the best of the views, 0 (invented) to 1.

    A point is visible if it projects into the image, onto the head, and is at the depth of the surface there. With
    normals that is multiplied by the cosine of the angle between surface normal and ray.

    Args:
        points: points in world units.
        views: renderings of the reconstruction from the photos' cameras.
        normals: unit vectors.
        inside: part of every view that its photo shows (:attr:`panohead.inversion.photo.AlignedPhoto.inside`); nothing
            is seen beyond it. None for all of it.
    """
    best = torch.zeros(len(points), device=points.device)
    for i, view in enumerate(views):
        best = torch.maximum(best, _seen_by(points, view, normals, None if inside is None else inside[i]))
    return best


def _seen_by(points: Tensor, view: Frame, normals: Tensor | None, photo: Tensor | None) -> Tensor:
    camera = view.camera.to(points.device)
    place, distance, ahead = project(points, camera)  # point 2 in [-1, 1]; point; point

    def sample(image: Tensor) -> Tensor:
        return F.grid_sample(image[None].to(points), place[None, None], mode="nearest", align_corners=False)[0, 0, 0]

    depth = sample(torch.nan_to_num(view.depth, nan=1e6, posinf=1e6))  # point: distance to the surface there
    # 1 up to the tolerance behind the visible surface, 0 from twice that on.
    near = (2 - (distance - depth) / DEPTH_TOLERANCE).clamp(0, 1)
    inside = ahead & (place.abs() < 1).all(dim=1) & (sample(view.mask) > _OPAQUE)
    if photo is not None:
        inside = inside & (sample(photo) > _IN_PHOTO)
    seen = near * inside
    if normals is not None:
        ray = points - camera.position  # point 3; its length is ``distance``
        seen = seen * (-(ray * normals).sum(dim=1) / distance).clamp(0, 1)
    return seen


def seen_pixels(
    frame: Frame, views: Sequence[Frame], inside: Sequence[Float[Tensor, "1 in_height in_width"] | None] | None = None
) -> Float[Tensor, "1 height width"]:
    """Return the visibility of the surface behind every pixel of a frame, at the size of its depth; 0 beside the head.

    Args:
        frame: any view of the head.
        views: renderings of the reconstruction from the photos' cameras.
        inside: as in :func:`seen_points`.
    """
    size = frame.depth.shape[-1]
    origins, directions = rays_from_camera(frame.camera.expand(1).to(frame.depth.device), size)
    depth = torch.nan_to_num(frame.depth, nan=0.0, posinf=0.0)
    points = (origins + directions * depth.reshape(1, -1, 1))[0]  # ray 3
    seen = seen_points(points, views, inside=inside).reshape(1, size, size)
    return seen * (frame.mask > _OPAQUE)


def tinted(frame: Frame, seen: Float[Tensor, "1 height width"]) -> Float[Tensor, "3 out_height out_width"]:
    """Return the image of a frame in [-1, 1] with everything invented in magenta.

    Args:
        frame: any view of the head.
        seen: its visibility, from :func:`seen_pixels`.
    """
    size = (frame.image.shape[-2], frame.image.shape[-1])
    invented = F.interpolate(((1 - seen) * (frame.mask > _OPAQUE))[None], size, mode="bilinear")[0]
    magenta = torch.tensor([1.0, -1.0, 1.0], device=frame.image.device)[:, None, None]
    return torch.lerp(frame.image, magenta.expand_as(frame.image), 0.55 * invented)
