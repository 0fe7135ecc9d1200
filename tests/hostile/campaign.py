"""The campaign: thousands of hostile inputs through commands and readers; counts by family as JSON, resumable.

    python -m hostile.campaign --out DIR [--seed 0] [--inputs 2000] [--fuzz 100000] [--minutes 30]

``DIR/results.jsonl`` has a line per finished input; the same command continues it. ``DIR/counts.json`` and the table on
standard output have the counts. Any fault makes the exit code 1.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostile.families import FAMILIES, make
from hostile.runner import KINDS, CommandServer


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
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", help="one family")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"seed {options.seed}", flush=True)
    deadline = time.monotonic() + 60 * options.minutes
    run_commands(options.out.resolve(), options.seed, options.inputs, deadline, options.only)
    table = counts(read_lines(options.out / "results.jsonl"))
    (options.out / "counts.json").write_text(json.dumps(table, indent=1))
    print(as_table(table))
    return int(any(table["all"][kind] for kind in KINDS))


if __name__ == "__main__":
    sys.exit(main())
