"""An endless, slowly reshuffled walk through a dataset that any number of devices share (docs/reference.md 5.11)."""

from collections.abc import Iterator

import numpy as np
import torch

DRAWS_AT_ONCE = 4096
"""Random numbers drawn in one call; the block size does not change them."""


class InfiniteSampler(torch.utils.data.Sampler[int]):
    """Indices without end. The order is shuffled once; then every visited place is swapped with one lately visited.

    So each index comes about once per epoch, and epochs differ. Matches the official code number by number.

    Args:
        size: number of items.
        seed: seed of the order.
        rank, num_replicas: this device takes every ``num_replicas``-th index from its rank on; all walk alike.
        shuffle: False for 0, 1, 2, ... over and over.
        window: reach of the swaps, as a share of ``size``.
        start: number of indices of this device to skip: those used before an interruption.

    Raises:
        ValueError: for an empty dataset, a rank outside its range or a negative start.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
        shuffle: bool = True,
        window: float = 0.5,
        start: int = 0,
    ) -> None:
        if size < 1 or not 0 <= rank < num_replicas or start < 0:
            raise ValueError(f"cannot walk {size} items as rank {rank} of {num_replicas} from {start}")
        self.size, self.seed, self.rank, self.num_replicas = size, seed, rank, num_replicas
        self.shuffle, self.window, self.start = shuffle, window, start

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self.size)
        window = 0
        # The legacy generator is what the original's order is defined by.
        source = np.random.RandomState(self.seed)
        if self.shuffle:
            source.shuffle(order)
            window = round(self.size * self.window)
        # A list swaps several times faster than an array, which counts when a long run resumes.
        places = order.tolist()
        skip = self.start
        for step, back in enumerate(_distances(source, window)):
            place = step % self.size
            if step % self.num_replicas == self.rank:
                if skip == 0:
                    yield places[place]
                else:
                    skip -= 1
            other = (place - back) % self.size
            places[place], places[other] = places[other], places[place]


def _distances(source: np.random.RandomState, window: int) -> Iterator[int]:
    """Yield the distance to swap over at each step; drawn in blocks, which gives the numbers of single draws."""
    while True:
        yield from source.randint(window, size=DRAWS_AT_ONCE).tolist() if window >= 2 else [0] * DRAWS_AT_ONCE
