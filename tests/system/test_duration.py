"""Durations as text."""

import pytest

from panohead.errors import UsageError
from panohead.system.duration import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), (" 1.5H ", 5400), ("2d", 172800), ("12", 12), (".5m", 30)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["", "m", "0", "-3m", "1h30m", "nan", "inf", "1e400", "3 weeks", "9" * 30])
def test_others_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"--budget .* is no duration"):
        parse_duration(text, "--budget")


def test_they_are_written_in_the_largest_unit() -> None:
    assert [duration_text(s) for s in (0.25, 59, 90, 5400, 864000)] == ["0.25 s", "59 s", "1.5 min", "1.5 h", "10 d"]
