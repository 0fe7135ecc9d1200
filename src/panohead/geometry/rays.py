"""Pixels to rays and world points to pixels (docs/reference.md 1.5)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.geometry.camera import Camera

_MIN_AHEAD = 1e-6  # distance before the camera that is divided by, world units


def rays_from_camera(
    camera: Camera, resolution: int
) -> tuple[Float[Tensor, "batch ray 3"], Float[Tensor, "batch ray 3"]]:
    """Return world-space rays through the centers of a square image's pixels.

    Args:
        camera: batch of cameras, fields "batch 4 4" and "batch 3 3".
        resolution: pixels per side; rays are flattened row by row.

    Returns:
        ray_origins in world units and ray_directions of unit length, so that a depth along a ray is a distance.
    """
    cam2world, k = camera.cam2world, camera.intrinsics
    fx, fy, cx, cy, skew = (k[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 1)))
    steps = (torch.arange(resolution, device=k.device, dtype=k.dtype) + 0.5) / resolution
    v, u = (grid.reshape(1, -1) for grid in torch.meshgrid(steps, steps, indexing="ij"))

    # Points at z = 1 before the camera: batch ray.
    x = (u - cx + cy * skew / fy - skew * v / fy) / fx
    y = ((v - cy) / fy).expand_as(x)
    in_camera = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    in_world = in_camera @ cam2world[:, :3, :3].transpose(1, 2)
    # Rotated only, for the camera center is the origin of every ray: batch ray 3.
    origins = cam2world[:, None, :3, 3].expand_as(in_world)
    return origins, torch.nn.functional.normalize(in_world, dim=-1)


def project(
    points: Float[Tensor, "*point 3"], camera: Camera
) -> tuple[Float[Tensor, "*point 2"], Float[Tensor, "*point"], Bool[Tensor, "*point"]]:
    """Project world points into one camera's image: the inverse of :func:`rays_from_camera`.

    Returns:
        Image coordinates (-1 to 1 inside, x right, y down), the distance from the camera in world units, and True for
        points before the camera.
    """
    offset = points - camera.cam2world[:3, 3]
    local = offset @ camera.cam2world[:3, :3]
    flat = local / local[..., 2:].clamp_min(_MIN_AHEAD)
    return (flat @ camera.intrinsics.T)[..., :2] * 2 - 1, offset.norm(dim=-1), local[..., 2] > _MIN_AHEAD
