"""All selected photos of a dataset, decoded once and held as bytes in one tensor."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from panohead.data.batch import PhotoBatch, on_device
from panohead.data.broken import BrokenFile
from panohead.data.dataset import PhotoDataset
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera

MAX_THREADS = 16
PHOTOS_AT_ONCE = 256
"""Photos decoded between two reports of progress; an interruption waits for them."""


def bytes_needed(dataset: PhotoDataset) -> int:
    """Return the bytes that the selected photos and masks take when they are decoded, each one once."""
    return len(np.unique(dataset.selection.photo)) * 4 * dataset.resolution**2


class PhotoStore:
    """Photos, masks and cameras of all items of a dataset, side by side on one device.

    Mirrored and repeated items share the photo; they are flipped when they are asked for.

    Args:
        dataset: source of the photos; unreadable files are reported to its ``broken``.
        device: device that holds everything.
        on_progress: called with photos decoded and all photos, now and then.

    Raises:
        PanoHeadError: when too many files are unreadable, or the memory does not suffice.
    """

    def __init__(
        self, dataset: PhotoDataset, device: torch.device, on_progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.device = device
        chosen, row = np.unique(dataset.selection.photo, return_inverse=True)
        try:
            self._image, self._mask = (
                torch.empty(len(chosen), channels, *(dataset.resolution,) * 2, dtype=torch.uint8, device=device)
                for channels in (3, 1)
            )
        except RuntimeError as error:  # out of memory
            raise PanoHeadError(
                f"{len(chosen)} photos take {bytes_needed(dataset) / 1e9:.1f} GB, more than is free on {device}; "
                "choose another cache"
            ) from error
        broken = self._fill(dataset, chosen, on_progress or (lambda done, total: None))
        item = _readable(np.isin(chosen[row], broken))
        self._row = torch.from_numpy(row[item]).to(device)
        self._flipped = torch.from_numpy(dataset.selection.flipped[item]).to(device)
        labels = torch.from_numpy(dataset.photo_labels[dataset.selection.photo[item]])
        flipped = torch.from_numpy(dataset.selection.flipped[item])[:, None]
        self._label = torch.where(flipped, Camera.from_label(labels).mirrored().to_label(), labels).to(device)

    def batch(self, items: Sequence[int]) -> PhotoBatch:
        """Return several items, stacked, on the store's device."""
        chosen = on_device(torch.tensor(items), self.device)
        row, flipped = self._row[chosen], self._flipped[chosen]
        return PhotoBatch(_flip(self._image[row], flipped), _flip(self._mask[row], flipped), self._label[chosen])

    def _fill(
        self, dataset: PhotoDataset, chosen: Int[np.ndarray, " photo"], on_progress: Callable[[int, int], None]
    ) -> list[int]:
        """Decode everything; return the indices of the photos that cannot be read."""

        def decode(row: int) -> BrokenFile | None:
            try:
                image, mask = dataset.photo(int(chosen[row]))
            except BrokenFile as error:
                return error
            self._image[row].copy_(image)
            self._mask[row].copy_(mask)
            return None

        broken = []
        # Threads suffice: Pillow decodes outside of Python's lock.
        with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as threads:
            for begin in range(0, len(chosen), PHOTOS_AT_ONCE):
                rows = range(begin, min(begin + PHOTOS_AT_ONCE, len(chosen)))
                errors = [(row, error) for row, error in zip(rows, threads.map(decode, rows), strict=True) if error]
                broken += [int(chosen[row]) for row, _ in errors]
                dataset.broken.report({error.file: str(error) for _, error in errors})
                on_progress(rows.stop, len(chosen))
        if len(broken) == len(chosen):
            raise dataset.broken.error()
        return broken


def _readable(broken: Bool[np.ndarray, " item"]) -> Int[np.ndarray, " item"]:
    """Return for every item the next one that is not broken (itself, if it is not); the first follows the last."""
    good = np.flatnonzero(~broken)
    return good[np.searchsorted(good, np.arange(len(broken))) % len(good)]


def _flip(
    image: UInt8[Tensor, "batch channel height width"], flipped: Bool[Tensor, " batch"]
) -> UInt8[Tensor, "batch channel height width"]:
    return torch.where(flipped[:, None, None, None], image.flip(-1), image)
