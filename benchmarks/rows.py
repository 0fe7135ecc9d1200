"""Rows of measurements: what the benchmarks write as JSON, joined over rounds, and a table of medians and spreads."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Row:
    """One measured quantity.

    Attributes:
        name: what was measured.
        unit: unit of the samples: "s", "GB", "dB", "heads/s".
        samples: measurements by variant ("plain" and "fast"; one variant where nothing is compared); those of two
            variants at the same place were taken in turn.
    """

    name: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self) -> list[float]:
        """Return first over second variant of every turn; nothing for one variant or different numbers of samples."""
        if len(self.samples) != 2:
            return []
        first, second = self.samples.values()
        return [a / b for a, b in zip(first, second, strict=True)] if len(first) == len(second) and all(second) else []


def write_rows(path: str | Path, rows: Iterable[Row], **more: Any) -> None:
    """Write rows, and whatever else a benchmark reports, as JSON."""
    content = {**more, "rows": [asdict(row) for row in rows]}
    Path(path).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_rows(path: str | Path) -> list[Row]:
    """Read the rows of :func:`write_rows`."""
    return [Row(**row) for row in json.loads(Path(path).read_text(encoding="utf-8"))["rows"]]


def joined(rounds: Sequence[Sequence[Row]]) -> list[Row]:
    """Join the rows of several rounds: samples of the same name and variant one after the other."""
    found: dict[str, Row] = {}
    for row in (row for rows in rounds for row in rows):
        whole = found.setdefault(row.name, Row(row.name, row.unit))
        for variant, samples in row.samples.items():
            whole.samples.setdefault(variant, []).extend(samples)
    return list(found.values())


def spread(values: Sequence[float]) -> str:
    """Return "median [smallest-largest]"."""
    if not values:
        return "-"
    return f"{statistics.median(values):.3g} [{min(values):.3g}-{max(values):.3g}]"


def table(rows: Mapping[str, Sequence[Row]]) -> str:
    """Return a Markdown table of all rows by benchmark: medians with smallest and largest, ratio of two variants."""
    lines = ["| benchmark | row | unit | samples | variants: median [spread] | ratio |", "|---|---|---|---|---|---|"]
    for benchmark, measured in rows.items():
        for row in measured:
            count = max((len(samples) for samples in row.samples.values()), default=0)
            variants = "; ".join(f"{name} {spread(samples)}" for name, samples in row.samples.items())
            ratio = spread(row.ratios())
            lines.append(f"| {benchmark} | {row.name} | {row.unit} | {count} | {variants} | {ratio} |")
    return "\n".join(lines)
