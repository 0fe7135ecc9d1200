"""Noticing a rank that died or hangs, which would leave the others waiting for ever.

Every rank counts up a number in the store that brought the ranks together, from a thread of its own: long work of
rank 0 alone is no silence. A rank that finds another one silent says so and ends its process.
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
"""A rank that was not heard of for so long is lost."""

_BEATS = 16  # in SILENCE_S
_SHORT_SILENCE_BEATS = 2.5  # suspicious, once a collective has failed
_LEFT = "left"
_ENDED = "ended: "


class Heartbeat:
    """Tells the other ranks that this one lives, and ends this process when another one does not.

    Two threads: one talks with the store and hangs when the machine that holds the store does; the other only looks at
    what was heard last, on a clock that stands still while this process is itself suspended.
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
        """Wait until all ranks are there. Raises PanoHeadError naming those that did not come in ``join_s``."""
        self._store.set(self._keys[self._rank], "here")
        try:
            self._store.wait(self._keys, timedelta(seconds=join_s))
        except RuntimeError as error:
            raise PanoHeadError(
                f"{self._absent()} of {len(self._keys)} did not come within {join_s:.0f} s or ended; look at what it "
                "printed and start all of them again"
            ) from error
        self._store.set_timeout(timedelta(seconds=2 * self._silence_s))  # the watcher sees it earlier
        for thread in self._threads:
            thread.start()

    def _absent(self) -> str:
        try:
            missing = [str(rank) for rank, key in enumerate(self._keys) if not self._store.check([key])]
        except RuntimeError:
            missing = ["0"]  # the store went with it
        return f"rank {', '.join(missing)}"

    def explain(self) -> str | None:
        """Which rank is lost, asked by the main thread when a collective has failed; None when all are well."""
        patience_s = _SHORT_SILENCE_BEATS * self._beat_s
        self._patient_until = until = self._clock + 2 * patience_s
        while self.lost is None and self._clock < until:
            self.lost = self._verdict(patience_s)
            time.sleep(self._beat_s / 8)
        # The watcher leaves the main thread time to end the process in good order.
        self._patient_until = self._clock + 2 * patience_s
        return self.lost

    def leave(self, error: BaseException | None) -> None:
        """Tell the others that this rank ends, well or with an error."""
        own_failure = _sentence(f"rank {self._rank} of {len(self._keys)}", "failed")
        self._tell(_LEFT if error is None else _ENDED + (self.lost or own_failure))
        self._closed.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _tell(self, mark: str) -> None:
        """Write the last word of this rank; rank 0, with which the store may go, waits until the others had theirs.

        After a good end that takes as long as it takes, after a bad one at most two beats.
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
        """Seconds since the last beat of every other rank that has not ended, as of the last answer of the store."""
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
                pass  # it took too long: the next time, perhaps
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
        """The sentence about the rank that is lost; the one silent for longest where there are several."""
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
        """From the watching thread: the main one may be stuck in a collective for ever."""
        with contextlib.suppress(OSError):
            os.write(2, f"{sentence}\n".encode())
        self._tell(_ENDED + sentence)
        os._exit(1)


def _sentence(who: str, what: str) -> str:
    return f"{who} {what}; the run stops; start it again with --resume RUN to go on from its last state"


def launcher_holds_store() -> bool:
    """Whether torchrun itself keeps the store; without it, that of rank 0 is used."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
