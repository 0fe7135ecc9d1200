"""Standard streams and signals of the command: closed or full streams, and requests to end, without a traceback."""

import contextlib
import io
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

MIN_COLUMNS = 20
"""Characters of a line below which tyro's help never ends (at one column) or says nothing."""


class Ended(BaseException):
    """A request to end, by the signal with this number; nothing catches it but the command itself."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def code(self) -> int:
        """Exit code, as a shell reports a process that the signal has ended."""
        return 128 + self.number


class _ForgivingText(io.TextIOWrapper):
    """Text stream for messages that drops what cannot be written: a full device must not end the work."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


def repair_streams() -> None:
    """Make the standard streams usable: closed ones lead nowhere, and every text can be written to them.

    A closed descriptor would be taken by the next file that is opened, and messages would go into it.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, mode)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            # Names of files may hold bytes that are no text.
            stream.reconfigure(errors="backslashreplace")
            if name == "stderr":
                sys.stderr = _ForgivingText(stream.detach(), stream.encoding, "backslashreplace", line_buffering=True)


def require_width() -> None:
    """Let help and progress be written as for MIN_COLUMNS where the terminal, or COLUMNS, says fewer."""
    if shutil.get_terminal_size().columns < MIN_COLUMNS:
        os.environ["COLUMNS"] = str(MIN_COLUMNS)


def discard_output() -> None:
    """Lead standard output nowhere: what is still in its buffer is written when Python ends and must not complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def ending_signals() -> Iterator[None]:
    """Raise :class:`Ended` at SIGTERM and SIGHUP, so that workers and temporary files are cleared away.

    Signals that are ignored (nohup) or handled otherwise stay so, and other threads than the main one set nothing.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        # A second signal, while the first is being answered, ends the process at once.
        signal.signal(number, signal.SIG_DFL)
        raise Ended(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, end) for n in _ENDING if signal.getsignal(n) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
