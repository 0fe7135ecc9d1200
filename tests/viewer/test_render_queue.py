"""Laws of the render queue: newest wins, tabs take turns, nothing for those who left, a clean end."""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panohead.viewer.render_queue import Quality, RenderQueue


class Recorder:
    """Work that records what happens and can be held up: each image waits for a permit."""

    def __init__(self, *, free: bool) -> None:
        self.free = free
        self.permits = threading.Semaphore(0)
        self.begun: list[tuple[Hashable, int, Quality]] = []
        self.delivered: list[tuple[Hashable, int, Quality]] = []
        self.errors: list[tuple[Hashable, int, str]] = []
        self.fails_on = -1
        self.changed = threading.Condition()

    def produce(self, tab: Hashable, request: int, quality: Quality) -> int:
        with self.changed:
            self.begun.append((tab, request, quality))
            self.changed.notify_all()
        if not self.free:
            assert self.permits.acquire(timeout=10)
        if request == self.fails_on:
            raise ValueError("no such head")
        return request * 10

    def deliver(self, tab: Hashable, request: int, quality: Quality, image: Any) -> None:
        assert image == request * 10
        with self.changed:
            self.delivered.append((tab, request, quality))
            self.changed.notify_all()

    def fail(self, tab: Hashable, request: int, error: Exception) -> None:
        with self.changed:
            self.errors.append((tab, request, str(error)))
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=10), (self.begun, self.delivered)


Started = tuple[RenderQueue[int], Recorder]


@pytest.fixture
def held() -> Iterator[Started]:
    """A queue whose thread waits for a permit in every image."""
    yield from _running(Recorder(free=False))


@pytest.fixture
def free() -> Iterator[Started]:
    yield from _running(Recorder(free=True))


def _running(recorder: Recorder) -> Iterator[Started]:
    queue = RenderQueue[int](recorder, rest_s=0.0)
    queue.start()
    yield queue, recorder
    recorder.free = True
    recorder.permits.release(1000)
    assert queue.stop(5)


def test_a_preview_comes_first_and_the_full_image_follows(free: Started) -> None:
    queue, recorder = free
    queue.join("a")
    queue.submit("a", 1)
    recorder.wait_for(lambda: len(recorder.delivered) == 2)
    assert recorder.delivered == [("a", 1, "preview"), ("a", 1, "full")]


def test_newest_wins(held: Started) -> None:
    """Of a hundred requests during one image only the last is made; the full image of the old one never is."""
    queue, recorder = held
    queue.join("a")
    queue.submit("a", 0)
    recorder.wait_for(lambda: len(recorder.begun) == 1)
    for request in range(1, 101):
        queue.submit("a", request)
    recorder.permits.release(10)
    recorder.wait_for(lambda: ("a", 100, "full") in recorder.delivered)
    assert [request for _, request, _ in recorder.begun] == [0, 100, 100]
    assert recorder.delivered == [("a", 0, "preview"), ("a", 100, "preview"), ("a", 100, "full")]


def test_a_full_image_that_is_out_of_date_is_dropped(held: Started) -> None:
    queue, recorder = held
    queue.join("a")
    queue.submit("a", 1)
    recorder.permits.release(1)
    recorder.wait_for(lambda: ("a", 1, "full") in recorder.begun)
    queue.submit("a", 2)
    recorder.permits.release(10)
    recorder.wait_for(lambda: ("a", 2, "full") in recorder.delivered)
    assert ("a", 1, "full") not in recorder.delivered


def test_the_full_image_waits_until_the_tab_rests() -> None:
    recorder = Recorder(free=True)
    queue = RenderQueue[int](recorder, rest_s=0.3)
    queue.start()
    queue.join("a")
    begin = time.monotonic()
    queue.submit("a", 1, moving=True)
    recorder.wait_for(lambda: len(recorder.delivered) == 2)
    assert time.monotonic() - begin >= 0.3
    assert queue.stop(5)


def test_tabs_take_turns(held: Started) -> None:
    """A tab that asks all the time gets no more images than one that asks as its image arrives."""
    queue, recorder = held
    for tab in "abc":
        queue.join(tab)
        queue.submit(tab, 0)
    for request in range(1, 30):
        recorder.wait_for(lambda n=request: len(recorder.begun) >= n)  # type: ignore[misc]
        for _ in range(5):
            queue.submit("a", request)
        queue.submit("b", request)
        queue.submit("c", request)
        recorder.permits.release(1)
    counts = {tab: sum(1 for begun in recorder.begun if begun[0] == tab) for tab in "abc"}
    assert max(counts.values()) - min(counts.values()) <= 1, counts


def test_a_moving_tab_does_not_starve_the_full_image_of_another() -> None:
    now = [0.0]
    recorder = Recorder(free=False)
    queue = RenderQueue[int](recorder, rest_s=0.1, patience_s=0.5, clock=lambda: now[0])
    queue.start()
    queue.join("moves")
    queue.join("rests")
    queue.submit("rests", 1)
    for request in range(100):
        queue.submit("moves", request, moving=True)
        recorder.permits.release(1)
        recorder.wait_for(lambda n=request: len(recorder.begun) > n)  # type: ignore[misc]
        now[0] += 0.04
        if ("rests", 1, "full") in recorder.begun:
            break
    assert ("rests", 1, "full") in recorder.begun
    assert now[0] <= 1.0
    recorder.permits.release(100)
    assert queue.stop(5)


def test_nothing_is_made_or_sent_for_who_left(held: Started) -> None:
    queue, recorder = held
    for tab in "ab":
        queue.join(tab)
    queue.submit("a", 1)
    recorder.wait_for(lambda: len(recorder.begun) == 1)
    queue.submit("b", 2)
    queue.leave("a")
    queue.leave("b")
    queue.submit("a", 3)  # a late call of the tab's own thread
    queue.join("c")
    queue.submit("c", 4)
    recorder.permits.release(10)
    recorder.wait_for(lambda: ("c", 4, "full") in recorder.delivered)
    assert {tab for tab, _, _ in recorder.delivered} == {"c"}
    assert [begun[:2] for begun in recorder.begun] == [("a", 1), ("c", 4), ("c", 4)]


def test_an_error_concerns_one_request_only(free: Started) -> None:
    queue, recorder = free
    recorder.fails_on = 7
    queue.join("a")
    queue.submit("a", 7)
    recorder.wait_for(lambda: len(recorder.errors) == 2)
    queue.submit("a", 8)
    recorder.wait_for(lambda: ("a", 8, "full") in recorder.delivered)
    assert recorder.errors[0] == ("a", 7, "no such head")


def test_stopping_ends_the_thread_and_delivers_nothing_more(held: Started) -> None:
    queue, recorder = held
    queue.join("a")
    queue.submit("a", 1)
    recorder.wait_for(lambda: len(recorder.begun) == 1)
    threading.Timer(0.1, recorder.permits.release).start()
    assert queue.stop(5)
    assert recorder.delivered == []
    queue.submit("a", 2)
    assert len(recorder.begun) == 1
    assert queue.stop(1), "a second stop does nothing"


def test_calm_is_waited_for(held: Started) -> None:
    queue, recorder = held
    queue.join("a")
    queue.submit("a", 1)
    recorder.wait_for(lambda: len(recorder.begun) == 1)
    begin = time.monotonic()
    queue.wait_until_calm(0.2)
    assert time.monotonic() - begin >= 0.19
    assert queue.is_busy()
    recorder.permits.release(10)
    recorder.wait_for(lambda: len(recorder.delivered) == 2)
    queue.wait_until_calm(10)
    assert not queue.is_busy()


_Step = st.tuples(st.sampled_from(["join", "leave", "submit"]), st.sampled_from("abc"), st.integers(0, 99))


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(_Step, max_size=30))
def test_whatever_happens_the_last_request_of_every_tab_is_shown_last(steps: list[tuple[str, str, int]]) -> None:
    recorder = Recorder(free=True)
    queue = RenderQueue[int](recorder, rest_s=0.0)
    queue.start()
    wanted: dict[str, int | None] = {}
    for action, tab, request in steps:
        if action == "join":
            queue.join(tab)
            wanted.setdefault(tab, None)
        elif action == "leave":
            queue.leave(tab)
            wanted.pop(tab, None)
        else:
            queue.submit(tab, request)
            if tab in wanted:
                wanted[tab] = request
    last = {tab: request for tab, request in wanted.items() if request is not None}

    def shown() -> bool:
        full = {tab: request for tab, request, quality in recorder.delivered if quality == "full"}
        return all(full.get(tab) == request for tab, request in last.items())

    recorder.wait_for(shown)
    assert queue.stop(5)
