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
        self.rank = rank
        self.coefficients = FullyConnected(w_dim, rank)
        self.offsets = FullyConnected(rank, 3 * size**3)
        with torch.no_grad():
            self.offsets.weight.zero_()  # no deformation at first

    def forward(self, w: Float[Tensor, "head w_dim"]) -> Float[Tensor, "head 3 size size size"]:
        """Return offsets (x, y, z) in world units from the world to the tri-grid's space, on a grid (z y x)."""
        size = self.size
        return self.offsets(self.coefficients(w)).unflatten(1, (3, size, size, size)) * _SCALE

    @torch.no_grad()
    def set_directions(
        self, mean: Float[Tensor, " coordinate"], directions: Float[Tensor, "coordinate direction"]
    ) -> None:
        """Set the mean of all heads and the directions in which they differ; all heads are the mean at first.

        Args:
            mean, directions: :meth:`normalized` offsets, flattened; at most ``rank`` directions, for coefficients of
                unit variance.
        """
        assert self.offsets.bias is not None
        assert self.coefficients.bias is not None
        self.offsets.weight.zero_()
        self.offsets.weight[:, : directions.shape[1]] = directions / self.offsets.weight_gain
        self.offsets.bias.copy_(mean)
        self.coefficients.weight.zero_()
        self.coefficients.bias.zero_()

    @staticmethod
    def normalized(offsets: Float[Tensor, "head 3 size size size"]) -> Float[Tensor, "head 3 size size size"]:
        """Return offsets in units in which those of people have a variance of about 1."""
        return offsets.float() / _SCALE
