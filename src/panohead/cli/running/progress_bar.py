"""Progress of work on standard error: a bar on a terminal, plain lines elsewhere, records with ``--log-json``."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from panohead.cli.running.messages import JsonLines, record, style

_PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""
_RECORD_SECONDS = 1.0
"""Seconds between two records."""


class ProgressBar(Protocol):
    """Progress of one task; all methods are cheap and may be called from several threads."""

    def update(self, done: float, *, what: str | None = None, detail: str | None = None) -> None:
        """Set how much is done.

        Args:
            done: in the unit of the total.
            what: new name of the task.
            detail: new text behind the figures.
        """

    def advance(self, by: float = 1) -> None:
        """Add to what is done."""

    def note(self, text: str) -> None:
        """Print a line above the bar."""


class _NoBar:
    """Progress that is not shown (``--quiet``)."""

    def update(self, done: float, *, what: str | None = None, detail: str | None = None) -> None:
        pass

    def advance(self, by: float = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class _PlainBar:
    """Lines or records: at most one in ten seconds, or one in a second."""

    def __init__(self, what: str, total: float, done: float, counted: bool) -> None:
        self.what, self.total, self.done, self.detail = what, total, done, ""
        self._counted, self._first = counted, done
        self._began = self._shown = time.monotonic()
        self._lock = threading.Lock()
        self._as_records = isinstance(sys.stderr, JsonLines)

    def update(self, done: float, *, what: str | None = None, detail: str | None = None) -> None:
        with self._lock:
            self._update(done, what, detail)

    def _update(self, done: float, what: str | None, detail: str | None) -> None:
        self.done = done
        self.what = self.what if what is None else what
        self.detail = self.detail if detail is None else detail
        now = time.monotonic()
        if now - self._shown >= (_RECORD_SECONDS if self._as_records else _PLAIN_SECONDS):
            self._shown = now
            self.show()

    def advance(self, by: float = 1) -> None:
        with self._lock:
            self._update(self.done + by, None, None)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def show(self, *, ended: bool = False) -> None:
        """Print where the work is."""
        spent = time.monotonic() - self._began
        new = self.done - self._first
        left = None if ended or new <= 0 else spent / new * (self.total - self.done)
        if self._as_records:
            known = {} if left is None else {"seconds_left": round(left, 1)}
            also = {"detail": self.detail} if self.detail else {}
            record(
                "progress", what=self.what, done=self.done, total=self.total, seconds=round(spent, 1), **known, **also
            )
            return
        count = f"{self.done:g} of {self.total:g}" if self._counted else f"{self.done / max(self.total, 1e-9):.0%}"
        parts = [count, f"{_clock(spent)} spent"]
        parts += [] if left is None else [f"{_clock(left)} left"]
        parts += [self.detail] if self.detail else []
        print(f"{self.what}: {', '.join(parts)}", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@contextmanager
def progress_bar(
    what: str, total: float, *, done: float = 0, counted: bool = True, completes: bool = True
) -> Iterator[ProgressBar]:
    """Show the progress of a task while it lasts.

    Args:
        what: name of the task.
        total: all of it.
        done: what an earlier run has done, which does not count for the time left.
        counted: total and done are numbers of something, to be shown; False for shares of time.
        completes: what was left out when it ends without an error counts as done.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if style().quiet:
        yield _NoBar()
    elif not console.is_terminal or console.is_dumb_terminal:
        plain = _PlainBar(what, total, done, counted)
        yield plain
        plain.done = total if completes else plain.done
        plain.show(ended=True)
    else:
        with _animated(what, total, done, counted) as bar:
            yield bar
            if completes:
                bar.update(total)


@contextmanager
def _animated(what: str, total: float, done: float, counted: bool) -> Iterator[ProgressBar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *([MofNCompleteColumn()] if counted else []),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("spent"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    ]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, completed=int(done), detail="")

        class Animated:
            """The bar of a terminal."""

            def update(self, done: float, *, what: str | None = None, detail: str | None = None) -> None:
                shown = progress.tasks[0].fields["detail"] if detail is None else detail
                progress.update(task, completed=done, description=what, detail=shown)

            def advance(self, by: float = 1) -> None:
                progress.advance(task, by)

            def note(self, text: str) -> None:
                progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

        yield Animated()
