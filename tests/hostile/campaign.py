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
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import cycle
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
Trial = Callable[[str, int], dict[str, Any]]


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


def run_each(
    out: Path, seed: int, trials: Iterable[tuple[str, int]], once: Trial, deadline: float, only: str | None
) -> None:
    """Run the trials that have no result yet, until the deadline, and write a line for each.

    Args:
        trials: family and index of each.
        once: runs one and returns its record.
        deadline: as :func:`time.monotonic`.
        only: the one family to run; None for all.
    """
    results = out / "results.jsonl"
    done = {(record["family"], record["index"]) for record in read_lines(results)}
    with results.open("a") as file:
        for name, index in trials:
            if (name, index) in done or (only and name != only):
                continue
            if time.monotonic() > deadline:
                return
            file.write(json.dumps({"family": name, "index": index, "seed": seed, **once(name, index)}) + "\n")
            file.flush()


def run_commands(out: Path, seed: int, inputs: int, deadline: float, only: str | None = None) -> None:
    """Run commands on hostile inputs."""
    with CommandServer() as server:
        for command in () if only else ("reconstruct", "train"):
            # Once without a limit, so that kernels are compiled and cached.
            run_whole(server, command, emptied(out / "whole"))

        def once(name: str, index: int) -> dict[str, Any]:
            folder = out / "case"
            if folder.exists():
                open_closed(folder)
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            case = make(name, index, seed, folder)
            outcome = server.run(case)
            record: dict[str, Any] = {"code": outcome.code, "seconds": round(outcome.seconds, 2)}
            record |= {"mb": round(outcome.megabytes), "faults": outcome.faults}
            if outcome.faults:
                record |= {"argv": [a[:300] for a in case.argv], "note": case.note[:200], "said": outcome.stderr}
            return record

        run_each(out, seed, plan(inputs), once, deadline, only)


def run_fuzz(out: Path, seed: int, inputs: int, deadline: float, only: str | None = None) -> None:
    """Fuzz the readers in portions of PORTION inputs, each in a forked child."""

    def once(name: str, index: int) -> dict[str, Any]:
        shutil.rmtree(out / "fuzz", ignore_errors=True)
        return fuzz_in_child(name.removeprefix("fuzz "), out / "fuzz", PORTION, 1000 * seed + index)

    portions = max(1, round(inputs / PORTION / len(TARGETS)))
    trials = [(f"fuzz {target}", index) for index in range(portions) for target in TARGETS]
    run_each(out, seed, trials, once, deadline, only)


def run_kills(out: Path, seed: int, trials: int, deadline: float, only: str | None = None) -> None:
    """Kill commands at random moments, the commands in turn."""
    with CommandServer() as server:
        whole = cache(lambda command: run_whole(server, command, emptied(out / "whole")))

        def once(name: str, index: int) -> dict[str, Any]:
            command = name.removeprefix("kills of ")
            rng = random.Random(f"{seed} {name} {index}")
            moment, faults, said = trial(server, command, out / "killed", rng, *whole(command))
            return {"moment": round(moment, 2), "faults": faults} | ({"said": said} if faults else {})

        names = [(f"kills of {command}", index) for index in range(trials) for command in COMMANDS]
        run_each(out, seed, names, once, deadline, only)


def run_pairs(out: Path, seed: int, trials: int, deadline: float, only: str | None = None) -> None:
    """Start commands twice on one folder, the commands in turn."""
    with CommandServer() as first, CommandServer() as second:
        whole = cache(lambda command: run_whole(first, command, emptied(out / "whole"))[0])

        def once(name: str, index: int) -> dict[str, Any]:
            command = name.removeprefix("two of ")
            faults, said = trial_of_two((first, second), command, out / "two", whole(command))
            return {"faults": faults} | ({"said": said} if faults else {})

        names = [(f"two of {command}", index) for index, command in zip(range(trials), cycle(COMMANDS))]
        run_each(out, seed, names, once, deadline, only)


def emptied(folder: Path) -> Path:
    """Remove a folder, and return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


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
    # Shares of the time; what one part leaves over, the next ones have.
    parts = (
        (run_commands, options.inputs, 0.5),
        (run_fuzz, options.fuzz, 0.25),
        (run_pairs, options.pairs, 0.1),
        (run_kills, options.kills, 0.15),
    )
    asked = [part for part in parts if part[1]]
    for number, (part, count, share) in enumerate(asked):
        later = sum(share for *_, share in asked[number + 1 :])
        end = time.monotonic() + (deadline - time.monotonic()) * share / (share + later)
        part(out, options.seed, count, end, only)
    table = counts(read_lines(options.out / "results.jsonl"))
    (options.out / "counts.json").write_text(json.dumps(table, indent=1))
    print(as_table(table))
    return int(any(table["all"][kind] for kind in KINDS))


if __name__ == "__main__":
    sys.exit(main())
