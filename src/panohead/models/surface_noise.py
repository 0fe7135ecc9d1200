"""Fixed noise at points of space: what :class:`SurfaceTexture` reads where rays hit surfaces.

Each kind has buffers that files need not hold: NumPy guarantees that ``RandomState``'s numbers never change.
"""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

NoiseKind = Literal["planes", "strands"]

_PLANE_SIDE = 128
"""Texels per side of the planes' maps."""

_STRETCH = 8.0
"""Ratio of length and width of the planes' noise that follows hair: it mostly falls."""

_GRAIN_SIDE = 48
"""Texels per side of the grain's volume; it is mirrored beyond."""

_GRAIN_TEXELS = (0.02, 0.04, 0.08)
"""Widths of the grain's texels in turn, world units: from twice the distance between rays, as finer ones are white
noise of which the adversarial loss makes all hair, to a curl."""

_GRAIN = 0.05
"""Deviation of the grain, beside strands of about 1: it shall be learned after them."""

SKULL = (0.0, 0.06, -0.035)
"""Center of the skull's dome, world units, in heads framed as ``panohead prepare`` frames them (measured on people)."""

DOME = 0.24
"""Radius of the dome, world units."""

_COLUMNS = (128, 64, 32)
"""Texels around the head of the strands' maps, in turn: from one that is little wider than a ray to locks."""

_FINE_COLUMNS = (256,)
"""Texels around the head of the maps of fine strands."""

_ROWS = 8
"""Texels of the strands' maps from the crown down."""

_LENGTH = 0.2
"""Length of those texels, world units: shorter ones become dashes instead of strands."""


class PlaneNoise(nn.Module):
    """Sum of three maps over two axes each; in the second half of the channels long along y.

    The first form of this noise, for files that were trained with it: where a surface is parallel to two axes, one of
    the maps becomes stripes.

    Args:
        channels: number of noise channels.
        box_warp: side of the box that the maps span, world units.
    """

    maps: Tensor

    def __init__(self, channels: int, *, box_warp: float) -> None:
        super().__init__()
        self.box_warp = box_warp
        noise = np.random.RandomState(0).standard_normal((3, channels, _PLANE_SIDE, _PLANE_SIDE))
        self.register_buffer("maps", torch.from_numpy(noise.astype(np.float32)), persistent=False)

    def forward(self, points: Float[Tensor, "head ray 3"], side: int) -> Float[Tensor, "head ray channel"]:
        """Return the noise at points (world units), of variance about 1 in the middle of texels.

        Args:
            side: without effect: how rays lie beside each other.
        """
        at = points * (2 / self.box_warp)
        half = self.maps.shape[1] - self.maps.shape[1] // 2
        parts = [
            self._sample(at, slice(0, half)),
            self._sample(at * at.new_tensor([1, 1 / _STRETCH, 1]), slice(half, None)),
        ]
        return torch.cat(parts, dim=1).transpose(1, 2)

    def _sample(self, at: Tensor, channels: slice) -> Float[Tensor, "head channel point"]:
        total: Tensor | None = None
        for maps, axes in zip(self.maps, ([0, 1], [2, 1], [0, 2]), strict=True):
            chosen = maps[None, channels].expand(len(at), -1, -1, -1)
            # Mirrored beyond the box: noise without an end.
            found = F.grid_sample(chosen, at[:, :, None, axes], align_corners=False, padding_mode="reflection")[..., 0]
            total = found if total is None else total + found
        assert total is not None
        return total / 3**0.5


class GrainNoise(nn.Module):
    """Noise without a direction, for skin and curls.

    Args:
        channels: number of noise channels; their texels take the widths of :data:`_GRAIN_TEXELS` in turn.
    """

    volume: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        noise = np.random.RandomState(2).standard_normal((channels, _GRAIN_SIDE, _GRAIN_SIDE, _GRAIN_SIDE))
        self.register_buffer("volume", torch.from_numpy(noise.astype(np.float32)), persistent=False)

    def forward(self, points: Float[Tensor, "head point 3"]) -> Float[Tensor, "head point channel"]:
        """Return the noise at points (world units), of deviation 0.05 in the middle of texels."""
        parts: list[Tensor] = [points[..., :0]] * len(self.volume)
        levels = len(_GRAIN_TEXELS)
        for level, texel in enumerate(_GRAIN_TEXELS[: len(self.volume)]):
            volume = self.volume[None, level::levels].expand(len(points), -1, -1, -1, -1)
            grid = (points * (2 / (texel * _GRAIN_SIDE)))[:, :, None, None]
            found = F.grid_sample(volume, grid, align_corners=False, padding_mode="reflection")[..., 0, 0]
            parts[level::levels] = found.unbind(1)
        return _GRAIN * torch.stack(parts, dim=2)


class StrandNoise(nn.Module):
    """Noise along the lines on which combed hair falls: from the crown over the dome of the skull, then straight down.

    Where neighboring rays are further apart than a texel, as at the crown and along outlines, the noise fades: sampled
    there, it would be a pattern of its own.

    Args:
        channels: number of noise channels.
        columns: texels of their maps around the head, in turn.
        seed: seed of the maps.
    """

    def __init__(self, channels: int, columns: tuple[int, ...] = _COLUMNS, *, seed: int = 1) -> None:
        super().__init__()
        self.columns = columns[:channels]
        random = np.random.RandomState(seed)
        for level, texels in enumerate(self.columns):
            count = len(range(level, channels, len(columns)))
            noise = random.standard_normal((count, _ROWS, texels)).astype(np.float32)
            # The first column again behind the last: around the head there is no border.
            maps = torch.from_numpy(np.concatenate([noise, noise[:, :, :1]], axis=2))
            self.register_buffer(f"maps_{texels}", maps, persistent=False)

    def forward(self, points: Float[Tensor, "head ray 3"], side: int) -> Float[Tensor, "head ray channel"]:
        """Return the noise at points (world units), of variance about 1 in the middle of texels.

        Args:
            side: rays per side of the squares, row by row, that the rays form.
        """
        around, down, _ = along_strands(points)
        rows = down / _LENGTH * (2 / (_ROWS - 1)) - 1
        turn = _turn_between_rays((points - points.new_tensor(SKULL))[..., [0, 2]], side)  # head ray
        found = []
        for columns in self.columns:
            maps = self.get_buffer(f"maps_{columns}")[None].expand(len(points), -1, -1, -1)
            grid = torch.stack([around, rows], dim=2)[:, :, None]
            noise = F.grid_sample(maps, grid, align_corners=True, padding_mode="reflection")[..., 0]
            texels = turn * (columns / (2 * math.pi))  # between rays: whole up to 1, nothing from 3 on
            found.append(noise * (1.5 / texels.clamp_min(1e-6) - 0.5).clamp(0, 1)[:, None])
        return torch.cat(found, dim=1).transpose(1, 2)


def along_strands(
    points: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Return where points (world units) lie on the lines on which combed hair falls.

    Returns:
        The direction around the head (-1 to 1, 0 in front), the length of the line from the crown and the distance from
        the head's axis, both world units.
    """
    x, y, z = (points - points.new_tensor(SKULL)).unbind(dim=-1)
    radius = (x.square() + z.square()).sqrt()
    # An arc above the dome's center, vertical below it.
    down = DOME * torch.atan2(radius, y.clamp_min(0)) - y.clamp_max(0)
    return torch.atan2(x, z) / math.pi, down, radius


def _turn_between_rays(places: Float[Tensor, "head ray 2"], side: int) -> Float[Tensor, "head ray"]:
    """Return by how much the direction from the head's axis turns to the next ray, right or below, in radians."""
    directions = F.normalize(places, dim=2).unflatten(1, (-1, side, side))  # head square height width 2
    steps = [(directions - directions.roll(-1, dims=axis))[:, :, : side - 1, : side - 1].norm(dim=4) for axis in (2, 3)]
    turn = torch.maximum(*steps)
    # The last row and column have no next ray; they take the values beside them.
    return F.pad(turn, (0, 1, 0, 1), mode="replicate").flatten(1)


class HairNoise(nn.Module):
    """Grain, strands as wide as rays and wider, and fine strands at 2 x 2 places of every ray.

    A pixel is half as wide as a ray, so one number a ray cannot tell super-resolution where fine strands are.

    Args:
        channels: number of noise channels: half of them fine strands (4 a map), the rest half grain, half strands.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        fine = channels // 8
        strands = (channels - 4 * fine) // 2
        self.grain = GrainNoise(channels - 4 * fine - strands)
        self.strands = StrandNoise(strands)
        self.fine = StrandNoise(fine, _FINE_COLUMNS, seed=3)

    def forward(self, points: Float[Tensor, "head ray 3"], side: int) -> Float[Tensor, "head ray channel"]:
        """Return the noise at points of rays (world units).

        Args:
            side: rays per side of the squares, row by row, that the rays form.
        """
        parts = [self.grain(points)]
        if self.strands.columns:
            parts.append(self.strands(points, side))
        if self.fine.columns:
            fine = self.fine(finer_points(points, side), 2 * side)  # head pixel channel
            images = fine.unflatten(1, (-1, side, 2, side, 2))  # head square height 2 width 2 channel
            parts.append(images.permute(0, 1, 2, 4, 6, 3, 5).flatten(4).flatten(1, 3))
        return torch.cat(parts, dim=2)


def finer_points(points: Float[Tensor, "head ray 3"], side: int) -> Float[Tensor, "head pixel 3"]:
    """Return the places where rays of twice the density hit surfaces, interpolated between those of the rays.

    Args:
        side: rays per side of the squares, row by row, that the rays form; the result forms squares of twice as many.
    """
    images = points.unflatten(1, (-1, side, side)).flatten(0, 1).permute(0, 3, 1, 2)  # image 3 height width
    finer = F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    return finer.permute(0, 2, 3, 1).reshape(len(points), -1, 3)


def noise_of_kind(kind: NoiseKind, channels: int, *, box_warp: float) -> nn.Module:
    """Return a module that maps points of rays (head ray 3, world units) and ``side`` to noise (head ray channel)."""
    return PlaneNoise(channels, box_warp=box_warp) if kind == "planes" else HairNoise(channels)
