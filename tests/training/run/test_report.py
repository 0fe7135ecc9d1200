"""The page of a run: whole, safe and finite, whatever lies in the folder."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pages import ParsedPage, parse_page
from panohead.errors import PanoHeadError
from panohead.training.run.report import charts_of, flattened, write_report


def tick(i: int) -> dict[str, Any]:
    """What the loop logs, about."""
    measured = {"sliced_wasserstein": 0.3 / (i + 1)} if i % 5 == 0 else {}
    names = ("loss_generator", "loss_fake", "loss_real", "logits_real", "logits_fake", "r1_image", "camera_offset")
    values = {name: math.sin(i + len(name)) for name in names}
    speed = {"seconds": 12.5 * i, "images_per_second": 30.0 + i % 3, "peak_memory_gb": 9.25}
    return {"nimg": 4000 * i, "kimg": 4.0 * i, "step": 125 * i, **values, **speed, **measured}


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def report(run: Path) -> ParsedPage:
    return parse_page(write_report(run).read_text(encoding="utf-8"))


def test_a_whole_run(tmp_path: Path) -> None:
    write_lines(tmp_path / "stats.jsonl", [tick(i) for i in range(60)])
    write_lines(tmp_path / "notes.jsonl", [{"time": "2030-01-01", "kimg": 8.0, "note": "an image was skipped"}])
    (tmp_path / "environment.json").write_text(json.dumps({"torch": "2.13.0", "total_kimg": 472}))
    (tmp_path / "config.json").write_text(json.dumps({"training": {"batch": 32, "loss": {"r1_gamma": 1.5}}}))
    page = report(tmp_path)
    text = " ".join(text for texts in page.texts.values() for text in texts)
    assert {"Measurements", "Losses", "Speed", "Notes", "Settings"} <= set(page.texts["h2"])
    assert {"training.batch", "training.loss.r1_gamma", "torch"} <= set(page.texts["th"])
    assert {"32", "1.5", "2.13.0"} <= set(page.texts["td"])
    assert "an image was skipped" in page.texts["li"]
    assert "236.0" in page.texts["dd"]
    assert "kimg, 50.0% of 472" in text
    assert "time left at this rate" in text
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
    # Fractions of a kimg count, and the weights beside the images are no images.
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
