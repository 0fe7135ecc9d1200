"""The volume renderer without any network: it takes every callable from points to (raw density, features).

Run:     python examples/07_own_field.py [OUT] [SIDE]
Writes:  OUT/sphere.png

Replace ``sphere`` by a field of your own: a NeRF, a voxel grid, a formula.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from panohead import Camera
from panohead.geometry import rays_from_camera
from panohead.media import save_image
from panohead.randomness import RenderRandomness
from panohead.rendering import RenderConfig, render_rays


def sphere(points: Tensor) -> tuple[Tensor, Tensor]:
    """[batch, point, 3] to density [batch, point, 1] and colors [batch, point, 3]: a ball of radius 0.3."""
    distance = points.norm(dim=-1, keepdim=True)
    return torch.where(distance < 0.3, 100.0, -100.0), points / distance.clamp_min(1e-6)


out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
side = int(sys.argv[2]) if len(sys.argv) > 2 else 128
out.mkdir(parents=True, exist_ok=True)

config = RenderConfig(depth_samples=48, importance_samples=48, ray_start=2.25, ray_end=3.3)
origins, directions = rays_from_camera(Camera.orbit(yaw_deg=30, pitch_deg=20).expand(1), side)  # [1, side², 3] each
even = RenderRandomness.even()  # evenly spaced samples: the image repeats
rays = render_rays(sphere, origins, directions, config, even)

image = rays.features[0].T + 1 - rays.weight_sum[0].T  # [3, side²]: colors are premultiplied; white behind
save_image(image.reshape(3, side, side).clamp(-1, 1), out / "sphere.png")
print(f"foreground {rays.weight_sum.mean():.3f} of the image; nearest depth {rays.depth.min():.3f} world units")
