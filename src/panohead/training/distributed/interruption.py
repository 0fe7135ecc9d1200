"""Interruption of a run by a signal: it ends after the current step, with its state saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from panohead.training.distributed.ranks import Ranks, average

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A request to stop, made by a signal to this process or to any other of the run."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: note the first one; a second one interrupts at once (KeyboardInterrupt)."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    @property
    def asked(self) -> bool:
        """True when this process was asked to stop."""
        return self._asked

    def agreed(self, ranks: Ranks) -> bool:
        """Return True on all devices at the same step, as soon as one of them was asked to stop."""
        if ranks.world_size == 1:
            return self._asked
        return average({"asked": float(self._asked)}, ranks)["asked"] > 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request while the block runs; in other threads than the main one do nothing."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.ask) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
