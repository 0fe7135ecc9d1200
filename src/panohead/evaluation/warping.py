"""Warping of one rendered view into the camera of another, through the rendered depth."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.frame import Frame
from panohead.geometry.camera import Camera
from panohead.geometry.rays import project, rays_from_camera

DEPTH_TOLERANCE = 0.02
"""Largest distance, in world units (about 8 mm), between two views' surfaces for a point to be visible in both."""
OPAQUE = 0.9


@dataclass(frozen=True)
class DepthView:
    """Image, depth along the ray (world units; arbitrary where the mask is 0) and mask of one size, and the camera."""

    image: Float[Tensor, "3 height width"]
    depth: Float[Tensor, "1 height width"]
    mask: Float[Tensor, "1 height width"]
    camera: Camera

    @staticmethod
    def of(frame: Frame, *, raw: bool = False) -> "DepthView":
        """Return a frame at the size of its depth: its image averaged down, or its raw image."""
        size = (frame.depth.shape[-2], frame.depth.shape[-1])
        image = frame.image_raw if raw else F.interpolate(frame.image[None], size, mode="area")[0]
        return DepthView(image, frame.depth, frame.mask, frame.camera)


def points_of(view: DepthView) -> Float[Tensor, "height width 3"]:
    """Return the world points that the pixels show."""
    size = view.depth.shape[-1]
    origins, directions = rays_from_camera(view.camera.expand(1), size)
    # Depth is measured along unit directions: 1 ray 3
    return (origins + directions * view.depth.reshape(1, -1, 1))[0].unflatten(0, (size, size))


def warp(
    source: DepthView, target: DepthView, *, tolerance: float = DEPTH_TOLERANCE
) -> tuple[Float[Tensor, "3 height width"], Bool[Tensor, "height width"]]:
    """Return the colors of ``source`` at the surface points of ``target``, and whether both views show each point.

    A point counts when it is opaque in both views, projects into the source, and lies where the source has its surface.
    """
    places, distance, _ = project(points_of(target), source.camera)

    def sample(values: Float[Tensor, "channel height width"]) -> Float[Tensor, "channel height width"]:
        return F.grid_sample(values[None], places[None], mode="bilinear", align_corners=False)[0]

    # Half a pixel from the border bilinear samples would mix with zeros from outside.
    inside = (places.abs() < 1 - 1 / target.depth.shape[-1]).all(dim=-1)
    surface = (sample(source.depth)[0] - distance).abs() < tolerance
    opaque = (target.mask[0] > OPAQUE) & (sample(source.mask)[0] > OPAQUE)
    return sample(source.image), inside & surface & opaque


def photometric_error(source: DepthView, target: DepthView) -> tuple[float, float]:
    """Return the mean absolute difference of colors (0 to 1) where both views show the same point, and the share of the
    target's opaque pixels that do; (nan, 0) where none does."""
    warped, shared = warp(source, target)
    share = float(shared.sum()) / max(float((target.mask > OPAQUE).sum()), 1.0)
    difference = (warped - target.image).abs().mean(dim=0) / 2  # [-1, 1] to a scale of 0 to 1
    return float(difference[shared].mean()) if shared.any() else float("nan"), share


def depth_disagreement(source: DepthView, target: DepthView) -> Float[Tensor, " pixel"]:
    """Return the distance between the target's surface points and the source's surface in their direction, world units.

    Only points that are opaque in both and project into the source count; occluded ones give large values.
    """
    places, distance, _ = project(points_of(target), source.camera)
    sampled = F.grid_sample(
        torch.cat([source.depth, source.mask])[None], places[None], mode="nearest", align_corners=False
    )[0]
    inside = (places.abs() < 1).all(dim=-1) & (target.mask[0] > OPAQUE) & (sampled[1] > OPAQUE)
    return (sampled[0] - distance)[inside]
