"""Detection of a rank that died or hangs, for which the others would wait for ever.

Every rank increments a number (its heartbeat) in the store through which the ranks met, from a thread of its own: long
work of rank 0 alone does not count as silence. A rank that finds another one silent prints a sentence and exits.
"""

import contextlib
import itertools
import math
import os
import threading
import time
from datetime import timedelta

import torch.distributed as dist

from panohead.errors import PanoHeadError

SILENCE_S = 40.0
"""Seconds without a heartbeat after which a rank is lost."""

_BEATS = 16  # heartbeats in SILENCE_S
_SHORT_SILENCE_BEATS = 2.5  # silence, in heartbeats, that means a lost rank once a collective has failed
_LEFT = "left"
_ENDED = "ended: "


class Heartbeat:
    """Sender and watcher of heartbeats: tells the other ranks that this one is alive, exits when another one is not.

    Two threads: one talks with the store and hangs when the machine that holds the store does; the other only checks
    the last answer, on a clock that stops while this process is itself suspended.
    """

    def __init__(self, store: "dist.Store", prefix: str, rank: int, world_size: int, silence_s: float) -> None:
        self.lost: str | None = None
        self._store = store
        self._rank = rank
        self._keys = [f"{prefix}/beat/{other}" for other in range(world_size)]
        self._silence_s = silence_s
        self._beat_s = silence_s / _BEATS
        self._clock = self._answered = self._patient_until = 0.0
        self._heard = ["" for _ in self._keys]
        self._changed = [0.0 for _ in self._keys]
        self._mark = ""
        self._hurry, self._marked, self._store_is_gone, self._closed = (threading.Event() for _ in range(4))
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._beat, self._watch)]

    def start(self, join_s: float) -> None:
        """Wait until all ranks have joined.

        Raises:
            PanoHeadError: naming the ranks that did not join within ``join_s`` seconds.
        """
        self._store.set(self._keys[self._rank], "here")
        try:
            self._store.wait(self._keys, timedelta(seconds=join_s))
        except RuntimeError as error:
            raise PanoHeadError(
                f"{self._absent()} of {len(self._keys)} did not join within {join_s:.0f} s or ended; read its output "
                "and start all of them again"
            ) from error
        self._store.set_timeout(timedelta(seconds=2 * self._silence_s))  # the watcher notices earlier
        for thread in self._threads:
            thread.start()

    def _absent(self) -> str:
        try:
            missing = [str(rank) for rank, key in enumerate(self._keys) if not self._store.check([key])]
        except RuntimeError:
            missing = ["0"]  # the store ended with it
        return f"rank {', '.join(missing)}"

    def explain(self) -> str | None:
        """Return a sentence about the lost rank, for the main thread after a collective has failed; None if none is."""
        patience_s = _SHORT_SILENCE_BEATS * self._beat_s
        self._patient_until = until = self._clock + 2 * patience_s
        while self.lost is None and self._clock < until:
            self.lost = self._verdict(patience_s)
            time.sleep(self._beat_s / 8)
        # The watcher leaves the main thread time to end the process in an orderly way.
        self._patient_until = self._clock + 2 * patience_s
        return self.lost

    def leave(self, error: BaseException | None) -> None:
        """Tell the other ranks that this one ends, with or without an error."""
        own_failure = _sentence(f"rank {self._rank} of {len(self._keys)}", "failed")
        self._tell(_LEFT if error is None else _ENDED + (self.lost or own_failure))
        self._closed.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _tell(self, mark: str) -> None:
        """Write the final mark of this rank; rank 0, with which the store may end, waits for those of the others.

        Without an error it waits without limit, after an error at most two heartbeats.
        """
        self._mark = mark
        self._hurry.set()
        until = math.inf if mark == _LEFT else time.monotonic() + 2 * self._beat_s
        tolerated_s = math.inf if mark == _LEFT else _SHORT_SILENCE_BEATS * self._beat_s
        while time.monotonic() < until and not self._store_is_gone.is_set():
            awaited = self._rank == 0 and any(silence_s <= tolerated_s for silence_s in self._silences().values())
            if self._marked.is_set() and not awaited:
                return
            time.sleep(0.02)

    def _silences(self) -> dict[int, float]:
        """Return seconds since the last heartbeat of every other rank still running, as of the store's last answer."""
        return {
            rank: self._answered - self._changed[rank]
            for rank, heard in enumerate(self._heard)
            if rank != self._rank and not heard.startswith((_LEFT, _ENDED))
        }

    def _beat(self) -> None:
        for count in itertools.count():
            mark = self._mark
            try:
                self._store.set(self._keys[self._rank], mark or str(count))
                heard = [value.decode() for value in self._store.multi_get(self._keys)]
            except dist.DistStoreError:
                pass  # a timeout: try again at the next heartbeat
            except RuntimeError:
                self._store_is_gone.set()
                return
            else:
                self._hear(heard)
                if mark:
                    self._marked.set()
            if self._closed.is_set():
                return
            self._hurry.wait(self._beat_s)
            if self._hurry.is_set():
                self._closed.wait(0.05)

    def _hear(self, heard: list[str]) -> None:
        now = self._clock
        for rank, (old, new) in enumerate(zip(self._heard, heard, strict=True)):
            if old != new:
                self._changed[rank] = now
        self._heard, self._answered = heard, now

    def _watch(self) -> None:
        tick_s = self._beat_s / 4
        while not self._closed.wait(tick_s):
            if self._mark.startswith(_ENDED):
                return
            self._clock += tick_s
            if self._clock >= self._patient_until and (sentence := self._verdict(self._silence_s)):
                self._end(sentence)

    def _verdict(self, patience_s: float) -> str | None:
        """Return a sentence about the lost rank, of several the one silent for longest; None if none is lost."""
        world_size = len(self._keys)
        for heard in self._heard:
            if heard.startswith(_ENDED):
                return heard.removeprefix(_ENDED)
        if self._store_is_gone.is_set() or self._clock - self._answered > patience_s:
            host = "the launcher of the ranks" if launcher_holds_store() else f"rank 0 of {world_size}"
            return _sentence(host, "stopped answering")
        rank, silence_s = max(self._silences().items(), key=lambda item: item[1], default=(0, 0.0))
        return _sentence(f"rank {rank} of {world_size}", "stopped answering") if silence_s > patience_s else None

    def _end(self, sentence: str) -> None:
        """End the process from the watching thread: the main one may be stuck in a collective for ever."""
        with contextlib.suppress(OSError):
            os.write(2, f"{sentence}\n".encode())
        self._tell(_ENDED + sentence)
        os._exit(1)


def _sentence(who: str, what: str) -> str:
    return f"{who} {what}; the run stops; resume it from its last state with --resume RUN"


def launcher_holds_store() -> bool:
    """Return True when torchrun itself holds the store; otherwise rank 0 does."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
