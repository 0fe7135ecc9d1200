"""Resampling between grids of different rates and margins, as products with small matrices.

A square canvas of side 1 is sampled at ``rate`` samples per axis; a margin of further samples lies around it. Filters
are short beside these grids, so most numbers of the matrices are zeros, and larger matrices are multiplied in bands.
Matrix products are fast on any device, and they have gradients of any order.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.lowpass import Taps

_BAND = 96
"""Largest number of rows of a matrix that are multiplied at once."""
_RANK_TOLERANCE = 1e-7
"""Singular values of a radial filter, relative to the largest one, below which its parts are left out."""


@dataclass(frozen=True)
class SampleGrid:
    """Sampling positions of the canvas along one axis.

    Attributes:
        rate: samples per side of the canvas.
        margin: further samples at either end.
    """

    rate: int
    margin: int

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.rate + 2 * self.margin

    def places(self) -> np.ndarray:
        """Return the samples' positions in sides of the canvas: its ends are 0 and 1, samples lie amid their cells."""
        return (np.arange(self.size) - self.margin + 0.5) / self.rate


def filter_matrix(taps: Taps, rate: int, source: SampleGrid, target: SampleGrid) -> np.ndarray:
    """Return the matrix "target source" of a 1-D filter whose taps are at ``rate``, the higher of both grids' rates.

    From a lower rate it is zero insertion followed by the filter, with the gain that keeps constants; to a lower rate
    it is the filter followed by decimation. Outside of the source's grid are zeros.

    Raises:
        ValueError: when the grids do not meet at the filter's taps.
    """
    # The sample of the source that lies under every tap of the filter around every target: "target tap".
    offsets = (np.arange(len(taps)) - (len(taps) - 1) / 2) / rate
    index = (target.places()[:, None] - offsets) * source.rate + source.margin - 0.5
    nearest = np.rint(index).astype(int)
    meets = np.abs(index - nearest) < 1e-6  # between the samples lie the inserted zeros
    if not meets.any(axis=1).all():
        raise ValueError(f"{len(taps)} taps at rate {rate} do not lie on grids of rates {source.rate}, {target.rate}")
    row, tap = np.nonzero(meets & (nearest >= 0) & (nearest < source.size))
    matrix = np.zeros((target.size, source.size))
    matrix[row, nearest[row, tap]] = taps[tap] * (rate / source.rate)
    return matrix


class Resampling(nn.Module):
    """A linear map of images from one grid to another by a separable filter or a radial one.

    A radial filter is the sum of a few separable ones, those of its singular value decomposition.

    Args:
        taps: filter at ``rate``, 1-D (the same for both axes) or 2-D.
        rate: sampling rate of the taps, the higher of both grids' rates.
        source, target: grids of input and output, the same for both axes.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, taps: Taps, rate: int, source: SampleGrid, target: SampleGrid) -> None:
        super().__init__()
        parts = [(taps, taps)] if taps.ndim == 1 else _separable_parts(taps)
        self.rank = len(parts)
        rows = np.stack([filter_matrix(down, rate, source, target) for down, _ in parts])
        columns = np.stack([filter_matrix(across, rate, source, target) for _, across in parts])
        self.bands = _bands(np.abs(rows).sum(axis=0) + np.abs(columns).sum(axis=0))
        # "rank target source". Not stored in checkpoints: they follow from the configuration.
        self.register_buffer("rows", torch.as_tensor(rows.astype(np.float32)), persistent=False)
        self.register_buffer("columns", torch.as_tensor(columns.astype(np.float32)), persistent=False)

    def forward(
        self, x: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel out_height out_width"]:
        """Return the resampled images."""
        across = []
        for to, of in self.bands:
            part = self.columns[:, to, of]  # rank out in
            across.append((x[..., of] @ part.flatten(0, 1).T).unflatten(3, (self.rank, -1)))
        x = torch.cat(across, dim=4).transpose(2, 3)  # batch channel rank height out_width
        down = []
        for to, of in self.bands:
            part = self.rows[:, to, of].transpose(0, 1).flatten(1)  # out rank*in
            down.append(part @ x[:, :, :, of].flatten(2, 3))
        return torch.cat(down, dim=2)


def _bands(matrix: np.ndarray) -> list[tuple[slice, slice]]:
    """Return blocks of rows of a matrix, with the columns in which they have anything."""
    bands = []
    for rows in np.array_split(np.arange(len(matrix)), math.ceil(len(matrix) / _BAND)):
        used = [*np.flatnonzero(matrix[rows].any(axis=0)), 0]  # one column for rows beyond the source
        columns = slice(int(min(used[:-1], default=0)), int(max(used)) + 1)
        bands.append((slice(int(rows[0]), int(rows[-1]) + 1), columns))
    return bands


def _separable_parts(taps: Taps) -> list[tuple[Taps, Taps]]:
    """Return pairs of 1-D filters (down, across) whose outer products sum to a 2-D filter."""
    left, values, right = np.linalg.svd(taps)
    kept = values > _RANK_TOLERANCE * values[0]
    return [(left[:, i] * values[i], right[i]) for i in np.flatnonzero(kept)]
