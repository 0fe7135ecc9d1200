"""Intervals over heads: coverage on known distributions, and the closed form of Wilson's."""

import numpy as np
import pytest

from panohead.evaluation.intervals import mean_interval, rate_interval


def test_the_interval_of_a_mean_covers_it_and_counts_heads_not_views() -> None:
    rng = np.random.default_rng(0)
    hits, views, widths = 0, 6, []
    for _ in range(100):
        # Views of a head are almost equal: 20 heads are 20 observations, not 120.
        heads = rng.normal(3.0, 1.0, size=20)
        values = (heads[:, None] + rng.normal(0, 0.05, size=(20, views))).ravel()
        low, high = mean_interval(values.tolist(), np.repeat(np.arange(20), views).tolist())
        assert low is not None
        assert high is not None
        hits += low <= 3.0 <= high
        widths.append(high - low)
    assert 86 <= hits <= 99
    assert np.mean(widths) == pytest.approx(2 * 1.96 / np.sqrt(20), rel=0.1)


def test_values_that_are_not_finite_are_left_out_and_one_head_has_no_interval() -> None:
    assert mean_interval([1.0, float("nan"), 1.0], [0, 1, 2]) == (1.0, 1.0)
    assert mean_interval([1.0, 2.0], [7, 7]) == (None, None)
    assert mean_interval([], []) == (None, None)


def test_rates_of_zero_and_one_have_intervals() -> None:
    assert rate_interval(0.0, 32) == (0.0, pytest.approx(1.959964**2 / (32 + 1.959964**2)))
    assert rate_interval(1.0, 32) == (pytest.approx(32 / (32 + 1.959964**2)), 1.0)
    low, high = rate_interval(0.5, 100)
    assert low == pytest.approx(0.4038, abs=1e-4)
    assert high == pytest.approx(0.5962, abs=1e-4)
    assert rate_interval(float("nan"), 5) == rate_interval(0.5, 0) == (None, None)
