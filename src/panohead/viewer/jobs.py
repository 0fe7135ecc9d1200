"""Long work for tabs (meshes, videos, reconstructions): one after the other, with progress, cancelled with its tab."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


class JobCancelled(Exception):
    """Raised inside a job that nobody waits for any more."""


@dataclass(eq=False)
class Job:
    """One piece of long work.

    Attributes:
        kind: a tab has one job of a kind; a newer one takes its place.
        work: called with the job in the runner's thread.
        on_error: called there with an error of the work.
    """

    kind: str
    work: Callable[["Job"], None]
    on_error: Callable[[Exception], None]
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Ask the work to end."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Return True once the work is to end."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise :class:`JobCancelled` once the work is to end; the work calls this between its steps."""
        if self._cancelled.is_set():
            raise JobCancelled


class JobRunner:
    """Thread that does long work for all tabs, one piece at a time, in the order of asking."""

    def __init__(self, name: str) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[tuple[Hashable, str], Job] = OrderedDict()
        self._running: tuple[tuple[Hashable, str], Job] | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=f"panohead {name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, tab: Hashable, job: Job) -> None:
        """Do a job of a tab; an earlier one of its kind is cancelled."""
        key = (tab, job.kind)
        with self._changed:
            self._cancel(key)
            if not self._is_stopped:
                self._waiting[key] = job
            self._changed.notify_all()

    def cancel(self, tab: Hashable, kind: str) -> None:
        """Cancel a tab's job of a kind, if there is one."""
        with self._changed:
            self._cancel((tab, kind))

    def leave(self, tab: Hashable) -> None:
        """Cancel all jobs of a tab."""
        with self._changed:
            keys = {key for key in self._waiting if key[0] == tab}
            if self._running is not None and self._running[0][0] == tab:
                keys.add(self._running[0])
            for key in keys:
                self._cancel(key)

    def has(self, tab: Hashable, kind: str) -> bool:
        """Return True while a tab's job of a kind waits or runs and is not cancelled."""
        with self._changed:
            key = (tab, kind)
            running = self._running is not None and self._running[0] == key and not self._running[1].is_cancelled()
            return running or key in self._waiting

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Cancel everything and end the thread; return True once it has ended."""
        with self._changed:
            self._is_stopped = True
            self._waiting.clear()
            if self._running is not None:
                self._running[1].cancel()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _cancel(self, key: tuple[Hashable, str]) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.cancel()
        if self._running is not None and self._running[0] == key:
            self._running[1].cancel()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._is_stopped or bool(self._waiting))
                if self._is_stopped:
                    return
                self._running = self._waiting.popitem(last=False)
                job = self._running[1]
            try:
                job.work(job)
            except JobCancelled:
                pass
            except Exception as error:
                if not job.is_cancelled():
                    job.on_error(error)
