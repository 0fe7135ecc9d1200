"""Decoding in worker processes, with PyTorch's DataLoader."""

import multiprocessing
import signal
import warnings
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

import torch

from panohead.data.batch import PhotoBatch
from panohead.data.dataset import PhotoDataset
from panohead.errors import PanoHeadError
from panohead.system.safe_path import safe_children


@dataclass(frozen=True)
class DecodedList:
    """One list of items as a worker process decoded it.

    Attributes:
        batch: the items; None when too many files are unreadable.
        broken: the unreadable files among them, with a sentence on each.
    """

    batch: PhotoBatch | None
    broken: dict[str, str]

    def pin_memory(self) -> "DecodedList":
        """Return the same in page-locked memory; DataLoader calls it."""
        return DecodedList(self.batch and self.batch.pin_memory(), self.broken)


def decoded_batches(
    dataset: PhotoDataset, order: Iterable[list[int]], *, workers: int, pin: bool
) -> Generator[PhotoBatch, None, None]:
    """Yield batches in the given order, decoded ahead by ``workers`` processes. Closing the iterator ends them.

    The processes are forked from a fresh one (or spawned where there is no fork server) rather than from this one,
    whose threads and GPU a fork would not survive; so a script needs the usual ``if __name__ == "__main__":``.

    Raises:
        PanoHeadError: when too many files are unreadable or a process dies.
    """
    # DataLoader draws a seed for its processes; from a generator of its own, no random number of the caller is used.
    source = torch.Generator()
    with warnings.catch_warnings():
        # More processes than cores can pay: the files may be on slow storage.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader = torch.utils.data.DataLoader(
            _ItemReader(dataset),
            batch_size=None,
            sampler=order,
            num_workers=workers,
            collate_fn=_unchanged,
            pin_memory=pin,
            multiprocessing_context=_context(),
            generator=source,
            worker_init_fn=_ignore_interrupts,
        )
        with safe_children():
            batches: Any = iter(loader)
    try:
        while True:
            yield _opened(_next(batches), dataset)
    finally:
        # An exception being raised holds the iterator by its frames; without this its processes would live as long.
        batches._shutdown_workers()


class _ItemReader(torch.utils.data.Dataset[DecodedList]):
    """Dataset whose elements are whole lists of items, decoded."""

    def __init__(self, dataset: PhotoDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, indices: list[int]) -> DecodedList:
        broken: dict[str, str] = {}
        batch = self._dataset.read_batch(indices, broken)
        return DecodedList(batch, broken)


def _next(batches: Iterator[DecodedList]) -> DecodedList:
    try:
        return next(batches)
    except (RuntimeError, OSError, EOFError) as error:
        if not _is_death(error):
            raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PanoHeadError(
            f"a process that decodes photos died ({reason[0]}), often for lack of memory or shared memory; "
            "use fewer workers"
        ) from error


def _is_death(error: Exception) -> bool:
    """Return True when a process is gone, False when it passed on an exception of its own."""
    if "in DataLoader worker process" in str(error):
        return False
    # Images in shared memory are requested from the process that made them: then the connection fails.
    return not isinstance(error, RuntimeError) or "DataLoader worker" in str(error)


def _opened(decoded: DecodedList, dataset: PhotoDataset) -> PhotoBatch:
    dataset.broken.report(decoded.broken)
    if decoded.batch is None:
        raise dataset.broken.error()
    return decoded.batch


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _ignore_interrupts(_worker: int) -> None:
    """Ignore Ctrl-C, which reaches all processes of a terminal: the main process decides about the run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _unchanged(decoded: Any) -> Any:
    return decoded
