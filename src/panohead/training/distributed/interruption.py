"""Stopping a run when asked to: at the end of the step, with its state saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from panohead.training.distributed.ranks import Ranks, average

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked this process, or any other of the run, to stop."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler: the first one is remembered, a second one interrupts at once."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    @property
    def asked(self) -> bool:
        """Whether this process was asked."""
        return self._asked

    def agreed(self, ranks: Ranks) -> bool:
        """True on all devices at the same step, as soon as one of them was asked."""
        if ranks.world_size == 1:
            return self._asked
        return average({"asked": float(self._asked)}, ranks)["asked"] > 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Collect SIGINT and SIGTERM while the block runs (in the main thread; elsewhere nothing is collected)."""
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
