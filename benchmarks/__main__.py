"""Run all benchmarks of this folder in turn, several rounds, and write one table with medians and spreads.

    python -m benchmarks [--list] [--only NAME ...] [--quick] [--rounds 3] [--out FOLDER]

A round starts every benchmark once, each in a process of its own with one thread; so a machine that slows down slows
all of them, and within a benchmark its variants run in turn. Benchmarks that need a GPU or a dataset are listed with
what they need; those with hours of work or a table of their own run only when their script is called. FOLDER gets
``benchmarks.json`` (all samples, machine, versions), ``benchmarks.md`` (the table) and a log of every process.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # so that modules beside this one are found as they are by the scripts

from catalog import CATALOG, Benchmark  # noqa: E402
from rows import Row, joined, read_rows, table  # noqa: E402

Start = Callable[[str, Benchmark, bool, Path], list[Row]]
"""Runs one benchmark (name, entry, quick, file for its JSON) and returns its rows."""


def start(name: str, benchmark: Benchmark, quick: bool, file: Path) -> list[Row]:
    """Run a benchmark in a process of its own.

    Raises:
        RuntimeError: when it fails; its log says why.
    """
    arguments = benchmark.quick if quick else benchmark.arguments
    command = [sys.executable, str(HERE / benchmark.script), *arguments, "--json", str(file)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    log = file.with_suffix(".log")
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended with {done.returncode}; see {log}")
    return read_rows(file)


def run(
    names: Sequence[str], out: Path, *, rounds: int, quick: bool, start: Start = start
) -> tuple[dict[str, list[Row]], list[str]]:
    """Run the benchmarks in turn, ``rounds`` times; one that fails is left out of the later rounds.

    Returns:
        The joined rows by benchmark, and a sentence for each failure.
    """
    measured: dict[str, list[list[Row]]] = {name: [] for name in names}
    failures: dict[str, str] = {}
    for number in range(rounds):
        for name in names:
            if name in failures:
                continue
            print(f"round {number + 1} of {rounds}: {name} ({CATALOG[name].what})", flush=True)
            try:
                measured[name].append(start(name, CATALOG[name], quick, out / f"{name}_{number}.json"))
            except (RuntimeError, OSError, KeyError, ValueError) as error:
                failures[name] = str(error)
                print(f"  failed: {error}", flush=True)
    return {name: joined(rows) for name, rows in measured.items() if rows}, list(failures.values())


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, load and versions."""
    import torch

    return {
        "machine": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor()


def listing(present: Mapping[str, bool]) -> str:
    """Return one line per benchmark: name, duration, what it measures, and what it lacks."""
    lines = []
    for name, benchmark in CATALOG.items():
        missing = "" if present.get(benchmark.needs, benchmark.needs == "") else f" (needs {benchmark.needs})"
        alone = f" (by itself: python benchmarks/{benchmark.script})" if benchmark.by_itself else ""
        lines.append(f"{name:16} about {benchmark.minutes:g} min  {benchmark.what}{missing}{alone}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None, start: Start = start) -> int:
    """Run, print the table, write it; 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(CATALOG), help="run only these")
    parser.add_argument("--quick", action="store_true", help="one short round that shows that everything runs")
    parser.add_argument("--rounds", type=int, help="number of rounds (3; 1 with --quick)")
    parser.add_argument("--out", type=Path, default=Path("benchmark_results"))
    options = parser.parse_args(arguments)
    rounds = options.rounds if options.rounds is not None else 1 if options.quick else 3
    if rounds < 1:
        parser.error("--rounds must be at least 1")
    present = {"": True, "a GPU": _has_gpu()}
    if options.list:
        print(listing(present))
        return 0
    names = [
        name
        for name, benchmark in CATALOG.items()
        if (name in options.only if options.only else True)
        and present.get(benchmark.needs, False)
        and not benchmark.by_itself
    ]
    for name in set(options.only or ()) - set(names):
        needs, script = CATALOG[name].needs, CATALOG[name].script
        print(f"{name} is left out: it needs {needs}; see python benchmarks/{script} --help")
    options.out.mkdir(parents=True, exist_ok=True)
    rows, failures = run(names, options.out, rounds=rounds, quick=options.quick, start=start)
    text = table(rows)
    content = {
        "quick": options.quick,
        "rounds": rounds,
        **machine(),
        "failures": failures,
        "benchmarks": {name: [asdict(row) for row in measured] for name, measured in rows.items()},
    }
    (options.out / "benchmarks.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    (options.out / "benchmarks.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    for failure in failures:
        print(failure)
    return 1 if failures or not names else 0


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    sys.exit(main())
