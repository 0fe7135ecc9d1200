"""Fixed noise on the surface of heads, from which super-resolution makes what is finer than the tri-grid.

Strands of hair are narrower than a texel, and which strand is where follows from nothing that the generator is told, so
a regression averages them away. The noise maps of StyleGAN (Karras et al. 2019, section 3.2) are the usual source of
such details, but they belong to the screen: a head that turns would slide below them. This noise belongs to places: it
is read at the point that a ray hits, in the space of the tri-grid. Not part of PanoHead (off by default).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.models.surface_noise import NoiseKind, noise_of_kind


class SurfaceTexture(nn.Module):
    """Noise at points of space, mapped to features by one linear layer (zero at first).

    Args:
        noise_channels: number of noise channels.
        channels: number of features.
        box_warp: side of the rendered box, world units.
        kind: ``planes`` or ``strands``, see :mod:`panohead.models.surface_noise`.
    """

    def __init__(self, noise_channels: int, channels: int, *, box_warp: float, kind: NoiseKind = "planes") -> None:
        super().__init__()
        self.noise = noise_of_kind(kind, noise_channels, box_warp=box_warp)
        self.weight = nn.Parameter(torch.zeros(channels, noise_channels))

    def forward(self, points: Float[Tensor, "head ray 3"], side: int) -> Float[Tensor, "head ray channel"]:
        """Return features at the points (world units) that rays hit.

        Args:
            side: rays per side of the squares, row by row, that the rays form.
        """
        return F.linear(self.noise(points, side), self.weight)
