"""The campaign: thousands of hostile inputs through commands and readers; counts by family as JSON, resumable.

    python -m hostile.campaign --out DIR [--seed 0] [--inputs 2000] [--fuzz 100000] [--kills 25] [--pairs 20]
        [--minutes 30]

``DIR/results.jsonl`` has a line per finished input; the same command continues it. ``DIR/counts.json`` and the table on
standard output have the counts. Any fault makes the exit code 1.
"""

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile.families_of_datasets
import hostile.families_of_paths  # noqa: F401
from hostile.families import FAMILIES, make
from hostile.fuzz import TARGETS, fuzz_in_child
from hostile.kills import COMMANDS, run_whole, trial
from hostile.pairs import trial_of_two
from hostile.runner import KINDS, CommandServer

PORTION = 250
"""Fuzzed inputs of one child."""


def plan(inputs: int) -> Iterator[tuple[str, int]]:
    """Yield family and index of every command input, families interleaved so that an early stop has all of them."""
    whole = sum(share for _, share in FAMILIES.values())
    counts = {name: max(1, round(inputs * share / whole)) for name, (_, share) in FAMILIES.items()}
    order = [((index + 0.5) / count, name, index) for name, count in counts.items() for index in range(count)]
    for _, name, index in sorted(order):
        yield name, index


def open_closed(folder: Path) -> None:
    """Give back the rights that a case took away, so that its folder can be removed."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o755)


def run_commands(out: Path, seed: int, inputs: int, deadline: float, only: str | None = None) -> None:
    """Run the command inputs that have no result yet, until the deadline."""
    results = out / "results.jsonl"
    done = {(r["family"], r["index"]) for r in read_lines(results)}
    with CommandServer() as server, results.open("a") as file:
        for command in () if only else ("reconstruct", "train"):
            # Once without a limit, so that kernels are compiled and cached.
            shutil.rmtree(out / "whole", ignore_errors=True)
            run_whole(server, command, out / "whole")
        for name, index in plan(inputs):
            if (name, index) in done or (only and name != only):
                continue
            if time.monotonic() > deadline:
                return
            folder = out / "case"
            if folder.exists():
                open_closed(folder)
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            case = make(name, index, seed, folder)
            outcome = server.run(case)
            record: dict[str, Any] = {"family": name, "index": index, "seed": seed, "code": outcome.code}
            record |= {"seconds": round(outcome.seconds, 2), "mb": round(outcome.megabytes), "faults": outcome.faults}
            if outcome.faults:
                record |= {"argv": [a[:300] for a in case.argv], "note": case.note[:200], "said": outcome.stderr}
            file.write(json.dumps(record) + "\n")
            file.flush()


def run_fuzz(out: Path, seed: int, inputs: int, deadline: float, only: str | None = None) -> None:
    """Fuzz the readers in portions of PORTION inputs, each in a forked child, until the deadline."""
    results = out / "results.jsonl"
    done = {(r["family"], r["index"]) for r in read_lines(results)}
    portions = max(1, round(inputs / PORTION / len(TARGETS)))
    with results.open("a") as file:
        for index in range(portions):
            for target in TARGETS:
                name = f"fuzz {target}"
                if (name, index) in done or (only and name != only):
                    continue
                if time.monotonic() > deadline:
                    return
                shutil.rmtree(out / "fuzz", ignore_errors=True)
                found = fuzz_in_child(target, out / "fuzz", PORTION, 1000 * seed + index)
                file.write(json.dumps({"family": name, "index": index, "seed": seed, **found}) + "\n")
                file.flush()


def run_kills(out: Path, seed: int, trials: int, deadline: float, only: str | None = None) -> None:
    """Kill commands at random moments, the commands in turn, until the deadline."""
    results = out / "results.jsonl"
    done = {(r["family"], r["index"]) for r in read_lines(results)}
    whole: dict[str, tuple[dict[str, str], float]] = {}
    with CommandServer() as server, results.open("a") as file:
        for index in range(trials):
            for command in COMMANDS:
                name = f"kills of {command}"
                if (name, index) in done or (only and name != only):
                    continue
                if time.monotonic() > deadline:
                    return
                if command not in whole:
                    shutil.rmtree(out / "whole", ignore_errors=True)
                    whole[command] = run_whole(server, command, out / "whole")
                rng = random.Random(f"{seed} {name} {index}")
                moment, faults, said = trial(server, command, out / "killed", rng, *whole[command])
                record = {"family": name, "index": index, "seed": seed, "moment": round(moment, 2), "faults": faults}
                file.write(json.dumps(record | ({"said": said} if faults else {})) + "\n")
                file.flush()


def run_pairs(out: Path, seed: int, trials: int, deadline: float, only: str | None = None) -> None:
    """Start commands twice on one folder, the commands in turn, until the deadline."""
    results = out / "results.jsonl"
    done = {(r["family"], r["index"]) for r in read_lines(results)}
    whole: dict[str, dict[str, str]] = {}
    with CommandServer() as first, CommandServer() as second, results.open("a") as file:
        for index in range(trials):
            command = list(COMMANDS)[index % len(COMMANDS)]
            name = f"two of {command}"
            if (name, index) in done or (only and name != only):
                continue
            if time.monotonic() > deadline:
                return
            if command not in whole:
                shutil.rmtree(out / "whole", ignore_errors=True)
                whole[command] = run_whole(first, command, out / "whole")[0]
            faults, said = trial_of_two((first, second), command, out / "two", whole[command])
            record = {"family": name, "index": index, "seed": seed, "faults": faults}
            file.write(json.dumps(record | ({"said": said} if faults else {})) + "\n")
            file.flush()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file of results; a line cut off by a kill is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def counts(records: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return the number of inputs and of faults of each kind, by family."""
    table: dict[str, dict[str, int]] = {}
    for record in records:
        row = table.setdefault(record["family"], {"inputs": 0, **dict.fromkeys(KINDS, 0)})
        row["inputs"] += record.get("inputs", 1)
        for kind, number in Counter(record["faults"]).items():
            row[kind] = row.get(kind, 0) + number
    table = dict(sorted(table.items()))
    table["all"] = dict(sum((Counter(row) for row in table.values()), Counter(dict.fromkeys(("inputs", *KINDS), 0))))
    for row in table.values():
        for kind in ("inputs", *KINDS):
            row.setdefault(kind, 0)
    return table


def as_table(table: dict[str, dict[str, int]]) -> str:
    """Return the counts as a Markdown table, a family a row."""
    columns = ("inputs", *KINDS)
    lines = ["| family | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += ["| " + " | ".join([name, *(str(row[c]) for c in columns)]) + " |" for name, row in table.items()]
    return "\n".join(lines)


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--fuzz", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=25, help="kills of each command")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of processes on one folder, the commands in turn")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", help="one family")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"seed {options.seed}", flush=True)
    deadline = time.monotonic() + 60 * options.minutes
    out, only = options.out.resolve(), options.only
    # Half of the time for the commands, a quarter for each of the others; what one leaves over, the next one has.
    parts = (
        (run_commands, options.inputs, 0.5),
        (run_fuzz, options.fuzz, 0.75),
        (run_pairs, options.pairs, 0.85),
        (run_kills, options.kills, 1.0),
    )
    for part, count, share in parts:
        if count:
            part(out, options.seed, count, deadline - (1 - share) * 60 * options.minutes, only)
    table = counts(read_lines(options.out / "results.jsonl"))
    (options.out / "counts.json").write_text(json.dumps(table, indent=1))
    print(as_table(table))
    return int(any(table["all"][kind] for kind in KINDS))


if __name__ == "__main__":
    sys.exit(main())
