"""The table of an evaluation shows names as they are: in Markdown, where HTML counts, and in the terminal."""

import io

from rich.console import Console

from panohead.evaluation.evaluate import EvaluationResult
from panohead.evaluation.report import markdown, rich_table
from panohead.evaluation.results import Result, Skipped

HOSTILE = "<script>alert(1)</script>|[x](javascript:y)\n# [/bold] \u202e&lt;"


def columns() -> list[EvaluationResult]:
    found = [Result(metric=HOSTILE, value=1.0, low=0.5, high=1.5, unit="mm")]
    return [EvaluationResult(HOSTILE, results=found, skipped=[Skipped(HOSTILE, HOSTILE)])]


def test_markdown_holds_no_markup_of_a_name() -> None:
    text = markdown(columns())
    assert "<script" not in text
    assert "](" not in text.replace("]\\(", "")
    assert "\u202e" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert {line.replace("\\|", "").count("|") for line in rows} == {5}
    assert "[0.5, 1.5]" in text


def test_the_terminal_shows_the_name() -> None:
    shown = io.StringIO()
    Console(file=shown, width=400).print(rich_table(columns()))
    assert "[/bold]" in shown.getvalue()
    assert "\u202e" not in shown.getvalue()
