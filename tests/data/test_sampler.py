"""The endless sampler."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from panohead.data.sampler import DRAWS_AT_ONCE, InfiniteSampler
from parity.golden import load


def walk(count: int, size: int = 13, **settings: float) -> list[int]:
    return list(islice(InfiniteSampler(size, **settings), count))  # type: ignore[arg-type]


def test_walks_are_golden() -> None:
    arrays, _ = load("misc")
    assert walk(60, seed=3) == arrays["infinite_sampler_13_seed3"].tolist()
    assert walk(30, seed=3, rank=1, num_replicas=2) == arrays["infinite_sampler_13_seed3_rank1of2"].tolist()


def slow_walk(size: int, seed: int) -> Iterator[int]:
    """The rule as it is written down, with one draw a step."""
    source = np.random.RandomState(seed)
    order = np.arange(size)
    source.shuffle(order)
    step = 0
    while True:
        place = step % size
        yield int(order[place])
        other = (place - source.randint(int(np.rint(size / 2)))) % size
        order[[place, other]] = order[[other, place]]
        step += 1


@pytest.mark.parametrize("size", [4, 101, 9000])
def test_drawing_in_blocks_changes_nothing(size: int) -> None:
    count = 2 * DRAWS_AT_ONCE + 10
    assert walk(count, size, seed=7) == list(islice(slow_walk(size, 7), count))


def test_devices_share_one_walk() -> None:
    together = walk(90, seed=1)
    parts = [walk(30, seed=1, rank=rank, num_replicas=3) for rank in range(3)]
    assert [index for step in zip(*parts, strict=True) for index in step] == together


@pytest.mark.parametrize("rank", [0, 1])
def test_a_later_start_continues_the_walk(rank: int) -> None:
    whole = walk(DRAWS_AT_ONCE + 50, seed=2, rank=rank, num_replicas=2)
    assert walk(20, seed=2, rank=rank, num_replicas=2, start=DRAWS_AT_ONCE + 30) == whole[-20:]


def test_every_index_comes_about_once_a_round_in_a_new_order() -> None:
    rounds = np.array(walk(200 * 50, 50, seed=4)).reshape(200, 50)
    counts = Counter(rounds.flatten().tolist())
    assert set(counts) == set(range(50))
    assert max(counts.values()) < 260
    assert min(counts.values()) > 140
    assert (rounds[0] != rounds[1]).any()


def test_without_shuffling_it_counts() -> None:
    assert walk(7, 3, shuffle=False) == [0, 1, 2, 0, 1, 2, 0]


def test_tiny_datasets_work() -> None:
    assert walk(3, 1) == [0, 0, 0]
    assert set(walk(10, 2)) == {0, 1}


@pytest.mark.parametrize("settings", [{"size": 0}, {"rank": 2, "num_replicas": 2}, {"start": -1}])
def test_nonsense_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot walk"):
        walk(1, **settings)
