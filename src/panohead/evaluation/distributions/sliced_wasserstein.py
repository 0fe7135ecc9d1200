"""Distance between two sets of images without any trained network: sliced Wasserstein on Laplacian pyramids."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.evaluation.distributions.pyramid_patches import PyramidPatches, describe, join

__all__ = ["PyramidPatches", "SlicedWasserstein", "describe", "join", "sliced_wasserstein"]

_GRID = 1024
_PROJECTIONS_AT_ONCE = 16
_DRAWS_AT_ONCE = 2**20


@dataclass(frozen=True, kw_only=True)
class SlicedWasserstein:
    """Sliced Wasserstein distance with its interval, in reference standard deviations.

    ``value`` is the mean over levels, ``low`` and ``high`` its 95 % interval.

    The interval describes the sampling of images. The value of two finite sets from one distribution is not 0 but
    falls as 1/sqrt(images); compare values only at equal counts, next to the real-against-real baseline.
    """

    value: float
    per_level: dict[int, float]
    low: float
    high: float


def sliced_wasserstein(
    reference: PyramidPatches,
    other: PyramidPatches,
    *,
    seed: int,
    projections: int = 128,
    bootstrap: int = 1000,
) -> SlicedWasserstein:
    """Return the mean absolute difference of sorted random projections (Karras et al. 2018, section 5).

    Descriptors are normalized per channel with the reference's mean and standard deviation (so the value is symmetric
    in the two sets only up to that normalization). Sets of different sizes are compared at the quantiles of the
    smaller.

    The interval resamples whole images. In one dimension the derivative of the distance in the weight of a sample is
    the Kantorovich potential there (Sommerfeld and Munk 2018), so an image's share is its mean potential over patches,
    projections and levels, and no resampled set has to be sorted again.

    Args:
        reference: usually the real images.
        other: usually the generated ones; the same levels.
        seed: seed of the projections and of the bootstrap.
        projections: unit vectors per level.
        bootstrap: resampled sets for the interval; 0 for none (low = high = value).

    Raises:
        PanoHeadError: when a set has fewer than two images, or their levels differ.
    """
    if min(len(reference), len(other)) < 2:
        raise PanoHeadError("a distance between sets of images needs at least two images in each; raise --num")
    if list(reference.descriptors) != list(other.descriptors):
        levels = list(reference.descriptors), list(other.descriptors)
        raise PanoHeadError(f"the two sets have different levels, {levels[0]} and {levels[1]}; resize one of them")
    per_level, shares = {}, []
    for side in reference.descriptors:
        directions = _directions(seed, side, projections, reference.descriptors[side].shape[2:].numel())
        pair = _normalized(reference.descriptors[side], other.descriptors[side])
        per_level[side], *share = _level_distance(*pair, directions, with_shares=bootstrap > 0)
        shares.append(share)
    value = float(np.mean(list(per_level.values())))
    if bootstrap == 0:
        return SlicedWasserstein(value=value, per_level=per_level, low=value, high=value)
    share_reference, share_other = (np.mean([share[k] for share in shares], axis=0) for k in (0, 1))
    low, high = _interval(value, share_reference, share_other, seed, bootstrap)
    return SlicedWasserstein(value=value, per_level=per_level, low=low, high=high)


def _directions(seed: int, side: int, count: int, dimensions: int) -> Float[Tensor, "dimension projection"]:
    drawn = np.random.default_rng((seed, side)).standard_normal((dimensions, count))
    return torch.from_numpy((drawn / np.linalg.norm(drawn, axis=0)).astype(np.float32))


def _normalized(
    reference: Float[Tensor, "image patch 3 value"], other: Float[Tensor, "image2 patch2 3 value"]
) -> tuple[Float[Tensor, "image patch dimension"], Float[Tensor, "image2 patch2 dimension"]]:
    spread, mean = torch.std_mean(reference, dim=(0, 1, 3), keepdim=True)
    spread = spread.clamp_min(1e-6)
    return ((reference - mean) / spread).flatten(2), ((other - mean) / spread).flatten(2)


def _level_distance(
    reference: Float[Tensor, "image patch dimension"],
    other: Float[Tensor, "image2 patch2 dimension"],
    directions: Float[Tensor, "dimension projection"],
    *,
    with_shares: bool,
) -> tuple[float, ndarray, ndarray]:
    """Return the distance of one level, and every image's share in it. Blocks of projections keep the memory small."""
    total = 0.0
    shares = np.zeros(len(reference)), np.zeros(len(other))
    for block in directions.split(_PROJECTIONS_AT_ONCE, dim=1):
        # (image patch dimension) @ (dimension projection) -> projection image patch
        projected = [(patches @ block).permute(2, 0, 1).contiguous().numpy() for patches in (reference, other)]
        # In one dimension the optimal transport pairs sorted samples.
        first, second = (np.sort(values.reshape(len(values), -1), axis=1) for values in projected)
        count = min(first.shape[1], second.shape[1])
        total += float(
            np.abs(_quantiles(first, count) - _quantiles(second, count)).mean(axis=1, dtype=np.float64).sum()
        )
        if with_shares:
            for k in range(len(first)):
                for sums, values in zip(
                    shares, _potential(first[k], second[k], [p[k] for p in projected]), strict=True
                ):
                    sums += values
    number = directions.shape[1]
    return total / number, shares[0] / number, shares[1] / number


def _quantiles(ordered: ndarray, count: int) -> ndarray:
    """Return sorted rows at ``count`` evenly spaced quantiles, linear between samples; unchanged if they fit."""
    size = ordered.shape[1]
    if size == count:
        return ordered
    # Sample i of n is the quantile (i + 1/2) / n.
    position = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
    below = position.astype(np.int64)
    above = np.minimum(below + 1, size - 1)
    fraction = (position - below).astype(ordered.dtype)
    return ordered[:, below] * (1 - fraction) + ordered[:, above] * fraction


def _potential(first: ndarray, second: ndarray, samples: list[ndarray]) -> list[ndarray]:
    """Return the mean Kantorovich potential of each image's samples ("image patch"), from the two sorted projections.

    The potential's slope is the sign of the difference of the distribution functions; it is integrated on an even grid.
    """
    low, high = float(min(first[0], second[0])), float(max(first[-1], second[-1]))
    step = max(high - low, 1e-12) / _GRID
    middles = low + step * (np.arange(_GRID) + 0.5)
    # Difference of the empirical distribution functions at the middle of every cell.
    ahead = np.searchsorted(second, middles) / len(second) - np.searchsorted(first, middles) / len(first)
    potential = np.concatenate([[0.0], np.cumsum(np.sign(ahead) * step)])
    shares = []
    for values in samples:
        cell = np.clip(((values - low) / step + 0.5).astype(np.int32), 0, _GRID)
        shares.append(potential[cell].mean(axis=1))
    return shares


def _interval(value: float, reference: ndarray, other: ndarray, seed: int, bootstrap: int) -> tuple[float, float]:
    rng = np.random.default_rng((seed, 0xB007))
    change = np.zeros(bootstrap)
    for sign, shares in ((1.0, reference), (-1.0, other)):
        # Moving weight to images with a larger share raises the distance; first order in the weights.
        centered = shares - shares.mean()
        rows = max(1, _DRAWS_AT_ONCE // len(shares))
        for start in range(0, bootstrap, rows):
            drawn = rng.integers(len(shares), size=(min(rows, bootstrap - start), len(shares)))
            change[start : start + rows] += sign * centered[drawn].mean(axis=1)
    low, high = np.quantile(change, [0.025, 0.975])
    return max(0.0, value + float(low)), value + float(high)
