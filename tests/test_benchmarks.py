"""``python -m benchmarks``: the list is complete, rounds are interleaved, samples are joined, failures are told."""

import importlib
import json
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"
MODULES = {
    "catalog.py",
    "rows.py",
    "interleaved.py",
    "held_out_people.py",
    "profile_line.py",
    "viewer_client.py",
    "__main__.py",
}
MODULES |= {"quality/compare_rows.py", "quality/compare_table.py"}
"""Files of the folder that are no benchmarks."""


@pytest.fixture(scope="module")
def entry() -> Iterator[ModuleType]:
    """The module behind ``python -m benchmarks``."""
    path = list(sys.path)
    sys.path.insert(0, str(FOLDER.parent))
    try:
        yield importlib.import_module("benchmarks.__main__")
    finally:
        sys.path[:] = path


def test_every_script_is_listed(entry: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py")} - MODULES
    assert {benchmark.script for benchmark in entry.CATALOG.values()} == scripts
    assert entry.main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name} " in printed for name in entry.CATALOG)
    assert "needs a dataset" in printed


def test_scripts_that_are_started_take_their_arguments(entry: ModuleType) -> None:
    for name, benchmark in entry.CATALOG.items():
        if not benchmark.by_itself:
            code = (FOLDER / benchmark.script).read_text(encoding="utf-8")
            flags = [word for word in ("--json", *benchmark.arguments, *benchmark.quick) if word.startswith("--")]
            assert [flag for flag in flags if f'"{flag}"' not in code] == [], name


class Fake:
    """Takes the place of the processes; every benchmark measures its number of calls."""

    def __init__(self, entry: ModuleType, fails: str = "") -> None:
        self.entry, self.fails = entry, fails
        self.calls: list[str] = []

    def __call__(self, name: str, benchmark: object, quick: bool, file: Path) -> list:
        self.calls.append(name)
        if name == self.fails:
            raise RuntimeError(f"{name} ended with 3; see {file.with_suffix('.log')}")
        turn = float(self.calls.count(name))
        rows = [self.entry.Row("step", "s", {"plain": [2 * turn, 9.0], "fast": [turn, 3.0]})]
        importlib.import_module("rows").write_rows(file, rows, quick=quick)
        return self.entry.read_rows(file)


def test_rounds_take_turns_and_their_samples_are_joined(
    entry: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake(entry)
    given = ["--only", "speed", "training", "--rounds", "3", "--out", str(tmp_path / "results")]
    assert entry.main(given, start=fake) == 0
    assert fake.calls == ["speed", "training"] * 3
    report = json.loads((tmp_path / "results" / "benchmarks.json").read_text())
    row = report["benchmarks"]["speed"][0]
    assert row["samples"] == {"plain": [2, 9, 4, 9, 6, 9], "fast": [1, 3, 2, 3, 3, 3]}
    assert report["failures"] == []
    assert report["torch"]
    text = (tmp_path / "results" / "benchmarks.md").read_text()
    assert text.strip() in capsys.readouterr().out
    plain = statistics.median([2, 9, 4, 9, 6, 9])
    assert f"| speed | step | s | 6 | plain {plain:.3g} [2-9]; fast 3 [1-3] | 2.5 [2-3] |" in text


def test_a_benchmark_that_fails_is_told_and_the_others_run_on(
    entry: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake(entry, fails="speed")
    given = ["--only", "speed", "training", "--rounds", "2", "--out", str(tmp_path)]
    assert entry.main(given, start=fake) == 1
    assert fake.calls == ["speed", "training", "training"]
    report = json.loads((tmp_path / "benchmarks.json").read_text())
    assert list(report["benchmarks"]) == ["training"]
    assert "speed ended with 3" in report["failures"][0]
    assert "speed ended with 3" in capsys.readouterr().out.splitlines()[-1]


def test_quick_is_one_round_of_what_can_run_here(entry: ModuleType, tmp_path: Path) -> None:
    fake = Fake(entry)
    assert entry.main(["--quick", "--out", str(tmp_path)], start=fake) == 0
    assert len(set(fake.calls)) == len(fake.calls)
    assert {"speed", "memory", "heads", "reconstruction"} <= set(fake.calls)
    assert not {"prepare", "ablations", "quality"} & set(fake.calls)


def test_wrong_usage_is_exit_code_two(entry: ModuleType, tmp_path: Path) -> None:
    for wrong in (["--only", "nothing"], ["--rounds", "0"]):
        with pytest.raises(SystemExit) as end:
            entry.main([*wrong, "--out", str(tmp_path)], start=Fake(entry))
        assert end.value.code == 2


def test_a_process_is_started_and_its_failure_names_the_log(
    entry: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.py").write_text(
        "import argparse, json\np = argparse.ArgumentParser()\np.add_argument('--json')\np.add_argument('--n')\n"
        "a = p.parse_args()\nrow = {'name': 'x', 'unit': 's', 'samples': {'ours': [float(a.n)]}}\n"
        "open(a.json, 'w').write(json.dumps({'rows': [row]}))\n"
    )
    (tmp_path / "bad.py").write_text("raise SystemExit('it broke')\n")
    monkeypatch.setattr(entry, "HERE", tmp_path)
    good, bad = (entry.Benchmark(f"{name}.py", "a test", ("--n", "4"), ("--n", "1")) for name in ("good", "bad"))
    assert entry.start("good", good, False, tmp_path / "good.json")[0].samples == {"ours": [4.0]}
    assert entry.start("good", good, True, tmp_path / "good.json")[0].samples == {"ours": [1.0]}
    with pytest.raises(RuntimeError, match=r"bad ended with 1; see .*bad\.log"):
        entry.start("bad", bad, False, tmp_path / "bad.json")
    assert "it broke" in (tmp_path / "bad.log").read_text()


def test_the_line_of_a_profile_is_measured_in_millimeters(entry: ModuleType) -> None:
    """A disk that lies two pixels further to the front; a pixel of the official frame is 4 mm at 64 a side."""
    profile = importlib.import_module("profile_line")
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    there, nearer = (((rows - 32) ** 2 + (columns - x) ** 2 < 20**2).float() for x in (32, 30))
    pixel = profile.profile_error_mm(nearer, there, 90) / 2
    assert pixel == pytest.approx(4.0, abs=0.2)
    assert profile.profile_error_mm(nearer.flip(-1), there.flip(-1), -90) == pytest.approx(2 * pixel, rel=1e-4)
    assert math.isnan(profile.profile_error_mm(nearer, there, 60))
    soft = there * 0.5 + nearer * 0.5
    assert 0 < profile.profile_error_mm(soft, there, 90) < 2 * pixel
