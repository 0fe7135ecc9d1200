"""A cloud of splats: 3-D Gaussians with an opacity and one color each (3D Gaussian Splatting, Kerbl et al. 2023)."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.errors import UsageError

SH_DC = 0.28209479177387814
"""Spherical harmonic of degree 0, 1 / (2 sqrt(pi)): a color c in [0, 1] is stored as (c - 0.5) / SH_DC."""


@dataclass(frozen=True)
class SplatCloud:
    """Splats in world units, y up, the face toward +z.

    Attributes:
        means: centers, world units.
        log_scales: natural logarithms of the standard deviations along the splat's own axes, world units.
        quaternions: rotations from the splat's axes to the world, (w, x, y, z), of any length.
        opacity_logits: opacity at the center before the sigmoid.
        colors: sRGB in [0, 1], the same from all sides.
    """

    means: Float[Tensor, "splat 3"]
    log_scales: Float[Tensor, "splat 3"]
    quaternions: Float[Tensor, "splat 4"]
    opacity_logits: Float[Tensor, " splat"]
    colors: Float[Tensor, "splat 3"]

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, chosen: Tensor | slice) -> "SplatCloud":
        return replace(self, **{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    @property
    def coefficients(self) -> Float[Tensor, "splat 3"]:
        """Colors as coefficients of the spherical harmonic of degree 0."""
        return (self.colors - 0.5) / SH_DC

    def detach(self) -> "SplatCloud":
        """Return the same splats without gradients."""
        return replace(self, **{field.name: getattr(self, field.name).detach() for field in fields(self)})


def check_cloud(cloud: object) -> SplatCloud:
    """Return the cloud. Raises UsageError for what is none."""
    if not isinstance(cloud, SplatCloud):
        raise UsageError(f"splats of type {type(cloud).__name__} were given; give the cloud that head.splats() returns")
    return cloud


def rotation_matrices(quaternions: Float[Tensor, "splat 4"]) -> Float[Tensor, "splat 3 3"]:
    """Return rotation matrices of quaternions (w, x, y, z) of any length above 0."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def turned_to(normals: Float[Tensor, "splat 3"]) -> Float[Tensor, "splat 4"]:
    """Return the shortest rotations, as quaternions (w, x, y, z), that turn the z axis to unit normals."""
    x, y, z = normals.unbind(-1)
    # Half-way quaternion (1 + cos, axis * sin); a normal of -z would leave it without length: a half turn about x.
    w = 1 + z
    back = w < 1e-6
    quaternion = torch.stack([w, -y, x, torch.zeros_like(w)], -1)
    half_turn = quaternion.new_tensor([0.0, 1.0, 0.0, 0.0]).expand_as(quaternion)
    return torch.nn.functional.normalize(torch.where(back[:, None], half_turn, quaternion), dim=-1)
