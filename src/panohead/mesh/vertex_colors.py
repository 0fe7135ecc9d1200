"""Vertex colors from rendered views, each weighted by its angle to the surface and by its depth map."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.geometry import Camera, project
from panohead.mesh.fill_colors import filled
from panohead.mesh.surface import Surface
from panohead.ops.pixels import image_to_uint8

DEFAULT_SHARPNESS = 4.0
"""Power of the cosine between view and normal by which views are weighted."""
DEFAULT_DEPTH_TOLERANCE = 0.02
"""World units (8 mm) by which a point may lie behind the depth map and still count as visible."""

# Below this sum of weights (a single view at 84 degrees from the normal) a vertex counts as unseen.
_SEEN = 1e-4
# From this sum on (a single view at 56 degrees) the mean counts alone; below it the neighbors count too.
_WELL_SEEN = 0.1
# Points projected at once: a texture has millions, and each costs about 100 bytes on the way.
_CHUNK = 2**20


@dataclass(frozen=True)
class ColoringView:
    """One rendered image of the head, with depth and camera (see geometry/camera.py)."""

    image: Float[Tensor, "3 height width"]
    """Colors in [-1, 1]."""
    depth: Float[Tensor, "1 depth_height depth_width"]
    """Depth in world units along unit rays; may be coarser than the image; not finite where there is nothing."""
    cam2world: Float[Tensor, "4 4"]
    """Pose; OpenCV camera axes: x right, y down, z forward."""
    intrinsics: Float[Tensor, "3 3"]
    """Intrinsics divided by the image size."""
    mask: Float[Tensor, "1 mask_height mask_width"] | None = None
    """Foreground in [0, 1]; keeps background color from the outline."""


@dataclass(frozen=True)
class VertexColors:
    """sRGB colors of vertices, and a mask of those that some view shows (the others continue their neighbors')."""

    rgb: UInt8[np.ndarray, "vertex 3"]
    seen: Bool[np.ndarray, " vertex"]


def blend_views(
    points: Float[Tensor, "point 3"],
    normals: Float[Tensor, "point 3"],
    views: Iterable[ColoringView],
    *,
    sharpness: float = DEFAULT_SHARPNESS,
    depth_tolerance: float = DEFAULT_DEPTH_TOLERANCE,
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, " point"]]:
    """Sum the colors that views show at points of the surface, weighted.

    A view shows a point that faces it and lies at most ``depth_tolerance`` world units behind its depth map (the weight
    falls to 0 at twice that); its weight is cos(angle to the normal)^sharpness. Views are used one at a time, so a
    generator keeps memory flat.

    Returns:
        Weighted sums of colors in [-1, 1], and sums of weights.
    """
    total, color = torch.zeros(len(points)), torch.zeros(len(points), 3)
    for view in views:
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            weights, seen_color = _weighted_colors(points[part], normals[part], view, sharpness, depth_tolerance)
            total[part] += weights
            color[part] += weights[:, None] * seen_color
    return color, total


def color_vertices(
    surface: Surface,
    views: Iterable[ColoringView],
    *,
    sharpness: float = DEFAULT_SHARPNESS,
    depth_tolerance: float = DEFAULT_DEPTH_TOLERANCE,
) -> VertexColors:
    """Paint each vertex with the mean of the views that show it, weighted as in :func:`blend_views`.

    Vertices that are shown only at grazing angles, or not at all, continue the colors around them
    (:func:`panohead.mesh.fill_colors.filled`).

    Raises:
        PanoHeadError: when no view shows any vertex.
    """
    points, normals = torch.from_numpy(surface.vertices), torch.from_numpy(surface.vertex_normals)
    color, total = blend_views(points, normals, views, sharpness=sharpness, depth_tolerance=depth_tolerance)
    seen = (total > _SEEN).numpy()
    if not seen.any():
        raise PanoHeadError("none of the views shows the mesh, so it cannot be colored; check cameras and depth maps")
    mean = (color / total.clamp_min(1e-12)[:, None]).numpy()
    trust = np.where(seen, (total / _WELL_SEEN).clamp_max(1).numpy(), 0)
    return VertexColors(quantized(torch.from_numpy(filled(mean, trust, surface.vertices, surface.faces))), seen)


def quantized(color: Float[Tensor, "point 3"]) -> UInt8[np.ndarray, "point 3"]:
    """Return colors of [-1, 1] as 0..255, as images are (docs/reference.md 7.1)."""
    return image_to_uint8(color).numpy()


def _weighted_colors(
    points: Float[Tensor, "point 3"],
    normals: Float[Tensor, "point 3"],
    view: ColoringView,
    sharpness: float,
    depth_tolerance: float,
) -> tuple[Float[Tensor, " point"], Float[Tensor, "point 3"]]:
    """Return the weight and the color, in [-1, 1], that one view gives to each point."""
    camera = Camera(view.cam2world.float().cpu(), view.intrinsics.float().cpu())
    # Image coordinates in [-1, 1] (point 2), distance along the ray (point), in front of the camera (point).
    place, distance, ahead = project(points, camera)

    def sample(image: Tensor, mode: str) -> Tensor:
        where = place[None, None]
        found = F.grid_sample(image.float().cpu()[None], where, mode=mode, padding_mode="border", align_corners=False)
        return found[0, :, 0].T

    # Cosine between the ray back to the camera and the normal.
    facing = -((points - camera.position) * normals).sum(dim=1) / distance
    weights = facing.clamp_min(0) ** sharpness * ahead * (place.abs() < 1).all(dim=1)
    # The nearest depth in 3 x 3 pixels: beside an occluding edge no color is safer than a wrong one.
    depth = torch.nan_to_num(view.depth.float().cpu(), nan=1e6, posinf=1e6)
    nearest = -F.max_pool2d(-depth, 3, stride=1, padding=1)
    behind = (distance - sample(nearest, "nearest")[:, 0]) / depth_tolerance
    # 1 up to the tolerance behind the depth map, falling to 0 at twice that.
    weights = weights * (2 - behind).clamp(0, 1)
    if view.mask is not None:
        # The smallest mask value in 3 x 3 pixels: the outline is mixed with the background.
        inner = -F.max_pool2d(-view.mask.float().cpu(), 3, stride=1, padding=1)
        weights = weights * sample(inner, "nearest")[:, 0].clamp(0, 1)
    return weights, sample(view.image, "bilinear")
