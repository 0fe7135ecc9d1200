"""Charts: where curves lie, when axes are logarithmic, what is left out, and that drawings repeat."""

import math
import re
from typing import Any

import matplotlib
import numpy as np
import pytest

from panohead.reports import Chart, Series
from panohead.reports.drawing import draw, smoothed, thinned

HEIGHT, TOP, BOTTOM = 190, 14, 20


def line(values: Any, label: str = "a") -> Series:
    y = np.asarray(values, dtype=np.float64)
    return Series(label, np.arange(len(y), dtype=np.float64), y)


def drawn_points(svg: str, kind: str) -> np.ndarray:
    (found,) = re.findall(rf'class="{kind} s0" points="([^"]+)"', svg)
    return np.array([[float(n) for n in pair.split(",")] for pair in found.split()])


def test_a_straight_line_is_drawn_straight() -> None:
    points = drawn_points(draw(Chart("a", (line([2.0, 3.0, 4.0]),), smooth=False), "c0"), "mean")
    assert (np.diff(points, n=2, axis=0).__abs__() <= 0.11).all()
    assert (np.diff(points[:, 0]) > 100).all()  # to the right
    assert (np.diff(points[:, 1]) < -60).all()  # and up: y of an SVG points down


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e30, -1e30, 1e-30, 1e20])
def test_constant_curves_lie_in_the_middle(value: float) -> None:
    points = drawn_points(draw(Chart("a", (line([value] * 30),)), "c0"), "mean")
    assert np.allclose(points[:, 1], (8 + 190 - 22) / 2, atol=0.2)


def test_logarithmic_only_where_it_helps() -> None:
    decades = np.logspace(-3, 2, 50)
    assert Chart("a", (line(decades),)).logarithmic
    assert not Chart("a", (line(decades),), smooth=False).logarithmic
    assert not Chart("a", (line([0.0, *decades]),)).logarithmic
    assert not Chart("a", (line(np.linspace(1, 10, 50)),)).logarithmic
    points = drawn_points(draw(Chart("a", (line(decades),)), "c0"), "raw")
    assert (np.diff(points, n=2, axis=0).__abs__() <= 0.21).all()


def test_one_spike_does_not_flatten_the_rest() -> None:
    wave = np.sin(np.arange(200.0) / 10)
    calm = drawn_points(draw(Chart("a", (line(wave),)), "c0"), "mean")
    spiked = wave.copy()
    spiked[0] = 1e6
    points = drawn_points(draw(Chart("a", (line(spiked),)), "c0"), "mean")
    assert np.ptp(points[10:, 1]) > 0.9 * np.ptp(calm[10:, 1])


def test_the_smoothed_curve_is_a_weighted_mean() -> None:
    values = np.random.default_rng(0).normal(size=240)
    sigma = 240 / 60
    slow = []
    for i in range(240):
        near = [j for j in range(240) if abs(j - i) <= 3 * sigma]
        weights = [math.exp(-((j - i) ** 2) / (2 * sigma**2)) for j in near]
        slow.append(sum(w * values[j] for w, j in zip(weights, near, strict=True)) / sum(weights))
    np.testing.assert_allclose(smoothed(values), slow, rtol=1e-12)


def test_thinning_keeps_peaks_and_ends() -> None:
    values = np.zeros(10_000)
    values[1234], values[8765] = 5, -5
    kept = thinned(values, 400)
    assert len(kept) <= 400
    assert {0, 1234, 8765, 9999} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert thinned(values[:400], 400).tolist() == list(range(400))


def test_ticks_are_few_round_and_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        low = float(rng.normal() * 10 ** rng.uniform(-20, 20))
        high = low + max(abs(low) * 1e-5, 1e-25) * 10 ** float(rng.uniform(0, 8))
        found = ticks(low, high, 5)
        assert 1 <= len(found) <= 5
        assert all(low * (1 - 1e-9 * np.sign(low)) <= t <= high for t in found)
        assert len({short(t, high - low) for t in found}) == len(found) or high - low < 1e-3 * abs(low)
    assert ticks(0, 100, 5) == [0, 50, 100]
    assert ticks(-1.1, 1.3, 5) == [-1, -0.5, 0, 0.5, 1]


