"""Curves as inline SVG, without a plotting library: raw values thin, a centred mean thick."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

_WIDTH, _HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 22
_MAX_POINTS = 400
_MAX_TOOLTIPS = 40
_FEWEST_TO_SMOOTH = 8
_FEWEST_TO_CLIP = 20
_LOG_RATIO = 1e3
LARGEST = 1e30
"""Values beyond it are no measurements; :func:`draw` may not be given any."""

Values = Float64[np.ndarray, " point"]


@dataclass(frozen=True)
class Series:
    """A curve of at least one point: x must not decrease; all values finite and within +-LARGEST."""

    label: str
    x: Values
    y: Values


@dataclass(frozen=True)
class Chart:
    """Curves on common axes. ``smooth`` False for values without noise, which are drawn as they are."""

    title: str
    series: tuple[Series, ...]
    smooth: bool = True

    @property
    def logarithmic(self) -> bool:
        """Whether y is drawn on a logarithmic axis: all positive, and over three decades between the percentiles."""
        values = np.concatenate([s.y for s in self.series])
        if not self.smooth or values.min() <= 0:
            return False
        low, high = np.percentile(values, (2, 98))
        return bool(high >= _LOG_RATIO * low)


@dataclass(frozen=True)
class _Axes:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def across(self, x: Values) -> Values:
        return _LEFT + (x - self.x_low) / (self.x_high - self.x_low) * (_WIDTH - _LEFT - _RIGHT)

    def down(self, y: Values) -> Values:
        # Outliers are cut off by the clip path; far ones would only make long numbers.
        fraction = ((y - self.y_low) / (self.y_high - self.y_low)).clip(-1, 2)
        return _HEIGHT - _BOTTOM - fraction * (_HEIGHT - _TOP - _BOTTOM)


def draw(chart: Chart, identifier: str) -> str:
    """The chart as an ``<svg>`` element that scales with its place.

    Classes for the style sheet: ``grid``, ``raw``, ``mean``, ``dot``, ``hit``, and ``s0``, ``s1`` ... by series.

    Args:
        identifier: unique in the page; letters and digits.
    """
    logarithmic = chart.logarithmic
    curves = [np.log10(s.y) if logarithmic else s.y for s in chart.series]
    means = [smoothed(y.clip(*_usual(y))) if chart.smooth and len(y) >= _FEWEST_TO_SMOOTH else y for y in curves]
    axes = _axes(chart, curves, means)
    parts = [*_grid(axes, logarithmic), f'<g clip-path="url(#{identifier})">']
    for i, (series, curve, mean) in enumerate(zip(chart.series, curves, means, strict=True)):
        parts.extend(_curve(axes, series.x, curve, mean, f"s{i}"))
    parts.extend(["</g>", *_tooltips(chart, axes)])
    clip = f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_HEIGHT - _TOP - _BOTTOM}"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(chart.title)} against kimg">'
        f'<clipPath id="{identifier}">{clip}</clipPath>{"".join(parts)}</svg>'
    )


def smoothed(values: Values) -> Values:
    """A centred Gaussian mean over about a thirtieth of the curve; nearer its ends over what there is."""
    count = len(values)
    sigma = max(1.0, count / 60)
    reach = min(math.ceil(3 * sigma), (count - 1) // 2)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(count), kernel, "same")


def thinned(values: Values, most: int = _MAX_POINTS) -> Int64[np.ndarray, " kept"]:
    """Indices of at most ``most`` points that keep the look: lowest and highest of every stretch, first and last."""
    count = len(values)
    if count <= most:
        return np.arange(count)
    kept = {0, count - 1}
    for stretch in np.array_split(np.arange(count), most // 2 - 1):
        kept.update((int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])))
    return np.array(sorted(kept))


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers (1, 2, 5 times a power of ten) in ``low`` .. ``high``."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    factor = next(f for f in (1, 2, 5, 10, 20) if math.floor(high / (step * f)) - math.ceil(low / (step * f)) < most)
    step *= factor
    first = math.ceil(low / step)
    return [(first + i) * step for i in range(most) if (first + i) * step <= high]


def _axes(chart: Chart, curves: Sequence[Values], means: Sequence[Values]) -> _Axes:
    x = np.concatenate([s.x for s in chart.series])
    y = np.concatenate([*(_usual(y) for y in curves), *means])
    return _Axes(*_widened(float(x.min()), float(x.max()), 0.0), *_widened(float(y.min()), float(y.max()), 0.06))


def _usual(values: Values) -> Float64[np.ndarray, "2"]:
    """Lowest and highest value to care about: a spike, as at the start of training, shall not flatten the rest."""
    return np.percentile(values, (1, 99) if len(values) >= _FEWEST_TO_CLIP else (0, 100))


def _widened(low: float, high: float, margin: float) -> tuple[float, float]:
    smallest = max(abs(low), abs(high)) * 1e-6
    if high - low <= smallest:
        middle = (low + high) / 2
        reach = max(abs(middle) * 0.1, smallest, 1e-12) if middle else 1.0
        return middle - reach, middle + reach
    return low - margin * (high - low), high + margin * (high - low)


def _grid(axes: _Axes, logarithmic: bool) -> list[str]:
    parts = []
    rows = ticks(axes.y_low, axes.y_high, 5)
    if logarithmic and len(decades := [t for t in rows if t == round(t)]) >= 2:
        rows = decades
    for value in rows:
        y = float(axes.down(np.array([value]))[0])
        text = f"{10**value:.2g}" if logarithmic else short(value, axes.y_high - axes.y_low)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
    for value in ticks(axes.x_low, axes.x_high, 5):
        x = float(axes.across(np.array([value]))[0])
        text = short(value, axes.x_high - axes.x_low)
        parts.append(f'<text x="{min(x, _WIDTH - 12):.1f}" y="{_HEIGHT - 7}" text-anchor="middle">{text}</text>')
    return parts


def short(value: float, span: float) -> str:
    """A number on an axis of length ``span``, in few digits that still tell neighbours apart."""
    if value == 0:
        return "0"
    digits = math.ceil(-math.log10(span)) + 1
    if abs(value) >= 1e5 or digits > 4:
        significant = math.floor(math.log10(abs(value))) - math.floor(math.log10(span)) + 2
        return f"{value:.{min(max(significant, 2), 6)}g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    text = f"{value:.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _curve(axes: _Axes, x: Values, curve: Values, mean: Values, name: str) -> list[str]:
    across, down, middle = axes.across(x), axes.down(curve), axes.down(mean)
    kept, kept_mean = thinned(curve), thinned(mean, _MAX_POINTS // 2)
    parts = []
    if mean is not curve:
        parts.append(f'<polyline class="raw {name}" points="{_points(across[kept], down[kept])}"/>')
    parts.append(f'<polyline class="mean {name}" points="{_points(across[kept_mean], middle[kept_mean])}"/>')
    if len(curve) <= _MAX_TOOLTIPS:
        parts.extend(
            f'<circle class="dot {name}" cx="{px:.1f}" cy="{py:.1f}" r="2"/>'
            for px, py in zip(across, down, strict=True)
        )
    return parts


def _points(x: Values, y: Values) -> str:
    return " ".join(f"{px:.1f},{py:.1f}" for px, py in zip(x, y, strict=True))


def _tooltips(chart: Chart, axes: _Axes) -> list[str]:
    """Invisible columns whose ``<title>`` a browser shows under the pointer: values without any script."""
    longest = max(chart.series, key=lambda s: len(s.x)).x
    stops = longest[np.unique(np.linspace(0, len(longest) - 1, _MAX_TOOLTIPS).round().astype(int))]
    across = axes.across(stops)
    edges = np.concatenate([[_LEFT], (across[1:] + across[:-1]) / 2, [_WIDTH - _RIGHT]])
    parts = []
    for stop, left, right in zip(stops, edges[:-1], edges[1:], strict=True):
        lines = [f"{stop:.6g} kimg"]
        for series in chart.series:
            lines.append(f"{series.label}: {series.y[np.abs(series.x - stop).argmin()]:.5g}")
        parts.append(
            f'<rect class="hit" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
            f'height="{_HEIGHT - _TOP - _BOTTOM}"><title>{html.escape(chr(10).join(lines))}</title></rect>'
        )
    return parts
