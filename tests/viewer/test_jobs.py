"""Laws of long work: one at a time, in order, newest of a kind, cancelled with its tab, a clean end."""

import threading
from collections.abc import Callable, Iterator

import pytest

from panohead.viewer.jobs import Job, JobRunner


@pytest.fixture
def runner() -> Iterator[JobRunner]:
    made = JobRunner("test")
    made.start()
    yield made
    assert made.stop(5)


def _no_error(error: Exception) -> None:
    raise AssertionError(error)


def _endless(begun: threading.Event) -> Callable[[Job], None]:
    """Return work that says when it begins and ends only when it is cancelled."""

    def work(job: Job) -> None:
        begun.set()
        while True:
            threading.Event().wait(0.01)
            job.check()

    return work


def test_jobs_run_one_after_the_other(runner: JobRunner) -> None:
    order: list[str] = []
    running = threading.Lock()
    done = threading.Event()

    def work(name: str) -> None:
        assert running.acquire(blocking=False), "two at once"
        order.append(name)
        running.release()
        if name == "c":
            done.set()

    for name in "abc":
        runner.submit(name, Job("kind", lambda _job, n=name: work(n), _no_error))  # type: ignore[misc]
    assert done.wait(5)
    assert order == ["a", "b", "c"]


def test_a_newer_job_of_its_kind_takes_the_place(runner: JobRunner) -> None:
    begun, done = threading.Event(), threading.Event()
    results: list[str] = []
    runner.submit("a", Job("mesh", _endless(begun), _no_error))
    assert begun.wait(5)
    runner.submit("a", Job("mesh", lambda _: results.append("second"), _no_error))
    runner.submit("a", Job("mesh", lambda _: (results.append("third"), done.set())[0], _no_error))
    assert done.wait(5)
    assert results in (["third"], ["second", "third"])


def test_who_leaves_cancels_what_runs_and_what_waits(runner: JobRunner) -> None:
    begun, other = threading.Event(), threading.Event()
    made: list[str] = []

    def long(job: Job) -> None:
        begun.set()
        while not job.is_cancelled():
            threading.Event().wait(0.01)
        job.check()
        made.append("long")

    runner.submit("a", Job("reconstruction", long, _no_error))
    assert begun.wait(5)
    runner.submit("a", Job("mesh", lambda _: made.append("mesh"), _no_error))
    runner.submit("b", Job("mesh", lambda _: other.set(), _no_error))
    assert runner.has("a", "reconstruction")
    assert runner.has("a", "mesh")
    runner.leave("a")
    assert other.wait(5), "the other tab's job still runs"
    assert made == []
    assert not runner.has("a", "reconstruction")


def test_errors_are_told_unless_nobody_waits(runner: JobRunner) -> None:
    told = threading.Event()
    errors: list[str] = []

    def tell(error: Exception) -> None:
        errors.append(str(error))
        told.set()

    def fail(_job: Job) -> None:
        raise ValueError("no head in the photo")

    def fail_when_cancelled(job: Job) -> None:
        job.cancel()
        raise ValueError("of no interest")

    runner.submit("a", Job("x", fail_when_cancelled, tell))
    runner.submit("b", Job("x", fail, tell))
    assert told.wait(5)
    assert errors == ["no head in the photo"]


def test_stopping_cancels_what_runs() -> None:
    runner = JobRunner("test")
    runner.start()
    begun = threading.Event()
    work = _endless(begun)
    runner.submit("a", Job("x", work, _no_error))
    assert begun.wait(5)
    assert runner.stop(5)
    runner.submit("a", Job("x", work, _no_error))
    assert not runner.has("a", "x")
