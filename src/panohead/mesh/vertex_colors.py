"""Colours from rendered views: what each view shows of a point of the surface, and how far it is to be trusted."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.geometry import Camera, project
from panohead.mesh.surface import Surface
from panohead.ops.pixels import image_to_uint8

DEFAULT_SHARPNESS = 4.0
DEFAULT_DEPTH_TOLERANCE = 0.02
"""World units (8 mm)."""

# Below this sum of weights (a single view at 84 degrees from the normal) a vertex counts as unseen.
_SEEN = 1e-4
# Points looked up at once: a texture has millions, and each costs about 100 bytes on the way.
_CHUNK = 2**20


@dataclass(frozen=True)
class ColoringView:
    """One rendered picture of the head, with what is needed to project a point into it (geometry/camera.py)."""

    image: Float[Tensor, "3 height width"]
    """[-1, 1]."""
    depth: Float[Tensor, "1 depth_height depth_width"]
    """World units along unit rays; may be coarser than the image; not finite where nothing is."""
    cam2world: Float[Tensor, "4 4"]
    """OpenCV camera axes: x right, y down, z forward."""
    intrinsics: Float[Tensor, "3 3"]
    """Divided by the image size."""
    mask: Float[Tensor, "1 mask_height mask_width"] | None = None
    """[0, 1], foreground; keeps background colour from the outline."""


@dataclass(frozen=True)
class VertexColors:
    """sRGB colours of vertices, and which of them some view has shown (the others copy the nearest that was)."""

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
    """What the views show at points of the surface: the weighted sum of colours in [-1, 1], and the sum of weights.

    A view sees a point that faces it and lies at most ``depth_tolerance`` world units behind its depth map (the weight
    falls to 0 at twice that); its weight is cos(angle to the normal)^sharpness. Views are used one at a time, so a
    generator keeps memory flat.
    """
    total, color = torch.zeros(len(points)), torch.zeros(len(points), 3)
    for view in views:
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            weights, seen_color = _look(points[part], normals[part], view, sharpness, depth_tolerance)
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
    """Paint each vertex with the mean of the views that see it, weighted as in ``blend_views``.

    Raises PanoHeadError if no vertex is seen at all.
    """
    points, normals = torch.from_numpy(surface.vertices), torch.from_numpy(surface.vertex_normals)
    color, total = blend_views(points, normals, views, sharpness=sharpness, depth_tolerance=depth_tolerance)
    seen = (total > _SEEN).numpy()
    if not seen.any():
        raise PanoHeadError("none of the views shows the mesh, so it cannot be coloured; check cameras and depth maps")
    rgb = quantized(color / total.clamp_min(1e-12)[:, None])
    if not seen.all():
        from scipy.spatial import cKDTree

        _, nearest = cKDTree(surface.vertices[seen]).query(surface.vertices[~seen])
        rgb[~seen] = rgb[seen][nearest]
    return VertexColors(rgb, seen)


def quantized(color: Float[Tensor, "point 3"]) -> UInt8[np.ndarray, "point 3"]:
    """[-1, 1] to 0..255, as pictures are (facts, section 7)."""
    return image_to_uint8(color).numpy()


def _look(
    points: Float[Tensor, "point 3"],
    normals: Float[Tensor, "point 3"],
    view: ColoringView,
    sharpness: float,
    depth_tolerance: float,
) -> tuple[Float[Tensor, " point"], Float[Tensor, "point 3"]]:
    """Weight and colour, in [-1, 1], that one view gives to each point."""
    camera = Camera(view.cam2world.float().cpu(), view.intrinsics.float().cpu())
    place, distance, ahead = project(points, camera)

    def sample(image: Tensor, mode: str) -> Tensor:
        where = place[None, None]
        found = F.grid_sample(image.float().cpu()[None], where, mode=mode, padding_mode="border", align_corners=False)
        return found[0, :, 0].T

    facing = -((points - camera.position) * normals).sum(dim=1) / distance
    weights = facing.clamp_min(0) ** sharpness * ahead * (place.abs() < 1).all(dim=1)
    # The nearest depth in 3 x 3 pixels: beside an occluding edge it is safer to see nothing than the wrong thing.
    depth = torch.nan_to_num(view.depth.float().cpu(), nan=1e6, posinf=1e6)
    nearest = -F.max_pool2d(-depth, 3, stride=1, padding=1)
    behind = (distance - sample(nearest, "nearest")[:, 0]) / depth_tolerance
    weights = weights * (2 - behind).clamp(0, 1)
    if view.mask is not None:
        inner = -F.max_pool2d(-view.mask.float().cpu(), 3, stride=1, padding=1)
        weights = weights * sample(inner, "nearest")[:, 0].clamp(0, 1)
    return weights, sample(view.image, "bilinear")
