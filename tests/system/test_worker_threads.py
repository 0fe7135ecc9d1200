"""Work on several threads: order, results, errors and an early end are those of a loop."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from panohead.ops import fast_paths
from panohead.system.worker_threads import StoppedError, in_order, single_thread, worker_count


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order_whatever_takes_longer(workers: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.01 if item % 3 == 0 else 0)
        return item * item

    assert list(in_order(work, range(20), workers)) == [item * item for item in range(20)]
    assert list(in_order(work, [], workers)) == []


def test_workers_run_at_the_same_time() -> None:
    """Each of two items waits for the other one, which a loop would never reach."""
    meeting = threading.Barrier(2, timeout=20)
    assert list(in_order(lambda item: meeting.wait() >= 0, range(2), 2)) == [True, True]


def test_few_items_are_taken_before_their_results_are() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(lambda item: item, items(), 2)
    assert next(results) == 0
    assert len(taken) <= 4
    results.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_torch_has_one_thread_in_the_work_and_as_many_as_before_afterwards(workers: int) -> None:
    assert set(in_order(lambda _: torch.get_num_threads(), range(4), workers)) == {1}
    assert torch.get_num_threads() == 2
    with single_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_the_switch_of_the_fast_paths_holds_in_workers() -> None:
    with fast_paths.plain_only():
        assert list(in_order(lambda _: fast_paths.allowed(), range(3), 2)) == [False] * 3
    assert list(in_order(lambda _: fast_paths.allowed(), range(3), 2)) == [True] * 3


def test_an_error_is_raised_where_its_result_would_be_and_nothing_new_begins() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise ValueError("no")
        return item

    results = in_order(work, range(50), 2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="no"):
        list(results)
    assert len(begun) < 10


def test_work_within_work_stays_in_its_thread_and_ends_with_the_caller() -> None:
    inside: list[set[int]] = []
    ended = []

    def part(_: int) -> int:
        time.sleep(0.005)
        return threading.get_ident()

    def work(item: int) -> int:
        try:
            inside.append(set(in_order(part, range(1000 if item else 2), 2)))
        except StoppedError:
            ended.append(item)
            raise
        return item

    results = in_order(work, range(2), 2)
    assert next(results) == 0
    results.close()  # without waiting for five seconds of parts
    assert ended == [1]
    assert all(len(threads) == 1 for threads in inside)


def test_a_gpu_has_one_worker() -> None:
    assert worker_count(torch.device("cpu")) == 2
    assert worker_count(torch.device("cuda")) == 1
