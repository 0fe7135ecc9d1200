"""Resampling between grids of different rates and margins, as products with small matrices.

A square canvas of side 1 is sampled at ``rate`` samples per axis; a margin of further samples lies around it. Filters
are short beside these grids, so most numbers of the matrices are zeros; matrix products are still the fastest form on
CPUs for grids of up to a few hundred samples, and they have gradients of any order.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.lowpass import Taps

_RANK_TOLERANCE = 1e-7
"""Singular values of a radial filter, relative to the largest one, below which its parts are left out."""


@dataclass(frozen=True)
class Grid:
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


def filter_matrix(taps: Taps, rate: int, source: Grid, target: Grid) -> np.ndarray:
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

    def __init__(self, taps: Taps, rate: int, source: Grid, target: Grid) -> None:
        super().__init__()
        parts = [(taps, taps)] if taps.ndim == 1 else _separable_parts(taps)
        self.rank = len(parts)
        rows = np.concatenate([filter_matrix(down, rate, source, target) for down, _ in parts], axis=1)
        columns = np.concatenate([filter_matrix(across, rate, source, target).T for _, across in parts], axis=1)
        # Not stored in checkpoints: they follow from the configuration.
        self.register_buffer("rows", torch.as_tensor(rows.astype(np.float32)), persistent=False)
        self.register_buffer("columns", torch.as_tensor(columns.astype(np.float32)), persistent=False)

    def forward(
        self, x: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel out_height out_width"]:
        """Return the resampled images."""
        x = x @ self.columns  # batch channel height rank*out_width
        if self.rank > 1:
            # batch channel height rank*out_width -> batch channel rank*height out_width
            x = x.unflatten(3, (self.rank, -1)).transpose(2, 3).flatten(2, 3)
        return self.rows @ x


def _separable_parts(taps: Taps) -> list[tuple[Taps, Taps]]:
    """Return pairs of 1-D filters (down, across) whose outer products sum to a 2-D filter."""
    left, values, right = np.linalg.svd(taps)
    kept = values > _RANK_TOLERANCE * values[0]
    return [(left[:, i] * values[i], right[i]) for i in np.flatnonzero(kept)]
