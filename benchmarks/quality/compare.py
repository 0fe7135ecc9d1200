"""The paper's comparisons on one open dataset: rows trained for equal processor time, one table, one contact sheet.

    python benchmarks/quality/compare.py DATASET OUT --budget 30m
    python benchmarks/quality/compare.py DATASET OUT --budget 2h --rows panohead eg3d r3gan

Trains the rows of compare_rows.py one after the other by ``panohead train --cpu-time BUDGET``, so that they compare on
a machine with other work, evaluates each by ``panohead evaluate``, and writes OUT/table.md, OUT/table.json and
OUT/heads.png (eight sides of one head a row) after every row. A kill at any time costs about a minute of processor
time: the same command continues where the last one stopped. A larger budget continues the runs that are there; then
give --planned, the budget that you mean to end with, from the first time on. A row that fails is named in the table and
tried again by the next command. Explanation: docs/comparisons.md.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import compare_rows
from compare_table import figures_of, write_table

from panohead.cli.main import main as panohead
from panohead.data.people import PEOPLE_FILE
from panohead.errors import PanoHeadError, UsageError
from panohead.files.folder_lock import locked_folder
from panohead.system.atomic_write import atomic_path
from panohead.system.duration import duration_text, parse_duration

SUBSETS = ("all", "front", "back", "random")
METRICS = ("swd", "mask", "back", "consistency", "cost")


class Stopped(Exception):
    """The run of a row was asked to stop; its state is saved."""


class Comparison:
    """A comparison in a folder: OUT/rows/NAME/{plan.json, run/, evaluation/, log.txt, failure.txt}.

    Args:
        options: the command line.
        rows: the rows to train, by name.
    """

    def __init__(self, options: argparse.Namespace, rows: dict[str, compare_rows.Row]) -> None:
        self.options, self.rows = options, rows
        self.budget = parse_duration(options.budget, "--budget")
        self.planned = parse_duration(options.planned or options.budget, "--planned")
        if self.planned < self.budget:
            raise UsageError("--planned is the budget to end with; it cannot be smaller than --budget")
        self.out: Path = options.out

    def folder(self, name: str) -> Path:
        """Return the folder of a row."""
        return self.out / "rows" / name

    def run(self) -> bool:
        """Train and evaluate all rows; return False when one of them failed."""
        self._check_settings()
        whole = True
        for name in self.rows:
            failure = self.folder(name) / "failure.txt"
            failure.unlink(missing_ok=True)
            try:
                self._train(name)
                self._evaluate(name)
            except PanoHeadError as error:
                _write(failure, str(error))
                print(f"{name}: failed: {error}", flush=True)
                whole = False
            self.write()
        return whole

    def write(self) -> None:
        """Write table and sheet of what is there, rows of earlier commands included."""
        found = [name for name in compare_rows.ROWS if self.folder(name).is_dir() or name in self.rows]
        rows = {name: self._described(name) for name in found}
        about = {"budget_s": self.budget, "planned_s": self.planned, "data": str(self.options.data.resolve())}
        about |= {"settings": list(self.options.set), "num": self.options.num, "heads": self.options.heads}
        write_table(self.out, rows, list(self._photos().get("results", [])), about)

    def _check_settings(self) -> None:
        """Refuse a folder whose rows were trained on other data or with other settings: they would not compare."""
        known = {"data": str(self.options.data.resolve()), "set": list(self.options.set), "seed": self.options.seed}
        file = self.out / "comparison.json"
        if file.is_file() and (before := json.loads(file.read_text())) != known:
            changed = ", ".join(f"{key} was {before.get(key)}" for key in known if before.get(key) != known[key])
            raise PanoHeadError(f"{self.out} holds another comparison ({changed}); choose another folder")
        _write(file, json.dumps(known, indent=1))

    def _train(self, name: str) -> None:
        row, folder = self.rows[name], self.folder(name)
        run = folder / "run"
        if row.people and not (self.options.data / PEOPLE_FILE).is_file():
            raise PanoHeadError(f"the dataset has no {PEOPLE_FILE}, which this row needs")
        used = _cpu_seconds(run)
        if used >= self.budget and _newest(run) is not None:
            return
        budget = ["--cpu-time", f"{self.budget:g}s", "--device", "cpu", "--quiet"]
        if (run / "config.json").is_file():
            command = ["train", "--resume", str(run), *budget]
        else:
            plan = self._plan(name)
            command = ["train", *row.words(), "--data", str(self.options.data), "--out", str(run), *budget]
            command += ["--seed", str(self.options.seed), "--set", *plan["settings"]]
        print(f"{name}: training, {duration_text(used)} of {duration_text(self.budget)} used", flush=True)
        _command(command, folder / "log.txt")
        if _cpu_seconds(run) < self.budget:
            raise Stopped

    def _plan(self, name: str) -> dict[str, Any]:
        file = self.folder(name) / "plan.json"
        if not file.is_file():
            print(f"{name}: measuring its cost", flush=True)
            plan = asdict(compare_rows.make_plan(self.rows[name], self.planned, tuple(self.options.set)))
            _write(file, json.dumps({**plan, "planned_s": self.planned}, indent=1))
        return dict(json.loads(file.read_text()))

    def _evaluate(self, name: str) -> None:
        checkpoint, folder = _newest(self.folder(name) / "run"), self.folder(name)
        if checkpoint is None:
            raise PanoHeadError("its run holds no checkpoint")
        measured = {"checkpoint": checkpoint.name, "num": self.options.num, "heads": self.options.heads}
        file = folder / "figures.json"
        if file.is_file() and json.loads(file.read_text())["measured"] == measured:
            return
        print(f"{name}: evaluating", flush=True)
        out = folder / "evaluation"
        words = ["--checkpoint", f"{name}={checkpoint}", "--out", str(out), *self._common()]
        counts = {"num": self.options.num, "heads": self.options.heads}
        # Photos against other photos, what a perfect generator would get, are the same for all rows.
        known = self._photos().get("measured") == counts
        _command(["evaluate", *words, *(["--no-floor"] if known else [])], folder / "log.txt")
        results = _results(out / "metrics.json", name)
        if not known:
            photos = {"measured": counts, "results": _results(out / "metrics.json", "photos")}
            _write(self.out / "photos.json", json.dumps(photos, indent=1))
        _write(file, json.dumps({"measured": measured, "figures": figures_of(checkpoint, results)}, indent=1))

    def _photos(self) -> dict[str, Any]:
        file = self.out / "photos.json"
        return dict(json.loads(file.read_text())) if file.is_file() else {}

    def _common(self) -> list[str]:
        words = ["--data", str(self.options.data), "--metrics", *METRICS, "--subsets", *SUBSETS, "--protocol", "strict"]
        words += ["--num", str(self.options.num), "--heads", str(self.options.heads), "--quiet"]
        # The same latents, cameras and photos for all rows; photos' statistics are kept.
        return [*words, "--seed", "0", "--cache", str(self.out / "photo_statistics")]

    def _described(self, name: str) -> dict[str, Any]:
        folder, row = self.folder(name), compare_rows.ROWS[name] if name not in self.rows else self.rows[name]
        run, failure = folder / "run", folder / "failure.txt"
        checkpoint = _newest(run)
        figures = json.loads((folder / "figures.json").read_text()) if (folder / "figures.json").is_file() else {}
        current = checkpoint is not None and figures.get("measured", {}).get("checkpoint") == checkpoint.name
        return {
            "what": row.what,
            "options": " ".join(row.words()),
            "cpu_s": _cpu_seconds(run),
            "kimg": _last_line(run).get("kimg", 0.0),
            "checkpoint": str(checkpoint) if checkpoint is not None else None,
            "failure": failure.read_text() if failure.is_file() else None,
            "figures": figures["figures"] if current else None,
        }


def _command(words: Sequence[str], log: Path) -> None:
    """Run a command in this process; what it prints goes to the log.

    Raises:
        PanoHeadError: with its last line, when it failed.
        Stopped: when it was interrupted.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = log.stat().st_size if log.exists() else 0
    with open(log, "a", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        print(f"$ panohead {' '.join(words)}", flush=True)
        code = panohead(list(words))
    if code >= 128:
        raise Stopped
    if code:
        with open(log, encoding="utf-8") as file:
            file.seek(began)
            lines = file.read().strip().splitlines()
        raise PanoHeadError(lines[-1])


def _write(file: Path, text: str) -> None:
    with atomic_path(file) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _last_line(run: Path) -> dict[str, Any]:
    """Return the last whole record of a run's statistics; a kill may cut the last line."""
    file = run / "stats.jsonl"
    for line in reversed(file.read_text(encoding="utf-8").splitlines() if file.is_file() else []):
        with contextlib.suppress(ValueError):
            return dict(json.loads(line))
    return {}


def _cpu_seconds(run: Path) -> float:
    return float(_last_line(run).get("cpu_seconds", 0.0))


def _newest(run: Path) -> Path | None:
    return max((run / "snapshots").glob("*.safetensors"), default=None)


def _results(file: Path, column: str) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    columns = json.loads(file.read_text(encoding="utf-8"))["columns"]
    return next((list(one["results"]) for one in columns if one["name"] == column), [])


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("data", type=Path, help="folder of the dataset")
    made.add_argument("out", type=Path, help="folder of the comparison")
    made.add_argument("--budget", default="30m", help="processor time of training each row: 90s, 30m, 2h")
    made.add_argument("--planned", help="budget to end with, over which schedules are stretched; --budget if not given")
    made.add_argument(
        "--rows", nargs="+", choices=tuple(compare_rows.ROWS), metavar="ROW", help="rows; all if not given"
    )
    made.add_argument("--num", type=int, default=2000, help="images for each way of making them")
    made.add_argument("--heads", type=int, default=32, help="heads that are looked at from several sides")
    made.add_argument("--seed", type=int, default=0, help="seed of the weights and of training")
    made.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of all rows, as of train")
    made.add_argument("--tiny", action="store_true", help="rows of the preset tiny, to see that everything runs")
    made.add_argument("--table", action="store_true", help="write table and sheet of what is there; train nothing")
    return made


@contextlib.contextmanager
def _timed(out: Path) -> Iterator[None]:
    began, cpu = time.monotonic(), time.process_time()
    yield
    wall, used = (duration_text(clock() - then) for clock, then in ((time.monotonic, began), (time.process_time, cpu)))
    print(f"wrote table.md, table.json and heads.png in {out} after {wall}, {used} of processor time")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return 0, 1 when a row failed, or 130 when it was stopped."""
    options = parser().parse_args(arguments)
    rows = {name: compare_rows.ROWS[name] for name in options.rows or compare_rows.ROWS}
    try:
        comparison = Comparison(options, compare_rows.tiny_rows(rows) if options.tiny else rows)
        options.out.mkdir(parents=True, exist_ok=True)
        with locked_folder(options.out, "compares"), _timed(options.out):
            if options.table:
                comparison.write()
                return 0
            return 0 if comparison.run() else 1
    except (Stopped, KeyboardInterrupt):
        print("stopped; the same command continues from here")
        return 130
    except PanoHeadError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


if __name__ == "__main__":
    sys.exit(main())
