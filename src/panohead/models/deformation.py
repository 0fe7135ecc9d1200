"""Network from w to a deformation of space, so that heads of any shape share one tri-grid's space.

Not part of PanoHead (off by default). Eyes, mouths and ears of all people then lie at the same places of the tri-grid,
and a few thousand images teach what otherwise millions do: an average of heads is sharp. Expressions are deformations
too. Source: the canonical space of deformable radiance fields (Park et al., Nerfies, ICCV 2021).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.stylegan.layers import FullyConnected

_SCALE = 0.02
"""Size of offsets in world units when the output layer's is 1: about the standard deviation of people's shapes."""


class Deformation(nn.Module):
    """Offsets on a grid as a weighted sum of ``rank`` learned ones; the weights are linear in w.

    Args:
        size: points of the grid per side.
        rank: number of directions in which heads deform.
    """

    def __init__(self, size: int, rank: int, *, w_dim: int) -> None:
        super().__init__()
        self.size = size
        self.coefficients = FullyConnected(w_dim, rank)
        self.offsets = FullyConnected(rank, 3 * size**3)
        with torch.no_grad():
            self.offsets.weight.zero_()  # no deformation at first

    def forward(self, w: Float[Tensor, "head w_dim"]) -> Float[Tensor, "head 3 size size size"]:
        """Return offsets (x, y, z) in world units from the world to the tri-grid's space, on a grid (z y x)."""
        size = self.size
        return self.offsets(self.coefficients(w)).unflatten(1, (3, size, size, size)) * _SCALE

    @staticmethod
    def normalized(offsets: Float[Tensor, "head 3 size size size"]) -> Float[Tensor, "head 3 size size size"]:
        """Return offsets in units in which those of people have a variance of about 1."""
        return offsets.float() / _SCALE
