"""Durations as people write them: 90s, 30m, 2h."""

import math
import re

from panohead.errors import UsageError

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([smhd]?)")
MAX_SECONDS = 1e9


def parse_duration(text: str, name: str) -> float:
    """Return the seconds of a duration: a number with s, m, h or d for its unit; seconds without one.

    >>> parse_duration("30m", "--cpu-time")
    1800.0

    Args:
        name: option or argument, for the sentence.

    Raises:
        UsageError: for anything else, and for 0.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _SECONDS[found[2]] if found is not None else math.nan
    if not 0 < seconds <= MAX_SECONDS:
        raise UsageError(f"{name} {text[:40]!r} is no duration; give one like 90s, 30m or 2h")
    return seconds


def duration_text(seconds: float) -> str:
    """Return a duration in the largest unit that gives at least 1, rounded to three digits: "1.5 h", "30 min"."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
