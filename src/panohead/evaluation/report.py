"""Report of an evaluation: one JSON with everything, one table with the columns side by side."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from panohead.evaluation.evaluate import EvaluationResult, software
from panohead.evaluation.results import Result, text
from panohead.evaluation.settings import EvaluationSettings
from panohead.system.atomic_write import atomic_path
from panohead.system.text import printable

FORMAT_VERSION = 1
TableRow = tuple[str, str, str]
_ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}


def write_report(
    out: Path, settings: EvaluationSettings, columns: Sequence[EvaluationResult], about: dict[str, Any]
) -> tuple[Path, Path]:
    """Write ``metrics.json`` and ``table.md`` in ``out``, and return their paths.

    The JSON is the same again on the same machine, except for times and memory: it holds no date.
    """
    content = {
        "format": FORMAT_VERSION,
        "settings": {f.name: _plain(getattr(settings, f.name)) for f in fields(settings)},
        "software": software(),
        "about": about,
        "columns": [
            {
                "name": column.name,
                "about": column.about,
                "results": [_plain(asdict(result)) for result in column.results],
                "skipped": [asdict(skipped) for skipped in column.skipped],
            }
            for column in columns
        ],
    }
    metrics, table = out / "metrics.json", out / "table.md"
    with atomic_path(metrics) as temporary:
        temporary.write_text(
            json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
    with atomic_path(table) as temporary:
        temporary.write_text(markdown(columns), encoding="utf-8")
    return metrics, table


def rich_table(columns: Sequence[EvaluationResult]) -> Table:
    """Return the table for a terminal."""
    table = Table(title="evaluation")
    for title in ("metric", "views", "protocol"):
        table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(Text(printable(column.name)), justify="right", overflow="fold")
    for cells in _cells(columns):
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def markdown(columns: Sequence[EvaluationResult]) -> str:
    """Return the same table in Markdown, followed by the reasons for missing values."""
    titles = ["metric", "views", "protocol", *(column.name for column in columns)]
    lines = ["| " + " | ".join(map(_escaped, titles)) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(map(_escaped, cells)) + " |" for cells in _cells(columns)]
    return "\n".join([*lines, "", *(f"- {_escaped(reason)}" for reason in reasons(columns)), ""])


def _escaped(words: str) -> str:
    """Return a text as Markdown that shows it: names of checkpoints may hold bars, links and HTML."""
    return html.escape(printable(words), quote=False).replace("|", "\\|").replace("](", "]\\(")


def reasons(columns: Sequence[EvaluationResult]) -> list[str]:
    """Return one sentence for everything that was not measured, each once."""
    metrics: dict[str, list[str]] = {}
    for one in (one for column in columns for one in column.skipped):
        named = metrics.setdefault(one.reason, [])
        named += [one.metric] if one.metric not in named else []
    return [f"{', '.join(named)}: {reason}" for reason, named in metrics.items()]


def _cells(columns: Sequence[EvaluationResult]) -> list[list[str]]:
    by_column = [{result.row: result for result in column.results} for column in columns]
    rows: dict[TableRow, Result] = {}
    for found in by_column:
        for row, result in found.items():
            rows.setdefault(row, result)
    order = list(dict.fromkeys(row[0] for row in rows))
    cells = []
    for row in sorted(rows, key=lambda row: order.index(row[0])):
        first = rows[row]
        unit = f" ({first.unit})" if first.unit else ""
        values = [_value(found[row]) if row in found else "" for found in by_column]
        cells.append([f"{row[0]}{unit} {_ARROWS[first.better]}".strip(), row[1], row[2], *values])
    return cells


def _value(result: Result) -> str:
    if result.low is None or result.high is None:
        return text(result.value)
    return f"{text(result.value)} [{text(result.low)}, {text(result.high)}]"


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: paths as text, non-finite numbers as null."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
