"""Deformation of space: heads of any shape share one canonical space, in which the tri-grid lies.

The grid holds offsets at the corners of cells; between them they are trilinear, outside the box those of its surface.
Not part of PanoHead; the idea is that of deformable radiance fields (Park et al., Nerfies, ICCV 2021), with offsets
predicted from w instead of fitted per frame.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def canonical_points(
    points: Float[Tensor, "batch point 3"], deformation: Float[Tensor, "batch 3 size size size"], box_warp: float
) -> Float[Tensor, "batch point 3"]:
    """Return the places in canonical space of points in the world, world units.

    Args:
        deformation: offsets (x, y, z) in world units on a grid (z y x) whose outermost corners are those of the box.
        box_warp: side of the box, world units.
    """
    at = points[:, :, None, None] * (2 / box_warp)  # batch point 1 1 3, [-1, 1] in the box
    offsets = F.grid_sample(deformation, at, align_corners=True, padding_mode="border")  # batch 3 point 1 1
    return points + offsets[..., 0, 0].transpose(1, 2)
