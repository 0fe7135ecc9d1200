"""Intervals of means and rates over heads, whose views are not independent of each other."""

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
Z_95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


def mean_interval(values: Sequence[float], heads: Sequence[int]) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % interval of the mean of all finite values: bootstrap over heads (Efron's percentiles).

    Args:
        values: one per view.
        heads: number of the head of each.

    Returns:
        None for both with fewer than two heads.
    """
    kept = [(value, head) for value, head in zip(values, heads, strict=True) if math.isfinite(value)]
    names = {head: place for place, head in enumerate(dict.fromkeys(head for _, head in kept))}
    if len(names) < 2:
        return None, None
    sums, counts = np.zeros(len(names)), np.zeros(len(names))
    for value, head in kept:
        sums[names[head]] += value
        counts[names[head]] += 1
    # Its own generator: the same values have the same interval.
    drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def rate_interval(rate: float, heads: int) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % interval of a rate by Wilson's formula (1927), also where it is 0 or 1.

    Args:
        rate: share of the views, [0, 1].
        heads: number of independent observations. Views of one head count once, which makes the interval too wide
            rather than too narrow.
    """
    if heads < 1 or not math.isfinite(rate):
        return None, None
    z2 = Z_95**2
    center = (rate + z2 / (2 * heads)) / (1 + z2 / heads)
    half = Z_95 * math.sqrt(rate * (1 - rate) / heads + z2 / (4 * heads**2)) / (1 + z2 / heads)
    return max(0.0, center - half), min(1.0, center + half)
