"""Messages of a command: results on standard output, all else on standard error, in the amount and form asked for.

Standard error holds text for people or, with ``--log-json``, one JSON object a line: ``time``, ``level`` (info,
warning, error), ``event`` (start, progress, message, end) and what belongs to the event.
"""

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from panohead.cli.running.common_options import CommonOptions

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class MessageStyle:
    """Amount and form of the messages; see :class:`CommonOptions`."""

    quiet: bool = False
    verbose: bool = False
    log_json: bool = False


_style = MessageStyle()
"""Style of the command that runs; worker threads of it print too, so it is no variable of a context."""


class JsonLines(io.TextIOBase):
    """Text stream that writes every line as the message of a JSON record.

    Args:
        stream: text stream where the records go.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        """Write text; a record is written at the end of every line that is not empty."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self.record("info", "message", message=line.strip())
        return len(text)

    def flush(self) -> None:
        """Flush the stream below; a line that has only begun waits for its end."""
        self.stream.flush()

    def fileno(self) -> int:
        """Return the descriptor below, which child processes take."""
        return self.stream.fileno()

    def record(self, level: Level, event: str, **fields: Any) -> None:
        """Write one record."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": now, "level": level, "event": event, **fields}
        self.stream.write(json.dumps(entry, default=str) + "\n")
        self.stream.flush()

    def end(self) -> None:
        """Write a line that has only begun."""
        if self._begun.strip():
            self.write("\n")


class _ToStandardError(logging.Handler):
    """Handler of the package's log for ``--verbose``."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage(), "info")


@contextlib.contextmanager
def messages(options: CommonOptions | MessageStyle) -> Iterator[None]:
    """Print the messages of what runs inside as the options ask."""
    global _style
    before, stderr = _style, sys.stderr
    _style = MessageStyle(options.quiet, options.verbose, options.log_json)
    handler, log = _ToStandardError(), logging.getLogger("panohead")
    level = log.level
    lines = JsonLines(stderr) if _style.log_json and not isinstance(stderr, JsonLines) else None
    if lines is not None:
        sys.stderr = lines
    if _style.verbose:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        if lines is not None:
            lines.end()
            sys.stderr = stderr
        _style = before


def style() -> MessageStyle:
    """Return the style of the command that runs."""
    return _style


def answer(text: str) -> None:
    """Print one line on standard output that every amount of messages leaves in.

    That is what the command was asked to print; where its results are, or how a stopped one continues; and what of the
    results is missing, which no exit code says.
    """
    print(text, flush=True)


def say(text: str) -> None:
    """Print one line about the work on standard output; not with ``--quiet``."""
    if not _style.quiet:
        print(text, flush=True)


def tell(text: str, level: Level = "error") -> None:
    """Print one sentence on standard error; what is no error not with ``--quiet``."""
    if _style.quiet and level != "error":
        return
    with contextlib.suppress(OSError, ValueError):
        if isinstance(sys.stderr, JsonLines):
            sys.stderr.record(level, "message", message=text)
            return
        note = "note: " if level == "warning" else ""
        print(f"panohead: {note}{text}", file=sys.stderr, flush=True)


def record(event: str, **fields: Any) -> None:
    """Write a record of an event where standard error holds JSON."""
    if isinstance(sys.stderr, JsonLines):
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.record("info", event, **fields)


@contextlib.contextmanager
def command_records(words: list[str]) -> Iterator[dict[str, Any]]:
    """Record start and end of a command; yield a dictionary for its ``exit_code``."""
    from panohead import __version__

    began, ended = time.monotonic(), {"exit_code": 1}
    record("start", version=__version__, arguments=words)
    try:
        yield ended
    finally:
        record("end", seconds=round(time.monotonic() - began, 3), **ended)
