"""One queue for the images of all tabs: the newest request of a tab wins, tabs take turns, nothing is left over."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

Request = TypeVar("Request", contravariant=True)
Quality = Literal["preview", "full"]


@runtime_checkable
class RenderWork(Protocol[Request]):
    """Work of the queue's thread; the three are called in that thread only."""

    def produce(self, tab: Hashable, request: Request, quality: Quality) -> Any:
        """Make an image."""

    def deliver(self, tab: Hashable, request: Request, quality: Quality, image: Any) -> None:
        """Send an image to its tab."""

    def fail(self, tab: Hashable, request: Request, error: Exception) -> None:
        """Tell a tab why there is no image."""


@dataclass
class _Waiting(Generic[Request]):
    """Request of a tab. Attributes: preview: still to be made. due: time from which the full image may be made."""

    request: Any
    preview: bool
    due: float


class RenderQueue(Generic[Request]):
    """Thread that renders for all tabs.

    A tab has one request at most: a newer one takes its place. Each is answered by a preview at once and by the full
    image when the tab has rested. Tabs take turns, and full images wait for previews, but not for longer than
    ``patience_s``. A full image that is no longer wanted when it is ready is dropped; a preview is shown, as the next
    one comes soon. Nothing is made for tabs that have left, and what is being made for them is dropped.

    Args:
        work: makes and sends images.
        rest_s: time after a movement before the full image is made.
        patience_s: time that a full image waits for previews of other tabs.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        work: RenderWork[Request],
        *,
        rest_s: float = 0.12,
        patience_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._rest_s, self._patience_s, self._clock = work, rest_s, patience_s, clock
        self._changed = threading.Condition()
        self._tabs: set[Hashable] = set()
        self._waiting: dict[Hashable, _Waiting[Request]] = {}
        self._is_working = self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="panohead render queue", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, tab: Hashable) -> None:
        """Accept requests of a tab from now on."""
        with self._changed:
            self._tabs.add(tab)

    def leave(self, tab: Hashable) -> None:
        """Drop a tab with all that it waits for."""
        with self._changed:
            self._tabs.discard(tab)
            self._waiting.pop(tab, None)
            self._changed.notify_all()

    def submit(self, tab: Hashable, request: Request, *, moving: bool = False) -> None:
        """Ask for an image; does nothing for a tab that has not joined or has left.

        Args:
            tab: key of the tab.
            request: what is wanted, instead of whatever the tab still waits for.
            moving: more requests are expected soon, so that the full image may wait.
        """
        with self._changed:
            if tab not in self._tabs or self._is_stopped:
                return
            due = self._clock() + (self._rest_s if moving else 0.0)
            # An existing key keeps its place in the order: whoever asks often does not wait longer for it.
            self._waiting[tab] = _Waiting(request, preview=True, due=due)
            self._changed.notify_all()

    def is_busy(self) -> bool:
        """Return True while a preview is wanted or an image is being made."""
        with self._changed:
            return self._is_working or any(entry.preview for entry in self._waiting.values())

    def wait_until_calm(self, timeout_s: float) -> None:
        """Wait until nothing is urgent, at most for some seconds: long work gives way to images by calling this."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_stopped or not (self._is_working or any(w.preview for w in self._waiting.values())),
                timeout_s,
            )

    def stop(self, timeout_s: float = 1.5) -> bool:
        """End the thread after the image that is being made, which nobody gets; return True once it has ended."""
        with self._changed:
            self._is_stopped = True
            self._tabs.clear()
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._next()) is not None:
            tab, entry, quality = task
            try:
                image = self._work.produce(tab, entry.request, quality)
                if self._is_wanted(tab, entry, quality):
                    self._work.deliver(tab, entry.request, quality, image)
            except Exception as error:
                # Any error concerns one request; the thread serves the other tabs too.
                if self._is_wanted(tab, entry, quality):
                    self._work.fail(tab, entry.request, error)
            finally:
                with self._changed:
                    self._is_working = False
                    self._changed.notify_all()

    def _is_wanted(self, tab: Hashable, entry: _Waiting[Request], quality: Quality) -> bool:
        with self._changed:
            return tab in self._tabs and (quality == "preview" or tab not in self._waiting)

    def _next(self) -> tuple[Hashable, _Waiting[Request], Quality] | None:
        """Wait for the next piece of work; None when the queue is stopped."""
        with self._changed:
            while not self._is_stopped:
                now = self._clock()
                tab = self._choice(now)
                if tab is not None:
                    entry = self._waiting.pop(tab)
                    quality: Quality = "preview" if entry.preview else "full"
                    if entry.preview:  # the full image is still to come, in the last place of the order
                        self._waiting[tab] = _Waiting(entry.request, preview=False, due=entry.due)
                    self._is_working = True
                    return tab, entry, quality
                dues = [entry.due for entry in self._waiting.values()]
                self._changed.wait(max(0.0, min(dues) - now) if dues else None)
            return None

    def _choice(self, now: float) -> Hashable | None:
        """Return the tab whose turn it is: the first with a late full image, else a preview, else a due full image."""
        entries = self._waiting.items()
        late = (tab for tab, e in entries if not e.preview and now - e.due > self._patience_s)
        previews = (tab for tab, e in entries if e.preview)
        due = (tab for tab, e in entries if not e.preview and e.due <= now)
        return next((tab for tabs in (late, previews, due) for tab in tabs), None)
