"""Endless batches of photos on a device, in an order that neither workers nor caches change."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.data.batch import PhotoBatch, on_device
from panohead.data.cache import Cache, Place, place_of
from panohead.data.dataset import PhotoDataset
from panohead.data.person_views import PersonViews, PersonWalk
from panohead.data.photo_store import PhotoStore, bytes_needed
from panohead.data.sampler import InfiniteSampler
from panohead.data.workers import decoded_batches


class PhotoLoader:
    """Batches without end. Each iteration starts at ``start_nimg``.

    Args:
        batch: photos in one batch on this device.
        rank, num_replicas, seed: index of this device, number of devices, seed of the order; see
            :class:`panohead.data.sampler.InfiniteSampler`.
        people: show several views of one person side by side; None for single photos.
        start_nimg: photos that all devices together have used before an interruption.
        workers: processes that decode ahead where nothing is cached; 0 decodes in this process, when a batch is due.
        device: device of the batches.
        cache: "device" and "memory" decode all chosen photos now, in threads, and keep their bytes on the device or in
            the host's memory, each process its own; "none" decodes a photo whenever it comes. "auto" takes the first of
            them that fits: see :func:`panohead.data.cache.place_of`.
        on_progress: called with photos decoded and all photos, now and then, while a cache is filled.

    Attributes:
        cache: the memory that was chosen.

    Raises:
        PanoHeadError: when more files are unreadable than the dataset tolerates, or the memory does not suffice for the
            cache; also during an iteration, then also when a worker process dies.
        ValueError: for a batch of none, or a rank outside its range.
    """

    def __init__(
        self,
        dataset: PhotoDataset,
        *,
        batch: int,
        rank: int,
        num_replicas: int,
        seed: int,
        people: PersonViews | None = None,
        start_nimg: int = 0,
        workers: int = 0,
        device: torch.device,
        cache: Cache = "auto",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        if batch < 1 or workers < 0:
            raise ValueError(f"cannot load batches of {batch} with {workers} workers")
        share: dict[str, Any] = {"seed": seed, "rank": rank, "num_replicas": num_replicas}
        start = start_nimg // num_replicas
        walk = (
            PersonWalk(people, start=start, **share) if people else InfiniteSampler(len(dataset), start=start, **share)
        )
        self._people = people
        self.dataset, self.device = dataset, device
        self.cache: Place = place_of(cache, bytes_needed(dataset), device, num_replicas)
        self._order = torch.utils.data.BatchSampler(walk, batch, drop_last=False)
        self._workers = workers
        self._store: PhotoStore | None = None
        if self.cache != "none":
            place = device if self.cache == "device" else torch.device("cpu")
            self._store = PhotoStore(dataset, place, on_progress)
        self._photo_labels = torch.from_numpy(dataset.photo_labels).to(device)
        self._item_photo = torch.from_numpy(dataset.selection.photo).to(device)

    def __iter__(self) -> Iterator[PhotoBatch]:
        """Yield batches of bytes and labels on the device. Closing or dropping the iterator ends the workers."""
        if self._store is None and self._workers:
            batches = decoded_batches(self.dataset, self._order, workers=self._workers, pin=self.device.type == "cuda")
        else:
            read = self.dataset.batch if self._store is None else self._store.batch
            batches = (read(indices) for indices in self._order)
        try:
            for batch in batches:
                yield batch.to(self.device)
        finally:
            batches.close()

    def random_labels(self, count: int, generator: torch.Generator) -> Float[Tensor, "count 25"]:
        """Return the cameras of random items on the device, never flipped (docs/reference.md 5.1).

        Args:
            count: number of cameras; each item of the selection is equally likely.
            generator: random numbers, on any device.
        """
        items = torch.randint(len(self.dataset), (count,), generator=generator, device=generator.device)
        return self._photo_labels[self._item_photo[on_device(items, self.device)]]

    def random_views(self, heads: int, generator: torch.Generator) -> Float[Tensor, "label 25"]:
        """Return cameras of photos that show one person together, never flipped: first views, then second ones.

        Args:
            heads: number of people; as many cameras each as the loader shows together.
            generator: random numbers, on any device.

        Raises:
            ValueError: for a loader of single photos.
        """
        if self._people is None:
            raise ValueError("this loader shows single photos; make it with people")
        items = self._people.random(heads, generator)  # head view
        return self._photo_labels[self._item_photo[on_device(items, self.device)]].transpose(0, 1).flatten(0, 1)
