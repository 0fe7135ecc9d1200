"""The tri-grid: three shallow feature volumes, one along each axis (PanoHead section 3.3; docs/reference.md 3.3).

EG3D's tri-plane projects a point on three planes, so a point on the face and its mirror image on the back of the head
share one feature in the frontal plane. A tri-grid gives each plane a depth of D slices and tells the two apart.
"""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int
from torch import Tensor

PlaneAxes = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
"""World axes of every plane, 0 = x, 1 = y, 2 = z: along its width, height and slices."""

PANOHEAD_AXES: PlaneAxes = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
EG3D_AXES: PlaneAxes = ((0, 1, 2), (0, 2, 1), (2, 0, 1))

Interpolation = Literal["trilinear", "bilinear"]
""""trilinear" is the tri-grid of any depth, "bilinear" the true tri-plane of EG3D (one slice, its axis ignored)."""


def unflatten_planes(
    channels: Float[Tensor, "batch plane_channel_depth height width"], depth: int
) -> Float[Tensor, "batch 3 channel depth height width"]:
    """Return the backbone's output as a tri-grid: its channel index is plane, then feature, then slice."""
    return channels.unflatten(1, (3, -1, depth))


def texel_order(
    channels: int, depth: int, *, device: torch.device | None = None
) -> Int[Tensor, " plane_depth_channel"]:
    """Return the numbers of the backbone's output channels, ordered by plane, then slice, then feature."""
    numbers = torch.arange(3 * channels * depth, device=device)
    return numbers.reshape(3, channels, depth).transpose(1, 2).flatten()


def unflatten_texels(
    channels: Float[Tensor, "batch plane_depth_channel height width"], depth: int
) -> Float[Tensor, "batch 3 channel depth height width"]:
    """Return the tri-grid as :func:`unflatten_planes` does, from channels in the order of :func:`texel_order`."""
    return channels.unflatten(1, (3, depth, -1)).transpose(2, 3)


def texel_contiguous(
    planes: Float[Tensor, "batch 3 channel depth height width"],
) -> Float[Tensor, "batch 3 channel depth height width"]:
    """Return the same tri-grid with the channels of a texel side by side in memory, as the kernel needs them.

    The argument itself where they are already so; a copy takes about as long as a render, so callers keep it.
    """
    if _texels_are_runs(planes):
        return planes
    # batch 3 depth height width channel in memory, batch 3 channel depth height width by index
    return planes.permute(0, 1, 3, 4, 5, 2).contiguous().permute(0, 1, 5, 2, 3, 4)


def _texels_are_runs(planes: Tensor) -> bool:
    """True when channels lie side by side and the planes fill their memory (so that it is one array)."""
    strides = planes.stride()
    # The axes after the batch, by stride: each must step over all smaller ones exactly.
    order = sorted(range(1, 6), key=lambda axis: strides[axis])
    size = 1
    for axis in order:
        if planes.shape[axis] > 1 and strides[axis] != size:
            return False
        size *= planes.shape[axis]
    return strides[2] == 1


def flat_texels(planes: Float[Tensor, "3 channel depth height width"]) -> Float32[np.ndarray, " number"]:
    """Return the memory of one head's :func:`texel_contiguous` tri-grid as a flat array."""
    return planes.detach().as_strided((planes.numel(),), (1,)).numpy()


def project_points(points: Float[Tensor, "batch point 3"], axes: PlaneAxes) -> Float[Tensor, "batch 3 point 3"]:
    """Return the points' coordinates along every plane's width, height and slices (world units)."""
    # Unbound instead of indexed with lists, which would be copied to the device at every call.
    coordinates = points.unbind(dim=-1)
    return torch.stack([torch.stack([coordinates[axis] for axis in plane], dim=-1) for plane in axes], dim=1)


def sample_planes(
    planes: Float[Tensor, "batch 3 channel depth height width"],
    points: Float[Tensor, "batch point 3"],
    *,
    box_warp: float,
    axes: PlaneAxes = PANOHEAD_AXES,
    interpolation: Interpolation = "trilinear",
) -> Float[Tensor, "batch 3 point channel"]:
    """Look up the features of every plane at the points; zero outside the box.

    Matches the official code: zeros also lie around a *single* slice, so a tri-grid of depth 1 is not a tri-plane; its
    features fade as 1 - |t| / 2 with the slice coordinate t in [-1, 1].

    Args:
        points: world units; the box spans +-box_warp / 2 on every axis.
        axes: world axes of every plane.
        interpolation: "bilinear" ignores the slice coordinate (one slice).
    """
    batch, _, channels, depth, height, width = planes.shape
    # batch*3 point 3, in grid_sample's units: -1 and 1 are the sides of the box.
    grid = (project_points(points, axes) * (2 / box_warp)).flatten(0, 1)
    volumes = planes.reshape(batch * 3, channels, depth, height, width)
    if interpolation == "bilinear":
        sampled = F.grid_sample(
            volumes[:, :, 0], grid[:, :, None, :2], mode="bilinear", padding_mode="zeros", align_corners=False
        )
    else:
        sampled = F.grid_sample(
            volumes, grid[:, :, None, None], mode="bilinear", padding_mode="zeros", align_corners=False
        )
    # batch*3 channel (1) 1 point -> batch 3 point channel
    return sampled.reshape(batch, 3, channels, -1).transpose(2, 3)


def sample_trigrid(
    planes: Float[Tensor, "batch 3 channel depth height width"],
    points: Float[Tensor, "batch point 3"],
    *,
    box_warp: float,
    axes: PlaneAxes = PANOHEAD_AXES,
    interpolation: Interpolation = "trilinear",
) -> Float[Tensor, "batch point channel"]:
    """Return the features at the points: the mean over the three planes. Arguments as of :func:`sample_planes`."""
    return sample_planes(planes, points, box_warp=box_warp, axes=axes, interpolation=interpolation).mean(dim=1)
