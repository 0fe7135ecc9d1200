"""``benchmarks/quality/compare.py`` on the 64 images beside the tests of training, with rows of the preset tiny."""

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[1] / "benchmarks" / "quality"
HEADS = Path(__file__).parent / "training" / "heads"


@pytest.fixture(scope="module")
def compare() -> Iterator[ModuleType]:
    """The script as a module, whose evaluation needs no third-party models."""
    path = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    try:
        module = importlib.import_module("compare")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "METRICS", ("swd", "consistency"))
            yield module
    finally:
        sys.path[:] = path


def start(compare: ModuleType, out: Path, *more: str, data: Path = HEADS, rows: tuple[str, ...] = ("panohead",)) -> int:
    words = [str(data), str(out), "--tiny", "--num", "16", "--heads", "2", *more, "--rows", *rows]
    code: int = compare.main(words)
    return code


def table(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "table.json").read_text())
    return content


def statistics(out: Path, row: str = "panohead") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "rows" / row / "run" / "stats.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def done(compare: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of one row at a tenth of a second."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    assert start(compare, out, "--budget", "0.1s", "--planned", "0.6s") == 0
    return out


def test_a_row_is_trained_for_its_budget_and_described(done: Path) -> None:
    row = table(done)["rows"]["panohead"]
    assert row["cpu_s"] >= 0.1
    assert row["figures"]["parameters"] > 0
    swd = row["figures"]["SWD all ↓"]
    assert swd["low"] <= swd["value"] <= swd["high"]
    assert table(done)["photos"]["SWD all ↓"]["value"] < swd["value"]
    text = (done / "table.md").read_text()
    assert f"| panohead | {row['what']} |" in text
    assert "photos against other photos" in text
    with Image.open(done / "heads.png") as picture:
        assert picture.width > 8 * 128
    plan = json.loads((done / "rows" / "panohead" / "plan.json").read_text())
    assert plan["planned_s"] == 0.6
    assert plan["kimg"] == pytest.approx(max(0.6 / plan["cpu_s_per_image"], 8) / 1000)
    written = (done / "rows" / "panohead" / "run" / "run.yaml").read_text()
    assert "cpu-time" in written or "cpu_time" in written


def test_nothing_is_done_twice_and_larger_budgets_go_on(
    compare: ModuleType, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done, out)
    before = statistics(out)
    with monkeypatch.context() as patch:
        patch.setattr(compare, "panohead", lambda words: pytest.fail(f"started {words}"))
        assert start(compare, out, "--budget", "0.1s") == 0
    budget = before[-1]["cpu_seconds"] + 0.05
    assert start(compare, out, "--budget", f"{budget}s", "--planned", "1h") == 0
    after = statistics(out)
    assert after[: len(before)] == before
    assert after[-1]["cpu_seconds"] >= budget
    figures = [table(folder)["rows"]["panohead"]["figures"]["SWD all ↓"]["value"] for folder in (done, out)]
    assert figures[0] != figures[1], "evaluated again"


def test_rows_that_fail_are_named_and_the_others_go_on(compare: ModuleType, done: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "heads"
    shutil.copytree(HEADS, data, ignore=shutil.ignore_patterns("people.jsonl"))
    assert start(compare, out, "--budget", "0.1s", data=data, rows=("two_views", "mismatched")) == 1
    rows = table(out)["rows"]
    assert "people.jsonl" in rows["two_views"]["failure"]
    assert rows["mismatched"]["figures"] is not None
    assert "- two_views: failed: " in (out / "table.md").read_text()
    assert start(compare, done, "--budget", "0.1s", data=data) == 1, "another dataset does not compare"


def test_a_run_that_was_stopped_is_not_taken_for_a_finished_one(
    compare: ModuleType, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done, out)
    for code in (0, 130, 143):
        monkeypatch.setattr(compare, "panohead", lambda words, code=code: code)
        assert start(compare, out, "--budget", "5s") == 130


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("--budget", "soon"), "'soon' is no duration"), (("--budget", "2h", "--planned", "1h"), "cannot be smaller")],
)
def test_wrong_options_end_before_any_work(
    words: tuple[str, ...], sentence: str, compare: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(compare, tmp_path / "out", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_schedules_that_depend_on_the_length_are_stretched(compare: ModuleType) -> None:
    rows, stretched = compare.compare_rows.ROWS, compare.compare_rows.stretched
    configs = {name: rows[name].command().config() for name in rows}
    assert all(config.warm_start is None for config in configs.values())
    assert stretched(configs["panohead"], 0.1) == {}
    assert stretched(configs["pi_gan"], 0.1) == {"schedules.neural_resolution_fade_kimg": pytest.approx(10)}
    assert stretched(configs["graf"], 0.1) == {"patches.fade_kimg": pytest.approx(10)}
    assert stretched(configs["r3gan"], 0.1) == {"r3gan.burn_in_kimg": pytest.approx(8)}
    assert stretched(configs["eg3d"], 0.1) == {"schedules.pose_swap_fade_kimg": pytest.approx(0.8)}
    assert {config.resolution for config in configs.values()} == {64}
