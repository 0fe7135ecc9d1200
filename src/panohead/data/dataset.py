"""Photos with foreground masks and cameras, read from the official layout (docs/reference.md 6.1) or from shards.

Images lie in a folder or zip archive together with ``dataset.json``; masks lie in a second one under the same names,
in any image format. Everything stays in bytes; :class:`panohead.training.losses.RealBatch` brings it into range.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.data.batch import PhotoBatch, PhotoItem, collate
from panohead.data.broken import BrokenFile, BrokenPhotos
from panohead.data.decode import BackgroundMode, Preprocessing, decode, preprocess
from panohead.data.labels import jittered, read_labels
from panohead.data.layout import dataset_paths, open_layout
from panohead.data.selection import SelectionConfig, select
from panohead.data.sources import FileSource, image_names, match_masks, open_source
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera
from panohead.limits import CAMERA_JITTER, COUNT, SEED

__all__ = ["PhotoBatch", "PhotoDataset", "PhotoItem", "collate", "dataset_paths", "open_dataset"]

T = TypeVar("T")


def open_dataset(
    root: str | Path,
    selection: SelectionConfig | None = None,
    *,
    masks: str | Path | None = None,
    background: BackgroundMode = "keep",
    resolution: int | None = None,
    camera_jitter: float = 0.0,
    camera_jitter_seed: int = 0,
    broken_limit: int = 0,
    cache: bool = False,
) -> "PhotoDataset":
    """Open a dataset in any layout: folders, zip archives or WebDataset shards.

    Args:
        root, masks: see :func:`panohead.data.layout.open_layout`.
        background, resolution: see :class:`panohead.data.decode.Preprocessing`.
        camera_jitter: standard deviation of a fixed error added to every camera position, world units: an ablation of
            the camera's self-adaptation (PanoHead section 3.4). The label of a mirrored item is the mirrored label.
        camera_jitter_seed: seed of these errors.
        selection, broken_limit, cache: see :class:`PhotoDataset`.

    Raises:
        UsageError: for impossible numbers or modes.
        PanoHeadError: when there is no dataset or it cannot be read; see :class:`PhotoDataset`.
    """
    preprocessing = Preprocessing(background=background, resolution=resolution)
    _check(camera_jitter, camera_jitter_seed, broken_limit)
    return PhotoDataset(
        *open_layout(root, masks),
        selection,
        preprocessing=preprocessing,
        camera_jitter=camera_jitter,
        camera_jitter_seed=camera_jitter_seed,
        broken_limit=broken_limit,
        cache=cache,
    )


def _check(camera_jitter: float, camera_jitter_seed: int, broken_limit: int) -> None:
    """Refuse impossible numbers before any file is opened."""
    CAMERA_JITTER.real(camera_jitter, "camera_jitter")
    SEED.whole(camera_jitter_seed, "camera_jitter_seed")
    COUNT.whole(broken_limit, "broken_limit")


class PhotoDataset(torch.utils.data.Dataset[PhotoItem]):
    """A list of photos, filtered, repeated and mirrored as :class:`SelectionConfig` says.

    Args:
        images, masks: folders or zip archives, or sources that are open already; see :func:`open_dataset`.
        preprocessing: background and resolution of decoded images and masks.
        camera_jitter, camera_jitter_seed: see :func:`open_dataset`.
        broken_limit: number of unreadable files that are tolerated: the next readable item takes the place of each.
        cache: keep decoded images in memory (4 bytes per pixel; flipped and repeated items share theirs).

    Attributes:
        names, photo_labels: names and labels of all photos, selected or not.
        selection: the items: photo and flip of each.
        resolution: side of the items' images in pixels.
        broken: the unreadable files that were found.

    Raises:
        PanoHeadError: when a file of the layout is missing or unreadable, images differ in size or are not square, or
            the selection is empty. Only the first image is opened at once; the others when they are asked for.
    """

    def __init__(
        self,
        images: Path | FileSource,
        masks: Path | FileSource,
        selection: SelectionConfig | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        camera_jitter: float = 0.0,
        camera_jitter_seed: int = 0,
        broken_limit: int = 0,
        cache: bool = False,
    ) -> None:
        _check(camera_jitter, camera_jitter_seed, broken_limit)
        self._images, self._masks = (x if isinstance(x, FileSource) else open_source(x) for x in (images, masks))
        names = image_names(self._images)
        if not names:
            raise PanoHeadError(
                f"{self._images.path} holds no images; give the folder or zip archive of the dataset's images"
            )
        self.names: tuple[str, ...] = tuple(names)
        self._mask_names = match_masks(names, self._masks)
        self.photo_labels = jittered(read_labels(self._images, names), camera_jitter, camera_jitter_seed)
        self.selection = select(self.photo_labels, selection or SelectionConfig())
        self.broken = BrokenPhotos(broken_limit)
        self._cache: dict[int, tuple[Tensor, Tensor]] | None = {} if cache else None
        self._preprocessing = preprocessing or Preprocessing()
        self._side = 0
        self._side = self._first_side()
        self._factor = self._preprocessing.factor(self._side, str(self._images.path))
        self.resolution = self._side // self._factor

    def __len__(self) -> int:
        return len(self.selection.photo)

    def __getitem__(self, index: int) -> PhotoItem:
        return self._reporting(lambda found: self.read(index, found))

    def labels_sha256(self) -> str:
        """Return the SHA-256 of all labels in order: the same for the same photos in another place or layout."""
        return hashlib.sha256(np.ascontiguousarray(self.photo_labels).tobytes()).hexdigest()

    def batch(self, indices: Sequence[int]) -> PhotoBatch:
        """Return several items, stacked. Raises as :meth:`__getitem__`: PanoHeadError for too many unreadable files."""
        return self._reporting(lambda found: self.read_batch(indices, found))

    def read(self, index: int, found: dict[str, str]) -> PhotoItem | None:
        """Return one item, or the next one that can be read, without a report of the others to ``broken``.

        Args:
            found: receives the unreadable files on the way, with a sentence on each.

        Returns:
            The item; None when none is readable or ``found`` holds more files than are tolerated.
        """
        first = range(len(self))[index]
        for step in range(len(self)):
            place = (first + step) % len(self)
            photo, flipped = self._entry(place)
            try:
                image, mask = self.photo(photo)
            except BrokenFile as error:
                found[error.file] = str(error)
                if len(found) > self.broken.limit:
                    return None
                continue
            if flipped:
                image, mask = image.flip(-1), mask.flip(-1)
            return PhotoItem(image, mask, self.label(place, mirror=True))
        return None

    def read_batch(self, indices: Sequence[int], found: dict[str, str]) -> PhotoBatch | None:
        """Return several items, stacked, each as by :meth:`read`; None when one of them is None."""
        items: list[PhotoItem] = []
        for index in indices:
            item = self.read(index, found)
            if item is None:
                return None
            items.append(item)
        return collate(items)

    def photo(
        self, photo: int
    ) -> tuple[UInt8[Tensor, "3 resolution resolution"], UInt8[Tensor, "1 resolution resolution"]]:
        """Return image and mask of a photo by its index in ``names``. Raises BrokenFile when it cannot be read."""
        if self._cache is not None and photo in self._cache:
            return self._cache[photo]
        image, mask = preprocess(*self._decode(photo), background=self._preprocessing.background, factor=self._factor)
        pair = torch.from_numpy(image), torch.from_numpy(mask)
        if self._cache is not None:
            self._cache[photo] = pair
        return pair

    def sampled(
        self, count: int, broken: Callable[[str, str], object] | None = None
    ) -> Iterator[
        tuple[str, UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"], Float[np.ndarray, "25"]]
    ]:
        """Yield name of the mask, image, mask and label of ``count`` photos, evenly over the dataset, as they are in
        their files; unreadable ones are left out, and ``broken`` is called with name and problem of each."""
        for photo in dict.fromkeys(
            np.linspace(0, len(self.names) - 1, min(count, len(self.names))).astype(int).tolist()
        ):
            try:
                image, mask = self._decode(photo)
            except BrokenFile as error:
                if broken is not None:
                    broken(error.file, str(error))
                continue
            yield self._masks.describe(self._mask_names[photo]), image, mask[..., 0], self.photo_labels[photo]

    def label(self, index: int, *, mirror: bool = False) -> Float[Tensor, "25"]:
        """Return an item's camera without its image.

        Args:
            mirror: flip the camera of flipped items. The original flips it for the discriminator's photos but not for
                the cameras it generates heads for; False is the latter.
        """
        photo, flipped = self._entry(index)
        label = torch.from_numpy(self.photo_labels[photo].copy())
        return Camera.from_label(label).mirrored().to_label() if mirror and flipped else label

    def label_std(self) -> Float[Tensor, "25"]:
        """Return the standard deviation of the labels of all photos: the buffer that official checkpoints carry."""
        return torch.from_numpy(self.photo_labels.std(axis=0))

    def preload(self) -> None:
        """Decode every selected photo into memory now (for a dataset with ``cache``)."""
        for photo in np.unique(self.selection.photo):
            self.photo(int(photo))

    def __getstate__(self) -> dict[str, Any]:
        # The state sent to a worker process: photos decoded so far are not worth sending.
        return {**self.__dict__, "_cache": None if self._cache is None else {}}

    def _entry(self, index: int) -> tuple[int, bool]:
        return int(self.selection.photo[index]), bool(self.selection.flipped[index])

    def _reporting(self, read: Callable[[dict[str, str]], T | None]) -> T:
        """Return the result of ``read`` after reporting the unreadable files that it found."""
        found: dict[str, str] = {}
        result = read(found)
        self.broken.report(found)
        if result is None:
            raise self.broken.error()
        return result

    def _first_side(self) -> int:
        """Return the side in pixels of the first readable photo."""

        def read(found: dict[str, str]) -> int | None:
            for photo in range(len(self.names)):
                try:
                    return self._decode(photo)[0].shape[0]
                except BrokenFile as error:
                    found[error.file] = str(error)
                    if len(found) > self.broken.limit:
                        break
            return None

        return self._reporting(read)

    def _decode(self, photo: int) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width 1"]]:
        image = decode(self._images, self.names[photo], "RGB", self._side)
        return image, decode(self._masks, self._mask_names[photo], "L", image.shape[0])
