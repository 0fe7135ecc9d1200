"""Analytic heads: spheres in front of nothing, with every knob the checks are to notice."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from panohead.evaluation.warping import DepthView
from panohead.frame import Frame
from panohead.geometry.camera import Camera
from panohead.geometry.rays import rays_from_camera

Paint = Callable[[Tensor], Tensor]
"""Points on the surface ("point 3") to colors ("point 3") in [-1, 1]."""


def bands(points: Tensor) -> Tensor:
    """Return colors that change smoothly over the surface and differ everywhere."""
    return torch.stack(
        [torch.sin(9 * points[:, 0] + 4 * points[:, 1]), torch.cos(8 * points[:, 1]), torch.sin(7 * points[:, 2])], -1
    )


def sphere_view(
    camera: Camera,
    size: int = 48,
    *,
    radius: float = 0.25,
    center: tuple[float, float, float] = (0, 0, 0),
    paint: Paint = bands,
) -> DepthView:
    """Return a camera's view of a painted sphere."""
    origins, directions = rays_from_camera(camera.expand(1), size)
    origin, direction = origins[0] - torch.tensor(center, dtype=torch.float32), directions[0]
    along = (origin * direction).sum(-1)
    root = along**2 - (origin**2).sum(-1) + radius**2
    depth = -along - root.clamp_min(0).sqrt()
    hit = root > 0
    points = origins[0] + depth[:, None] * direction
    image = torch.where(hit[:, None], paint(points), torch.ones(3))
    return DepthView(
        image.T.reshape(3, size, size),
        torch.where(hit, depth, torch.full_like(depth, 3.0)).reshape(1, size, size),
        hit.float().reshape(1, size, size),
        Camera(camera.cam2world, camera.intrinsics),
    )


def frame_of(view: DepthView) -> Frame:
    """Return the sphere as a rendered frame without super-resolution."""
    return Frame(view.image, view.image, view.depth, view.mask, view.camera)


def orbit_angle(first: Camera, second: Camera) -> float:
    """Degrees between two viewing directions."""
    cosine = float((first.cam2world[:3, 2] * second.cam2world[:3, 2]).sum())
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
