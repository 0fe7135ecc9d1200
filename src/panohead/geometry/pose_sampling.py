"""The official samplers of training and video cameras (docs/reference.md 1.3), for parity with published paths.

Their second coordinate is *not* an angle: the polar angle is arccos(1 - 2 v / pi), so only v = pi/2 is exact and near
it an offset dv moves the camera by 0.637 dv. For anything new use :meth:`panohead.geometry.Camera.orbit`.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry.camera import RADIUS, pose_looking


def look_at_pose(
    horizontal: Float[Tensor, " batch"] | float,
    vertical: Float[Tensor, " batch"] | float,
    *,
    target: Float[Tensor, "*batch 3"] | None = None,
    radius: Float[Tensor, " batch"] | float = RADIUS,
) -> Float[Tensor, "batch 4 4"]:
    """Return camera poses on a sphere around the world origin, aimed at ``target`` (default: the origin).

    Args:
        horizontal: radians; pi/2 is the front, larger moves the camera to +x, -pi/2 or 3 pi/2 is the back.
        vertical: in [0, pi], clamped to 1e-5 from the ends; pi/2 is level, smaller is higher. Not an angle (see
            the module).
        target: world point; changes the direction only, never the center.
        radius: world units.
    """
    h = torch.atleast_1d(torch.as_tensor(horizontal, dtype=torch.float32))
    v = torch.atleast_1d(torch.as_tensor(vertical, dtype=torch.float32))
    h, v = torch.broadcast_tensors(h, v)
    phi = torch.arccos(1 - 2 * v.clamp(1e-5, math.pi - 1e-5) / math.pi)
    # batch 3, unit length
    center = torch.stack(
        [torch.sin(phi) * torch.cos(math.pi - h), torch.cos(phi), torch.sin(phi) * torch.sin(math.pi - h)], dim=-1
    )
    center = center * torch.as_tensor(radius, dtype=torch.float32).reshape(-1, 1)
    aim = torch.zeros_like(center) if target is None else target.expand_as(center)
    return pose_looking(center, aim - center)


def sample_gaussian_pose(
    horizontal_mean: float,
    vertical_mean: float,
    *,
    horizontal_std: float = 0.0,
    vertical_std: float = 0.0,
    radius: float = RADIUS,
    target: Float[Tensor, "3"] | None = None,
    batch: int = 1,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch 4 4"]:
    """Draw normally distributed poses: two draws of shape (batch, 1), horizontal first, also where the spread is 0.

    Arguments as of :func:`look_at_pose`.
    """
    h = torch.randn(batch, 1, generator=generator)[:, 0] * horizontal_std + horizontal_mean
    v = torch.randn(batch, 1, generator=generator)[:, 0] * vertical_std + vertical_mean
    return look_at_pose(h, v, target=target, radius=radius)


def sample_uniform_pose(
    horizontal_mean: float,
    vertical_mean: float,
    *,
    horizontal_range: float = 0.0,
    vertical_range: float = 0.0,
    radius: float = RADIUS,
    batch: int = 1,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch 4 4"]:
    """Draw uniformly distributed poses within +- the ranges, aimed at the origin; draws as in the Gaussian sampler."""
    h = (torch.rand(batch, 1, generator=generator)[:, 0] * 2 - 1) * horizontal_range + horizontal_mean
    v = (torch.rand(batch, 1, generator=generator)[:, 0] * 2 - 1) * vertical_range + vertical_mean
    return look_at_pose(h, v, radius=radius)


VideoPath = Literal["head", "head_pti", "ffhq"]


def official_video_pose(path: VideoPath, frame: int, frames: int) -> Float[Tensor, "1 4 4"]:
    """Return the official videos' camera at ``frame`` of ``frames``, with their rounded pi (docs/reference.md 7.7).

    "head" circles the head and nods, "head_pti" circles it level from radius 2.75, "ffhq" sways in front of the face.
    """
    turn = 6.28 * frame / frames
    if path == "ffhq":
        target = torch.tensor([0.0, 0.0, 0.2])
        return look_at_pose(1.57 + 1.5 * math.sin(turn), 1.52 + 0.25 * math.cos(turn), target=target)
    if path == "head_pti":
        return look_at_pose(1.57 + turn, 1.57, radius=2.75)
    return look_at_pose(1.57 + turn, 1.57 - 0.05 + 0.5 * math.sin(turn))
