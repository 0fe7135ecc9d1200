"""Fixed noise on the surface of heads, from which super-resolution makes what is finer than the tri-grid.

Strands of hair are narrower than a texel, and which strand is where follows from nothing that the generator is told, so
a regression averages them away. The noise maps of StyleGAN (Karras et al. 2019, section 3.2) are the usual source of
such details, but they belong to the screen: a head that turns would slide below them. This noise belongs to places: it
is read at the point that a ray hits, in the space of the tri-grid. Not part of PanoHead (off by default).
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_SIDE = 128
"""Texels per side of the maps."""

_STRETCH = 8.0
"""Ratio of length and width of the noise in the second half of the channels: hair mostly falls."""


class SurfaceTexture(nn.Module):
    """Noise at points of space, mapped to features by one linear layer (zero at first).

    Each noise channel is the sum of three maps over two axes each. In the second half of the channels the noise is long
    along y.

    Args:
        noise_channels: number of noise channels.
        channels: number of features.
        box_warp: side of the box that the maps span, world units.
    """

    maps: Tensor

    def __init__(self, noise_channels: int, channels: int, *, box_warp: float) -> None:
        super().__init__()
        self.box_warp = box_warp
        # RandomState's numbers are the same in every version of NumPy, so files need not hold them.
        noise = np.random.RandomState(0).standard_normal((3, noise_channels, _SIDE, _SIDE))
        self.register_buffer("maps", torch.from_numpy(noise.astype(np.float32)), persistent=False)
        self.weight = nn.Parameter(torch.zeros(channels, noise_channels))

    def noise(self, points: Float[Tensor, "head point 3"]) -> Float[Tensor, "head point noise_channel"]:
        """Return the noise at points (world units), of variance about 1 in the middle of texels."""
        at = points * (2 / self.box_warp)
        half = self.maps.shape[1] - self.maps.shape[1] // 2
        parts = [
            self._sample(at, slice(0, half)),
            self._sample(at * at.new_tensor([1, 1 / _STRETCH, 1]), slice(half, None)),
        ]
        return torch.cat(parts, dim=1).transpose(1, 2)

    def _sample(self, at: Tensor, channels: slice) -> Float[Tensor, "head noise_channel point"]:
        total: Tensor | None = None
        for maps, axes in zip(self.maps, ([0, 1], [2, 1], [0, 2]), strict=True):
            chosen = maps[None, channels].expand(len(at), -1, -1, -1)
            # Mirrored beyond the box: noise without an end.
            found = F.grid_sample(chosen, at[:, :, None, axes], align_corners=False, padding_mode="reflection")[..., 0]
            total = found if total is None else total + found
        assert total is not None
        return total / 3**0.5

    def forward(self, points: Float[Tensor, "head point 3"]) -> Float[Tensor, "head point channel"]:
        """Return features at points (world units)."""
        return F.linear(self.noise(points), self.weight)
