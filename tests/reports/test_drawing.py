"""Charts: where curves lie, when axes are logarithmic, what is left out, and that drawings repeat."""

import itertools
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from panohead.reports import Chart, Series
from panohead.reports.drawing import draw, smoothed, thinned

HEIGHT, TOP, BOTTOM = 190, 14, 20


def line(values: Any, label: str = "a") -> Series:
    y = np.asarray(values, dtype=np.float64)
    return Series(label, np.arange(len(y), dtype=np.float64), y)


def drawn_points(svg: str, kind: str, color: int = 0) -> np.ndarray:
    """The corners of a curve: "raw" (thin) or "mean" (thick)."""
    paths = [
        path.get("d", "")
        for path in ElementTree.fromstring(svg).iter("path")
        if f"stroke: var(--s{color})" in path.get("style", "")
        and ("stroke-opacity" in path.get("style", "")) == (kind == "raw")
        and "clip-path" in path.attrib
    ]
    (found,) = paths
    return np.array([[float(n) for n in pair.split()] for pair in re.split(r"[ML]", found)[1:]])


def tick_labels(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter("text")]


def test_a_straight_line_is_drawn_straight() -> None:
    # Corners on a straight line are left out.
    points = drawn_points(draw(Chart("a", (line([2.0, 3.0, 4.0]),), smooth=False), "c0"), "mean")
    assert (np.diff(points, n=2, axis=0).__abs__() <= 0.02).all()
    assert points[-1, 0] - points[0, 0] == pytest.approx(360 - 48 - 10, abs=0.02)  # to the right
    assert points[0, 1] - points[-1, 1] > 120  # and up: y of an SVG points down


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e30, -1e30, 1e-30, 1e20])
def test_constant_curves_lie_in_the_middle(value: float) -> None:
    points = drawn_points(draw(Chart("a", (line([value] * 30),)), "c0"), "mean")
    assert np.allclose(points[:, 1], (TOP + HEIGHT - BOTTOM) / 2, atol=0.2)


def test_logarithmic_only_where_it_helps() -> None:
    decades = np.logspace(-3, 2, 50)
    assert Chart("a", (line(decades),)).logarithmic
    assert not Chart("a", (line(decades),), smooth=False).logarithmic
    assert Chart("a", (line(decades),), smooth=False, log_ratio=10).logarithmic
    assert not Chart("a", (line([0.0, *decades]),)).logarithmic
    assert not Chart("a", (line(np.linspace(1, 10, 50)),)).logarithmic
    svg = draw(Chart("a", (line(decades),)), "c0")
    points = drawn_points(svg, "raw")
    slopes = np.diff(points[:, 1]) / np.diff(points[:, 0])
    assert np.ptp(slopes) < 0.02 * abs(slopes.mean())
    assert {"0.01", "1", "100"} <= set(tick_labels(svg))
    assert "0.001" in tick_labels(draw(Chart("a", (line(np.logspace(-3.5, -0.3, 50)),)), "c0"))


def test_curves_of_one_chart_share_the_axes() -> None:
    svg = draw(Chart("a", (line([0.0, 1.0]), line([1.0, 3.0])), smooth=False), "c0")
    low, high = drawn_points(svg, "mean", 0), drawn_points(svg, "mean", 1)
    assert low[-1, 1] == pytest.approx(high[0, 1], abs=0.02)
    assert low[0, 1] - low[-1, 1] == pytest.approx((high[0, 1] - high[-1, 1]) / 2, abs=0.02)


def test_one_spike_does_not_flatten_the_rest() -> None:
    wave = np.sin(np.arange(200.0) / 10)
    calm = drawn_points(draw(Chart("a", (line(wave),)), "c0"), "mean")
    spiked = wave.copy()
    spiked[0] = 1e6
    points = drawn_points(draw(Chart("a", (line(spiked),)), "c0"), "mean")
    assert np.ptp(points[10:, 1]) > 0.9 * np.ptp(calm[10:, 1])


def test_values_stand_under_the_pointer() -> None:
    svg = draw(Chart("a", (line([0.5, 2.0, 8.0]), line([1.0, 1.0, 1.5], "b & <c>")), smooth=False), "c0")
    columns = [c for c in ElementTree.fromstring(svg).iter("rect") if c.get("class") == "hint"]
    hints = [column.findtext("title") for column in columns]
    assert hints == ["0 kimg\na: 0.5\nb & <c>: 1", "1 kimg\na: 2\nb & <c>: 1", "2 kimg\na: 8\nb & <c>: 1.5"]
    edges = [(float(c.get("x", "")), float(c.get("width", ""))) for c in columns]
    assert edges[0][0] == 48
    for (left, width), (following, _) in itertools.pairwise(edges):
        assert left + width == pytest.approx(following, abs=0.11)
    assert sum(edges[-1]) == pytest.approx(350, abs=0.11)


def test_drawings_repeat_whatever_the_user_has_set() -> None:
    chart = Chart("a", (line(np.sin(np.arange(50.0))), line([1.0, 2.0], "b")))
    first = draw(chart, "c0")
    with matplotlib.rc_context(
        {"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}
    ):
        assert draw(chart, "c0") == first
        assert matplotlib.rcParams["lines.linewidth"] == 9
    assert "matplotlib" not in first
    assert not re.search(r"20\d\d-", first), "no date"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize(
    ("content", "outcome"), [(None, "refused"), (b"\xff", "refused"), (b"lines.linewidth: 9", "drawn")]
)
def test_settings_in_the_current_folder_hold_nothing_up(content: bytes | None, outcome: str, tmp_path: Path) -> None:
    """matplotlib reads the file when it is imported; from a named pipe (None) for ever."""
    path = tmp_path / "matplotlibrc"
    os.mkfifo(path) if content is None else path.write_bytes(content)
    code = """
import numpy as np
from panohead.errors import PanoHeadError
from panohead.reports import Chart, Series
from panohead.reports.drawing import draw
try:
    draw(Chart("a", (Series("a", np.arange(2.0), np.arange(2.0)),)), "c0")
    print("drawn")
except PanoHeadError as error:
    print("refused" if "matplotlibrc" in str(error) and "rename it" in str(error) else error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == outcome, done.stdout + done.stderr


def test_two_drawings_share_no_identifier() -> None:
    chart = Chart("a", (line([1.0, 2.0]),))
    names = [set(re.findall(r'id="([^"]+)"', draw(chart, identifier))) for identifier in ("c0", "c1")]
    assert names[0]
    assert not names[0] & names[1]


def test_nothing_of_pyplot_is_loaded(tmp_path: Path) -> None:
    """Drawing needs neither a display nor global figures."""
    code = (
        "import sys, numpy as np\n"
        "from panohead.reports import Chart, Series\n"
        "assert not any(name.startswith('matplotlib') for name in sys.modules)\n"
        "from panohead.reports.drawing import draw\n"
        "draw(Chart('a', (Series('a', np.arange(2.0), np.arange(2.0)),)), 'c0')\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


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
