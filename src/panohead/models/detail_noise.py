"""Fixed noise of unit variance on the surface of heads: strands of several widths, and grain without a direction.

Read by :class:`panohead.models.surface_detail.SurfaceDetail` at the points that pixels show. NumPy guarantees that
``RandomState``'s numbers never change, so files need not hold the tables.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.models.surface_noise import DOME, SKULL, along_strands
from panohead.ops import fast_paths
from panohead.ops.cpu.jit import available, load_failure

_GRAIN_SIDE = 48
"""Texels per side of the grain's volume; it is mirrored beyond."""

_LEVELS = tuple(2**i for i in range(3, 10))
"""Numbers of strands around the head for which there are tables."""

_MIN_POINTS = 512
"""Number of points from which the compiled loop is used."""

_ROWS = 24
"""Texels of the strands' tables from the crown down; mirrored beyond."""

_WAVE, _WAVE_LENGTH = 0.008, 0.1
"""By how much strands swing to the side, and the length over which they do, world units."""


@dataclass(frozen=True)
class StrandSize:
    """Width and length of the texels of a noise along hair, world units."""

    width: float
    length: float


STRANDS = (StrandSize(0.006, 0.05), StrandSize(0.008, 0.14), StrandSize(0.016, 0.14))
"""Strands of the noise: the narrowest is little wider than a pixel of 128, the widest is a lock."""

GRAINS = (0.008, 0.016)
"""Widths of the grain's texels, world units: from a pixel and a half to curls."""

_STARTS = np.cumsum([0, *(_ROWS * (count + 1) for count in _LEVELS for _ in STRANDS)])[:-1].reshape(-1, len(STRANDS))
"""Places in the strands' tables, one after another: of each number of strands around the head, each size."""

DETAIL_WIDTHS = (*(strands.width for strands in STRANDS), *GRAINS)
"""Width of the texels of each noise channel, world units: strands, then grains."""

DETAIL_CHANNELS = len(DETAIL_WIDTHS)
"""Number of noise channels."""


class DetailNoise(nn.Module):
    """Noise at points of space, of mean 0 and variance 1.

    Strands follow the lines on which combed hair falls: from the crown over the dome of the skull, then straight down,
    in waves. Their number around the head grows with the radius, so that they are as wide at the crown as below it.
    """

    def __init__(self) -> None:
        super().__init__()
        random = np.random.RandomState(4)

        def table(*shape: int) -> Tensor:
            return torch.from_numpy(random.standard_normal(shape).astype(np.float32))

        self.register_buffer("wave", _closed(table(1, _ROWS, 16)), persistent=False)
        strands = [_closed(table(len(STRANDS), _ROWS, count)).flatten() for count in _LEVELS]
        self.register_buffer("strands", torch.cat(strands), persistent=False)
        self.register_buffer("grain", table(len(GRAINS), *[_GRAIN_SIDE] * 3), persistent=False)

    @torch.no_grad()
    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point channel"]:
        """Return the noise at points (world units)."""
        if _unsupported(points) is None:
            return self._compiled(points)
        return torch.cat([self._strands(points), self._grain(points)], dim=1)

    def _compiled(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point channel"]:
        from panohead.ops.cpu import detail_noise_kernels as kernels

        found = torch.empty(len(points), DETAIL_CHANNELS)
        kernels.detail_noise(
            points.detach().contiguous().numpy(),
            np.array(SKULL, np.float32),
            np.float32(DOME),
            self.get_buffer("wave")[0].numpy(),
            np.array([_WAVE, _WAVE_LENGTH], np.float32),
            self.get_buffer("strands").numpy(),
            _STARTS,
            int(math.log2(_LEVELS[0])),
            _ROWS,
            np.array([(strands.width, strands.length) for strands in STRANDS], np.float32),
            self.get_buffer("grain").numpy(),
            np.array(GRAINS, np.float32),
            found.numpy(),
        )
        return found

    def _strands(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point strand"]:
        around, down, radius = along_strands(points)
        swing = _read(self.get_buffer("wave"), around, down / _WAVE_LENGTH, mode="bicubic")[0]
        around = around + _WAVE / math.pi * swing / radius.clamp_min(0.05)
        around = (around + 1) % 2 - 1
        circumference = (2 * math.pi) * radius.clamp_min(1e-6)
        found = [
            self._of_width(index, strands, circumference, around, down / strands.length)
            for index, strands in enumerate(STRANDS)
        ]
        return torch.stack(found, dim=1)

    def _of_width(
        self, index: int, strands: StrandSize, circumference: Tensor, around: Tensor, rows: Tensor
    ) -> Float[Tensor, " point"]:
        """Return one noise, from the two tables whose numbers of strands are next to the wanted one."""
        level = torch.log2(circumference / strands.width) - math.log2(_LEVELS[0])
        level = level.clamp(0, len(_LEVELS) - 1)
        lower = level.floor()
        upper_share = level - lower
        total = torch.zeros_like(level)
        for number, count in enumerate(_LEVELS):
            # The mean of both tables, scaled to unit variance.
            for at, share in ((lower == number, 1 - upper_share), (lower == number - 1, upper_share)):
                chosen = at.nonzero()[:, 0]
                if len(chosen):
                    start = _STARTS[number, index]
                    table = self.get_buffer("strands")[start : start + _ROWS * (count + 1)].view(1, _ROWS, count + 1)
                    total[chosen] += share[chosen].sqrt() * _read(table, around[chosen], rows[chosen])[0]
        return total

    def _grain(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point grain"]:
        found = []
        for volume, width in zip(self.get_buffer("grain"), GRAINS, strict=True):
            grid = (points * (2 / (width * _GRAIN_SIDE)))[None, :, None, None]
            values = F.grid_sample(volume[None, None], grid, align_corners=False, padding_mode="reflection")
            found.append(values[0, 0, :, 0, 0])
        # Linear interpolation of independent texels leaves (2/3)^3 of the variance on average.
        return torch.stack(found, dim=1) * 1.5**1.5


def _unsupported(points: Tensor) -> str | None:
    """Return why the compiled loop is not used, in a few words; None if it is."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if points.device.type != "cpu" or points.dtype != torch.float32 or len(points) < _MIN_POINTS:
        return "not float32 on a CPU, or too few points"
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    # Last: other devices need not wait for numba's import.
    return "numba is not installed" if not available() else load_failure("panohead.ops.cpu.detail_noise_kernels")


def _closed(table: Float[Tensor, "channel row column"]) -> Float[Tensor, "channel row column_and_one"]:
    """Return the table with its first column again behind the last: around the head there is no border."""
    return torch.cat([table, table[:, :, :1]], dim=2)


def _read(
    table: Float[Tensor, "channel row column"],
    around: Float[Tensor, " point"],
    rows: Float[Tensor, " point"],
    *,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
) -> Float[Tensor, "channel point"]:
    """Return the table's values.

    Args:
        around: column, -1 for the first and 1 for the last.
        rows: number of the row, from 0; mirrored beyond the last.
        mode: interpolation; the bicubic one has no corners.
    """
    grid = torch.stack([around, rows * (2 / (_ROWS - 1)) - 1], dim=1)[None, :, None]
    found = F.grid_sample(table[None], grid, mode=mode, align_corners=True, padding_mode="reflection")[0, :, :, 0]
    return found * 1.5  # bilinear interpolation leaves (2/3)^2 of the variance on average
