"""Log of a run while it trains: progress line, statistics, TensorBoard, notes.

In the run folder: ``stats.jsonl`` (a record per tick), ``notes.jsonl`` (warnings with their times),
``environment.json`` (software and hardware) and ``tensorboard/``. :mod:`panohead.training.run.report` makes a page of
them.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from panohead.files.image import decode_image
from panohead.system.atomic_write import atomic_path
from panohead.training.run.environment import ENVIRONMENT_NAME, environment
from panohead.training.run.records import NOTES_NAME, STATS_NAME, RecordWriter, nimg_of, number, plain, repair_records

TENSORBOARD_NAME = "tensorboard"
_SHORT_NAMES = {
    "loss_generator": "G",
    "loss_discriminator": "D",
    "loss_fake": "D fake",
    "loss_real": "D real",
    "r1_image": "R1",
    "augment_probability": "ADA p",
    "sliced_wasserstein": "SWD",
}
"""Statistics that the progress line shows first, in this order, and their short names."""
_MAX_LOSSES = 4
_BAR_WIDTH = 12
_REDRAW_SECONDS = 0.25
_RATE_MEMORY = 0.95
_AXES = ("nimg", "kimg")
_BOARD_IMAGE_SIZE = 2048

LogRecord = Mapping[str, float | int | str | None]
Losses = Mapping[str, float] | Callable[[], Mapping[str, float]]


class RunLog:
    """The log of a run, open as a context manager. One process of a run writes it.

    Args:
        run: the run folder; created if missing.
        total_kimg: thousands of images at the end of the run, for the remaining time.
        quiet: print nothing; the files are written all the same.
        tensorboard: write ``run/tensorboard`` as well, if the tensorboard package is installed.
        resume_nimg: number of images from which the run resumes: records of later images are removed, as they will be
            written again. None keeps all. A line that a killed run left incomplete is removed in any case.
        write: False for the other processes of a run, which write no file.
        console: console to print on; None for standard error. A terminal has one line that is updated, other outputs
            get a line per tick.

    Raises:
        PanoHeadError: on entering or on a tick, when the folder cannot be written.
    """

    def __init__(
        self,
        run: Path,
        *,
        total_kimg: float,
        quiet: bool = False,
        tensorboard: bool = True,
        resume_nimg: float | None = None,
        write: bool = True,
        console: Console | None = None,
    ) -> None:
        self.run, self.total_kimg, self.quiet = run, total_kimg, quiet
        self._wants_tensorboard, self._resume_nimg, self._writes = tensorboard, resume_nimg, write
        self._console = Console(stderr=True) if console is None else console
        self._kimg = 0.0 if resume_nimg is None else resume_nimg / 1000
        self._rate: float | None = None
        self._drawn = -math.inf
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._stats: RecordWriter | None = None
        self._notes: RecordWriter | None = None
        self._board: Any = None

    def __enter__(self) -> "RunLog":
        if self._writes:
            self._open_files()
        if not self.quiet and self._console.is_terminal and not self._console.is_dumb_terminal:
            self._bar = _bar(self._console)
            self._task = self._bar.add_task("", total=self.total_kimg, text=self._count())
            self._bar.update(self._task, completed=self._kimg)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        for file in (self._stats, self._notes, self._board):
            if file is not None:
                file.close()

    def progress(self, kimg: float, losses: Losses, images_per_second: float) -> None:
        """Update the progress line; cheap enough for every step, as it is drawn four times a second at most.

        Args:
            kimg: thousands of images shown.
            losses: losses by name, of which four are shown; or a function that returns them, called only when the line
                is drawn, so that not every step waits for values on a device.
            images_per_second: speed of this step or of several; it is smoothed here.
        """
        self._kimg = kimg
        if math.isfinite(images_per_second) and images_per_second > 0:
            before = images_per_second if self._rate is None else self._rate
            self._rate = _RATE_MEMORY * before + (1 - _RATE_MEMORY) * images_per_second
        now = time.monotonic()
        if self._bar is None or now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = now
        shown = _named(losses() if callable(losses) else losses)
        text = _fitted(self._console, f"{self._count()}  {self._speed(self._rate)}  {shown}")
        self._bar.update(self._task, completed=kimg, text=text, refresh=True)

    def tick(self, record: LogRecord) -> None:
        """Write one record: a line of ``stats.jsonl``, and TensorBoard's scalars.

        A number that is not finite is written as null. The record's ``nimg`` (or ``kimg``) is its position in the run.
        """
        line = {name: plain(value) for name, value in record.items()}
        if self._stats is not None:
            self._stats.write(line)
        nimg = nimg_of(line)
        if nimg is not None:
            self._kimg = nimg / 1000
        if self._board is not None:
            for name, value in line.items():
                if name not in _AXES and (scalar := number(value)) is not None:
                    self._board.add_scalar(name, scalar, round(self._kimg * 1000))
            self._board.flush()
        if self._bar is None:
            rate = number(line.get("images_per_second")) or self._rate
            known = {name: value for name in _SHORT_NAMES if (value := number(line.get(name))) is not None}
            self._print(f"{self._count()}  {self._speed(rate)}  {_named(known)}".rstrip())

    def image(self, name: str, file: Path, nimg: int) -> None:
        """Add an image file to TensorBoard (reduced to 2048 pixels); without TensorBoard do nothing."""
        if self._board is None:
            return
        small = decode_image(file, max_side_px=_BOARD_IMAGE_SIZE).image.convert("RGB")
        self._board.add_image(name, np.array(small), nimg, dataformats="HWC")

    def note(self, sentence: str) -> None:
        """Print a sentence above the progress line and append it to ``notes.jsonl``, which the report shows."""
        if self._notes is not None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._notes.write({"time": now, "kimg": self._kimg, "note": sentence})
        self._print(sentence)

    def _print(self, text: str) -> None:
        if not self.quiet:
            self._console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _open_files(self) -> None:
        stats = self.run / STATS_NAME
        removed = repair_records(stats, last_nimg=self._resume_nimg)
        if removed > 0:
            self._print(f"{stats}: {removed} line(s), damaged or past {self._kimg:g} kimg, dropped")
        repair_records(self.run / NOTES_NAME)
        self._stats, self._notes = RecordWriter(stats), RecordWriter(self.run / NOTES_NAME)
        with atomic_path(self.run / ENVIRONMENT_NAME) as temporary:
            described = {**environment(), "total_kimg": self.total_kimg}
            temporary.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        if self._wants_tensorboard:
            self._open_board()

    def _open_board(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._print("TensorBoard is not installed (pip install 'panohead[train]'); the run goes without it")
            return
        except (TypeError, AttributeError) as error:  # raised by mismatched versions of protobuf
            self._print(f"TensorBoard cannot be loaded ({str(error).splitlines()[0]}); the run goes without it")
            return
        purge = None if self._resume_nimg is None else round(self._resume_nimg) + 1
        self._board = SummaryWriter(self.run / TENSORBOARD_NAME, purge_step=purge)

    def _count(self) -> str:
        share = f" {100 * self._kimg / self.total_kimg:.1f}%" if self.total_kimg > 0 else ""
        return f"{self._kimg:.1f}/{self.total_kimg:g} kimg{share}"

    def _speed(self, rate: float | None) -> str:
        if rate is None or rate <= 0:
            return "-- img/s  left --"
        return f"{rate:.1f} img/s  left {duration(max(self.total_kimg - self._kimg, 0) * 1000 / rate)}"


def duration(seconds: float) -> str:
    """Format seconds for people: "0:05:30", "2 d 03:15"."""
    minutes = int(seconds) // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}:{minutes % 60:02}:{int(seconds) % 60:02}"
    return f"{minutes // (24 * 60)} d {minutes // 60 % 24:02}:{minutes % 60:02}"


@contextmanager
def showing(what: str, *, enabled: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error for a task before training; yield a function of (done, total).

    If standard error is no terminal, two lines are printed: at the start and at the end.

    Args:
        what: name of the task.
        enabled: False shows nothing.
    """
    if not enabled:
        yield lambda done, total: None
        return
    console = Console(stderr=True)
    began = time.monotonic()
    if not console.is_terminal or console.is_dumb_terminal:
        console.print(f"{what} ...", markup=False, highlight=False)
        yield lambda done, total: None
        took = duration(time.monotonic() - began)
        console.print(f"{what}: done in {took}", markup=False, highlight=False)
        return
    with _bar(console) as bar:
        task = bar.add_task("", total=None, text=what)
        drawn = -math.inf

        def on_progress(done: int, total: int) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn < _REDRAW_SECONDS and done < total:
                return
            drawn = now
            left = duration((now - began) / done * (total - done)) if done > 0 else "--"
            text = _fitted(console, f"{what}  {done}/{total}  left {left}")
            bar.update(task, completed=done, total=total, text=text, refresh=True)

        yield on_progress


def _named(losses: Mapping[str, float]) -> str:
    order = [*(name for name in _SHORT_NAMES if name in losses), *(name for name in losses if name not in _SHORT_NAMES)]
    return "  ".join(f"{_SHORT_NAMES.get(name, name)} {float(losses[name]):.3g}" for name in order[:_MAX_LOSSES])


def _bar(console: Console) -> Progress:
    # No refreshing thread: data loaders fork worker processes, and a fork must not find a lock taken.
    text = TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True))
    return Progress(BarColumn(bar_width=_BAR_WIDTH), text, console=console, auto_refresh=False)


def _fitted(console: Console, text: str) -> str:
    """Cut text at its end (the losses) to the terminal's width, or rich would shorten the bar and wrap."""
    room = max(console.width - _BAR_WIDTH - 2, 0)
    return text if len(text) <= room else text[: max(room - 1, 0)].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
