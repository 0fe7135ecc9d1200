"""Independent pieces of work on several threads, in order, with the same results whatever their number.

Every piece runs on one of torch's threads: sums are added in an order that depends on the number of threads, so a view
rendered by two would differ in its last bits from the same view rendered by one.
"""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Output = TypeVar("Output")

_AHEAD = 2  # results per worker that may wait to be taken: enough to keep workers busy, little memory


class _Place(threading.local):
    """The state of a worker's thread: the event that ends its work; None outside workers."""

    stop: threading.Event | None = None


_place = _Place()


class StoppedError(Exception):
    """Raised inside a worker whose result nobody waits for any more."""


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread inside this block: its results are those of a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def worker_count(device: torch.device) -> int:
    """Return the number of workers for a device: torch's threads (OMP_NUM_THREADS) on a CPU, 1 on a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def in_order(work: Callable[[Item], Output], items: Iterable[Item], workers: int) -> Iterator[Output]:
    """Yield ``work(item)`` for all items in their order, as many at a time as there are workers.

    Items are taken as workers become free. Inside a worker of another call the items follow each other in its thread.
    Where the caller stops early, work that has begun is finished up to its next item.

    Args:
        work: function without side effects on what other items use.
        items: what to work on; taken in the caller's thread.
        workers: threads; with 1 everything happens in the caller's thread. The results are the same.
    """
    if _place.stop is not None or workers <= 1:
        for item in items:
            if _place.stop is not None and _place.stop.is_set():
                raise StoppedError
            with single_thread():
                result = work(item)
            yield result
        return
    stop = threading.Event()

    def begin() -> None:
        _place.stop = stop
        torch.set_num_threads(1)

    waiting: deque[Future[Output]] = deque()
    with single_thread(), ThreadPoolExecutor(workers, initializer=begin) as pool:
        try:
            for item in items:
                # With the caller's context variables, such as the switch of the fast paths.
                waiting.append(pool.submit(contextvars.copy_context().run, work, item))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
