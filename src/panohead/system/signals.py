"""Signals of the terminal in processes that this one starts."""

import contextlib
import signal
import threading
from collections.abc import Iterator

_TERMINAL = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Make processes that are started in this block ignore Ctrl-C and the closing of the terminal.

    The terminal sends both to every process of a command; workers would answer with tracebacks. Their parent ends them.
    Other threads than the main one change nothing.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, signal.SIG_IGN) for number in _TERMINAL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
