"""The page of a run: whole, safe and finite, whatever lies in the folder."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.training.run.report import charts_of, write_report
from panohead.training.run.report_html import flattened, readable
from panohead.training.run.report_svg import Chart, Series, draw, short, smoothed, thinned, ticks

VOID = {"meta", "img", "br", "hr", "link", "input"}
COORDINATES = ("points", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "viewbox")


class Page(HTMLParser):
    """A strict reading of a page: every element closed in order; all numbers of the drawings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.coordinates: list[float] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name in COORDINATES and tag in ("svg", "polyline", "circle", "rect", "line", "text"):
                self.coordinates += [float(number) for number in re.split(r"[ ,]+", value or "")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def links(self) -> list[str]:
        return [value for _, name, value in self.attributes if name in ("href", "src")]


def tick(i: int) -> dict[str, Any]:
    """What the loop logs, about."""
    measured = {"sliced_wasserstein": 0.3 / (i + 1)} if i % 5 == 0 else {}
    names = ("loss_generator", "loss_fake", "loss_real", "logits_real", "logits_fake", "r1_image", "camera_offset")
    values = {name: math.sin(i + len(name)) for name in names}
    speed = {"seconds": 12.5 * i, "images_per_second": 30.0 + i % 3, "peak_memory_gb": 9.25}
    return {"nimg": 4000 * i, "kimg": 4.0 * i, "step": 125 * i, **values, **speed, **measured}


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def report(run: Path) -> Page:
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert all(math.isfinite(number) and abs(number) < 1e4 for number in page.coordinates)
    # Nothing is fetched from elsewhere and nothing is executed.
    assert "script" not in page.names
    assert not any(re.match(r"(\w+:)?//|javascript:", link) for link in page.links())
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    identifiers = [value for _, name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    return page


def test_a_whole_run(tmp_path: Path) -> None:
    write_lines(tmp_path / "stats.jsonl", [tick(i) for i in range(60)])
    write_lines(tmp_path / "notes.jsonl", [{"time": "2030-01-01", "kimg": 8.0, "note": "a picture was skipped"}])
    (tmp_path / "environment.json").write_text(json.dumps({"torch": "2.13.0", "total_kimg": 472}))
    (tmp_path / "config.json").write_text(json.dumps({"training": {"batch": 32, "loss": {"r1_gamma": 1.5}}}))
    page = report(tmp_path)
    text = " ".join(text for texts in page.texts.values() for text in texts)
    assert {"Measurements", "Losses", "Speed", "Notes", "Settings"} <= set(page.texts["h2"])
    assert {"training.batch", "training.loss.r1_gamma", "torch"} <= set(page.texts["th"])
    assert {"32", "1.5", "2.13.0"} <= set(page.texts["td"])
    assert "a picture was skipped" in page.texts["li"]
    assert "236.0" in page.texts["b"]
    assert "kimg, 50.0% of 472" in text
    assert "time left, if it goes on" in text
    assert page.names.count("svg") == 8
    assert any("loss fake: " in title for title in page.texts["title"])


@pytest.mark.parametrize(
    ("records", "charts"),
    [([], 0), ([tick(0)], 8), ([tick(3)], 7), ([tick(0), tick(0)], 8), ([{"remark": "no numbers"}], 0)],
)
def test_short_runs(tmp_path: Path, records: list[dict[str, Any]], charts: int) -> None:
    write_lines(tmp_path / "stats.jsonl", records)
    page = report(tmp_path)
    assert page.names.count("svg") == charts
    assert (charts == 0) == ("No tick has been recorded yet." in page.texts["p"])


def test_an_empty_folder_and_damaged_files(tmp_path: Path) -> None:
    assert "Configuration: config.json is missing or unreadable." in report(tmp_path).texts["p"]
    (tmp_path / "stats.jsonl").write_bytes(
        b'{"kimg": 1, "a": 1}\n\xff\xfe\nnull\n[1]\n{"kimg": 2, "a": 2}\n{"kimg": 3, "a'
    )
    (tmp_path / "config.json").write_text("[1, 2")
    (tmp_path / "environment.json").write_text('"text"')
    page = report(tmp_path)
    assert page.names.count("svg") == 1
    assert "Last tick, of 2" in page.texts["summary"]


def test_values_that_are_no_measurements(tmp_path: Path) -> None:
    odd = [math.nan, math.inf, -math.inf, None, "text", True, 10**400, 1e300, -1e31, [1.0], {"b": 2}, 5e-324, 0.0, 1.0]
    write_lines(tmp_path / "stats.jsonl", [{"kimg": float(i), "a": value, "b": 1e29} for i, value in enumerate(odd)])
    page = report(tmp_path)
    assert page.names.count("svg") == 2
    (series,) = charts_of([{"kimg": i, "a": value} for i, value in enumerate(odd)])["Other"][0].series
    assert list(series.y) == [0.0, 0.0, 1.0]
    assert list(series.x) == [11.0, 12.0, 13.0]


def test_everything_from_outside_is_escaped(tmp_path: Path) -> None:
    run = tmp_path / "<img src=x onerror=alert(1)>&\"'"
    (run / "snapshots").mkdir(parents=True)
    evil = "<script>alert('1')</script>\"&"
    write_lines(run / "stats.jsonl", [{"kimg": 1, evil: 1.0, "text": evil, "more": [evil]}])
    write_lines(run / "notes.jsonl", [{"kimg": 1, "time": evil, "note": evil}, {"note": [evil]}, {"kimg": evil}])
    for name in ("config.json", "environment.json"):
        (run / name).write_text(json.dumps({evil: {evil: evil}, "list": [evil]}))
    Image.new("RGB", (4, 4)).save(run / "snapshots" / 'a 1 "<b>&#?%.png')
    page = report(run)
    assert run.name in page.texts["h1"]
    assert evil in page.texts["td"]
    assert evil in page.texts["li"]
    assert page.names.count("img") == 1
    assert "snapshots/a%201%20%22%3Cb%3E%26%23%3F%25.png" in page.links()


def test_first_middle_and_last_snapshot_by_number(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    # Fractions of a kimg count, and the weights beside the pictures are no pictures.
    for name in ("kimg-9.5.webp", "kimg-10.0.webp", "kimg-9.25.webp", "kimg-200.0.webp", "kimg-100.0.webp", "real.png"):
        Image.new("RGB", (4, 4)).save(folder / name)
    for name in ("kimg-999.safetensors", ".kimg-998.tmp.webp"):
        (folder / name).write_bytes(b"")
    page = report(tmp_path)
    shown = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert shown == [
        f"snapshots/{name}" for name in ("kimg-200.0.webp", "kimg-10.0.webp", "kimg-9.25.webp", "real.png")
    ]
    assert "All 5 snapshots" in page.texts["summary"]
    assert all((tmp_path / link).is_file() for link in page.links())


def test_sections_hold_every_numeric_column_once() -> None:
    record = tick(0) | {
        "fid_back": 3.0,
        "loss_new": 1.0,
        "gradient_share": 0.1,
        "copy_s": 2.0,
        "unheard_of": 1,
        "word": "x",
    }
    sections = charts_of([record])
    drawn = [series.label.replace(" ", "_") for charts in sections.values() for c in charts for series in c.series]
    assert sorted(drawn) == sorted(set(record) - {"nimg", "kimg", "step", "word"})
    by_section = {s: [c.title for c in charts] for s, charts in sections.items()}
    assert "fid back" in by_section["Measurements"]
    assert "loss new" in by_section["Losses"]
    assert "gradient share" in by_section["Gradients"]
    assert "copy s" in by_section["Speed"]
    assert by_section["Other"] == ["unheard of"]


def test_a_curve_that_went_back_is_drawn_in_order() -> None:
    records = [{"nimg": n, "a": a} for n, a in ((0, 1.0), (2000, 2.0), (1000, 3.0), (2000, 4.0))]
    (series,) = charts_of(records)["Other"][0].series
    assert list(series.x) == [0, 1, 2, 2]
    assert list(series.y) == [1, 3, 2, 4]


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


def test_long_runs_make_small_pages(tmp_path: Path) -> None:
    write_lines(tmp_path / "stats.jsonl", [tick(i) for i in range(1200)])
    assert write_report(tmp_path).stat().st_size < 400_000


def test_it_can_be_written_again_and_needs_a_folder(tmp_path: Path) -> None:
    assert write_report(tmp_path) == write_report(tmp_path) == tmp_path / "report.html"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(PanoHeadError, match="no run folder"):
        write_report(tmp_path / "none")


def test_settings_are_flat_and_readable() -> None:
    tree = {"a": 1, "b": {"c": {"d": None}, "e": {}}, "f": [1, 2]}
    assert flattened(tree) == {"a": 1, "b.c.d": None, "b.e": {}, "f": [1, 2]}
    assert [readable(v) for v in (None, 0.1234567, [1, 2], {}, True)] == [
        "\N{EN DASH}",
        "0.123457",
        "[1, 2]",
        "{}",
        "True",
    ]
