"""Charts to SVG by matplotlib, for inclusion in a page: colors follow the page, values appear under the pointer.

matplotlib is used without pyplot, so no state outlives a chart, and repeatably: fixed settings instead of the user's,
a fixed salt for identifiers, no date.
"""

import io
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float64, Int64
from markupsafe import Markup

from panohead.errors import PanoHeadError
from panohead.files.regular import read_text, reason_of
from panohead.reports.charts import MAX_VALUE, Chart, Series, Values
from panohead.system.text import printable

SERIES_COLORS = 6
"""Number of colors of curves in the style sheet: --s0, --s1, ..."""

# Size and margins in points (SVG units); the drawing scales with the column that it stands in.
_WIDTH, _HEIGHT = 360.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 10.0, 14.0, 20.0
_MAX_SETTINGS_BYTES = 1_000_000
_MAX_POINTS = 400
_MAX_HINTS = 40
_MIN_TO_SMOOTH = 8
_MIN_TO_CLIP = 20
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
# matplotlib knows no CSS variables: it draws with these colors, which are exchanged afterwards.
_COLORS = {"#0000e0": "var(--soft)", "#0000e1": "var(--line)"} | {
    f"#0000f{i}": f"var(--s{i})" for i in range(SERIES_COLORS)
}
_LONG_NUMBER = re.compile(r"\d+\.\d{3,}")
_TEXT, _GRID = "#0000e0", "#0000e1"


@dataclass(frozen=True)
class _Line:
    """A curve, with its smoothed one (itself where nothing is smoothed); y in the units of the axis."""

    x: Values
    y: Values
    mean: Values


def draw(chart: Chart, identifier: str) -> Markup:
    """Return the chart as an ``<svg>`` element.

    Args:
        identifier: unique in the page; letters and digits.
    """
    logarithmic = chart.logarithmic
    curves = [np.log10(s.y) if logarithmic else s.y for s in chart.series]
    means = [smoothed(y.clip(*_usual(y))) if chart.smooth and len(y) >= _MIN_TO_SMOOTH else y for y in curves]
    y_low, y_high = _limits(np.concatenate([*(_usual(y) for y in curves), *means]), margin=0.06)
    x_low, x_high = _limits(np.concatenate([s.x for s in chart.series]), margin=0.0)
    # Outliers are cut off; far ones would only make long numbers.
    reach = y_high - y_low
    curves = [y.clip(y_low - reach, y_high + reach) for y in curves]
    lines = [_Line(s.x, y, mean) for s, y, mean in zip(chart.series, curves, means, strict=True)]
    svg = _plot(lines, (x_low, x_high), (y_low, y_high), logarithmic, identifier)
    root = _cleaned(svg)
    root.set("class", "chart")
    root.set("role", "img")
    labels = ", ".join(s.label for s in chart.series)
    root.set("aria-label", printable(f"{chart.title} against {chart.x_label}: {labels}"))
    root.extend(_hints(chart, x_low, x_high))
    # The serializer escapes texts and attributes.
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # nosec B704


def _check_settings_file() -> None:
    """Refuse a file of the current folder that matplotlib would wait for, or fail at, when it is imported.

    Its values do no harm: they are replaced in :func:`_plot`.
    """
    path = Path("matplotlibrc")
    if "matplotlib" in sys.modules or not path.exists() or path.is_dir():
        return
    try:
        read_text(path, _MAX_SETTINGS_BYTES)
    except (OSError, ValueError) as error:
        raise PanoHeadError(
            f"matplotlib would read {path.absolute()} and cannot ({reason_of(error)}); rename it or work elsewhere"
        ) from error


def _plot(
    lines: Sequence[_Line],
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
    logarithmic: bool,
    identifier: str,
) -> bytes:
    """Draw curves on one pair of axes; y is given as its decimal logarithm where the axis is logarithmic."""
    _check_settings_file()
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": identifier, "path.simplify": True})
        figure = Drawing(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        axes = figure.add_axes(
            (_LEFT / _WIDTH, _BOTTOM / _HEIGHT, 1 - (_LEFT + _RIGHT) / _WIDTH, 1 - (_TOP + _BOTTOM) / _HEIGHT)
        )
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        axes.spines[:].set_visible(False)
        axes.grid(axis="y", color=_GRID, linewidth=1)
        axes.tick_params(length=0, labelsize=10, labelcolor=_TEXT, pad=4)
        for i, line in enumerate(lines):
            x, y, mean = line.x, line.y, line.mean
            color, short = f"#0000f{i % SERIES_COLORS}", len(y) <= _MAX_HINTS
            kept, kept_mean = thinned(y), thinned(mean, _MAX_POINTS // 2)
            if mean is not y:
                axes.plot(x[kept], y[kept], color=color, linewidth=0.8, alpha=0.35)
            if short:
                axes.plot(x, y, color=color, linestyle="none", marker="o", markersize=3.5, markeredgewidth=0)
            axes.plot(x[kept_mean], mean[kept_mean], color=color, linewidth=1.8)
        axes.set_xlim(*x_limits)
        axes.set_ylim(*y_limits)
        whole = all((line.x == line.x.round()).all() for line in lines)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=logarithmic and y_limits[1] - y_limits[0] >= 2))
        if logarithmic:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda exponent, _: f"{float(f'{10**exponent:.2g}'):g}"))
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_offset_text().set(color=_TEXT, size=9)
        buffer = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


def _cleaned(svg: bytes) -> ElementTree.Element:
    """Fit matplotlib's document into a page.

    Its style sheet would hold for the whole page, its identifiers repeat from chart to chart, its fonts and colors are
    not the page's; all of that goes.
    """
    text = svg.decode("utf-8")
    for color, variable in _COLORS.items():
        text = text.replace(color, variable)
    # Drawn by matplotlib a moment ago.
    root = ElementTree.fromstring(text)  # nosec B314
    used = set(re.findall(r"#([\w-]+)[\")]", text))
    _strip(root, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    return root


def _strip(element: ElementTree.Element, used: set[str]) -> None:
    """Take out of an element what a page does not need, in place; identifiers in ``used`` stay."""
    # Without namespaces the HTML parser reads the element as SVG all the same, and the text is shorter.
    element.tag = element.tag.removeprefix(_SVG)
    if (target := element.attrib.pop(f"{_XLINK}href", None)) is not None:
        element.set("href", target)
    for name in ("d", "x", "y"):
        if name in element.attrib:
            element.set(name, _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", element.attrib[name]))
    if element.get("id") not in used:
        element.attrib.pop("id", None)
    if element.tag == "text":
        anchor = re.search(r"text-anchor: *(\w+)", element.get("style", ""))
        element.set("style", f"text-anchor: {anchor[1] if anchor else 'start'}")
        element.attrib.pop("transform", None)  # text is not turned; what stands here is a rotation by zero
    for child in [*element]:
        _strip(child, used)
        if child.tag in ("metadata", f"{_SVG}metadata", "style") or (child.tag in ("g", "defs") and not len(child)):
            element.remove(child)
    element.tail = None
    if len(element):
        element.text = None


def _hints(chart: Chart, x_low: float, x_high: float) -> list[ElementTree.Element]:
    """Return invisible columns whose ``<title>`` a browser shows under the pointer: values without any script."""
    longest = max(chart.series, key=lambda s: len(s.x)).x
    stops = longest[np.unique(np.linspace(0, len(longest) - 1, _MAX_HINTS).round().astype(int))]
    across = _LEFT + (stops - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
    edges = np.concatenate([[_LEFT], (across[1:] + across[:-1]) / 2, [_WIDTH - _RIGHT]])
    columns = []
    for stop, left, right in zip(stops, edges[:-1], edges[1:], strict=True):
        lines = [
            f"{stop:.6g} {chart.x_label}",
            *(f"{s.label}: {_value_near(s, float(stop)):.5g}" for s in chart.series),
        ]
        place = {"x": f"{left:.1f}", "y": f"{_TOP:g}", "width": f"{right - left:.1f}"}
        column = ElementTree.Element("rect", place | {"height": f"{_HEIGHT - _TOP - _BOTTOM:g}", "class": "hint"})
        ElementTree.SubElement(column, "title").text = "\n".join(printable(line) for line in lines)
        columns.append(column)
    return columns


def _value_near(series: Series, x: float) -> float:
    return float(series.y[np.abs(series.x - x).argmin()])


def smoothed(values: Values) -> Values:
    """Return a centered Gaussian mean over about a thirtieth of the curve; nearer its ends over what there is."""
    count = len(values)
    sigma = max(1.0, count / 60)
    reach = min(math.ceil(3 * sigma), (count - 1) // 2)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(count), kernel, "same")


def thinned(values: Values, limit: int = _MAX_POINTS) -> Int64[np.ndarray, " kept"]:
    """Return indices of at most ``limit`` points that keep the curve's shape.

    These are the first and the last, and the lowest and the highest of every stretch.
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    kept = {0, count - 1}
    for stretch in np.array_split(np.arange(count), limit // 2 - 1):
        kept.update((int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])))
    return np.array(sorted(kept))


def _usual(values: Values) -> Float64[np.ndarray, "2"]:
    """Return the range to show: a spike, as at the start of training, must not flatten the rest."""
    return np.percentile(values, (1, 99) if len(values) >= _MIN_TO_CLIP else (0, 100))


def _limits(values: Values, margin: float) -> tuple[float, float]:
    """Return the ends of an axis; a constant curve lies in its middle."""
    low, high = float(values.min()), float(values.max())
    smallest = max(abs(low), abs(high)) * 1e-6
    if high - low <= smallest:
        middle = (low + high) / 2
        reach = max(abs(middle) * 0.1, smallest, 1 / MAX_VALUE) if middle else 1.0
        return middle - reach, middle + reach
    return low - margin * (high - low), high + margin * (high - low)
