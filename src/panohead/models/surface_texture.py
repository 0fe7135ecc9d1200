"""Fixed noise on the surface of heads, from which super-resolution makes what is finer than the tri-grid.

Strands of hair are narrower than a texel, and which strand is where follows from nothing that the generator is told, so
a regression averages them away. The noise maps of StyleGAN (Karras et al. 2019, section 3.2) are the usual source of
such details, but they belong to the screen: a head that turns would slide below them. This noise belongs to places: it
is read at the point that a ray hits, in the space of the tri-grid. Not part of PanoHead (off by default).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_SIDE = 128
"""Texels per side of the maps."""

_STRETCH = 8.0
"""Ratio of length and width of the noise in the second half of the channels, and of strands: hair mostly falls."""

_SKULL = (0.0, 0.06, -0.035)
"""Center of the skull's dome, world units, in heads framed as ``panohead prepare`` frames them (measured on people)."""

_DOME = 0.24
"""Radius of the dome, world units."""

_COLUMNS = (128, 64, 32)
"""Texels around the head of the strands' maps, in turn: from one that is little wider than a ray to locks."""

_ROWS = 24
"""Texels of the strands' maps from the crown down, each ``_STRETCH`` times as long as wide."""

_CROWN = 0.05
"""Distance from the dome's axis, world units, below which strands fade: they would be narrower than a ray."""


class SurfaceTexture(nn.Module):
    """Noise at points of space, mapped to features by one linear layer (zero at first).

    Each of the first noise channels is the sum of three maps over two axes each; in the second half of them the noise
    is long along y. The channels of :class:`Strands` follow.

    Args:
        noise_channels: number of noise channels without strands.
        channels: number of features.
        box_warp: side of the box that the maps span, world units.
        strands: number of noise channels of strands.
    """

    maps: Tensor

    def __init__(self, noise_channels: int, channels: int, *, box_warp: float, strands: int = 0) -> None:
        super().__init__()
        self.box_warp = box_warp
        # RandomState's numbers are the same in every version of NumPy, so files need not hold them.
        noise = np.random.RandomState(0).standard_normal((3, noise_channels, _SIDE, _SIDE))
        self.register_buffer("maps", torch.from_numpy(noise.astype(np.float32)), persistent=False)
        self.strands = Strands(strands) if strands else None
        self.weight = nn.Parameter(torch.zeros(channels, noise_channels + strands))

    def noise(self, points: Float[Tensor, "head point 3"]) -> Float[Tensor, "head point noise_channel"]:
        """Return the noise at points (world units), of variance about 1 in the middle of texels."""
        at = points * (2 / self.box_warp)
        half = self.maps.shape[1] - self.maps.shape[1] // 2
        parts = [
            self._sample(at, slice(0, half)),
            self._sample(at * at.new_tensor([1, 1 / _STRETCH, 1]), slice(half, None)),
        ]
        noise = torch.cat(parts, dim=1).transpose(1, 2)
        return noise if self.strands is None else torch.cat([noise, self.strands(points)], dim=2)

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


class Strands(nn.Module):
    """Noise along the lines on which combed hair falls: from the crown over the dome of the skull, then straight down.

    Args:
        channels: number of noise channels; their maps take the widths of :data:`_COLUMNS` in turn.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        random = np.random.RandomState(1)
        for level, columns in enumerate(_COLUMNS[:channels]):
            count = len(range(level, channels, len(_COLUMNS)))
            noise = random.standard_normal((count, _ROWS, columns)).astype(np.float32)
            # The first column again behind the last: around the head there is no border.
            maps = torch.from_numpy(np.concatenate([noise, noise[:, :, :1]], axis=2))
            self.register_buffer(f"maps_{columns}", maps, persistent=False)

    def forward(self, points: Float[Tensor, "head point 3"]) -> Float[Tensor, "head point channel"]:
        """Return the noise at points (world units), of variance about 1 in the middle of texels."""
        x, y, z = (points - points.new_tensor(_SKULL)).unbind(dim=2)
        radius = (x.square() + z.square()).sqrt()
        around = torch.atan2(x, z) / math.pi  # -1 to 1, 0 in front
        # Length of the line from the crown: an arc above the dome's center, vertical below it.
        angle = torch.atan2(radius, y.clamp_min(0))
        down = _DOME * angle - y.clamp_max(0)
        found = []
        for columns in _COLUMNS[: self.channels]:
            width = 2 * math.pi * _DOME / columns
            rows = down / (_STRETCH * width) * (2 / (_ROWS - 1)) - 1
            maps = self.get_buffer(f"maps_{columns}")[None].expand(len(points), -1, -1, -1)
            grid = torch.stack([around, rows], dim=2)[:, :, None]
            found.append(F.grid_sample(maps, grid, align_corners=True, padding_mode="reflection")[..., 0])
        # head channel point -> head point channel
        return (torch.cat(found, dim=1) * (radius / _CROWN).clamp_max(1)[:, None]).transpose(1, 2)
