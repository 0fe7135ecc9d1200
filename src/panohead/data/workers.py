"""Decoding in other processes, with PyTorch's DataLoader."""

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


@dataclass(frozen=True)
class DecodedList:
    """What one process made of one list of items.

    Attributes:
        batch: None when too many files are unreadable.
        broken: the unreadable files that were met, with a sentence on each.
    """

    batch: PhotoBatch | None
    broken: dict[str, str]

    def pin_memory(self) -> "DecodedList":
        """The same in page-locked memory; DataLoader asks for it."""
        return DecodedList(self.batch and self.batch.pin_memory(), self.broken)


def decoded_batches(
    dataset: PhotoDataset, order: Iterable[list[int]], *, workers: int, pin: bool
) -> Generator[PhotoBatch, None, None]:
    """Batches in the given order, decoded ahead by ``workers`` processes. Closing the iterator ends the processes.

    The processes are forked from a fresh one (or started anew where that cannot be) rather than from this one, whose
    threads and GPU a fork would not survive; so a script needs the usual ``if __name__ == "__main__":``.

    Raises:
        PanoHeadError: when too many files are unreadable or a process dies.
    """
    # DataLoader draws a seed for its processes; taken from here, no random number of the caller's is used up.
    source = torch.Generator()
    with warnings.catch_warnings():
        # More processes than cores may be wise: the files can be far away.
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
        batches: Any = iter(loader)
    try:
        while True:
            yield _opened(_next(batches), dataset)
    finally:
        # An exception on its way holds the iterator by its frames; without this its processes would linger as long.
        batches._shutdown_workers()


class _ItemReader(torch.utils.data.Dataset[DecodedList]):
    """Decodes whole lists of items."""

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
            f"a process that decodes photos died ({reason[0]}), often for want of memory or shared memory; "
            "use fewer workers"
        ) from error


def _is_death(error: Exception) -> bool:
    """Whether a process is gone, rather than having told an exception of its own."""
    if "in DataLoader worker process" in str(error):
        return False
    # Pictures in shared memory are asked of the process that made them: then the connection fails.
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
    """Ctrl-C reaches all processes of a terminal; the one that was started decides what becomes of the run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _unchanged(decoded: Any) -> Any:
    return decoded
