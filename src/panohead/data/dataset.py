"""Photos with foreground masks and cameras, read from the official layout (facts section 6).

Pictures lie in a folder or zip archive together with ``dataset.json``; masks lie in a second one under the same names,
in any image format. Everything stays in bytes; :class:`panohead.training.losses.Photos` brings it into range.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from panohead.data.labels import read_labels
from panohead.data.selection import SelectionConfig, select
from panohead.data.sources import FileSource, image_names, open_source
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera

_PHOTO_MODES = ("RGB", "RGBA", "L", "LA", "P")
_MASK_MODES = ("L", "1", "P", "RGB")


@dataclass(frozen=True)
class PhotoItem:
    """One photo with its mask (0 background, 255 person) and camera."""

    image: UInt8[Tensor, "3 height width"]
    mask: UInt8[Tensor, "1 height width"]
    label: Float[Tensor, "25"]


@dataclass(frozen=True)
class PhotoBatch:
    """Several photos, in the fields of :class:`PhotoItem`."""

    image: UInt8[Tensor, "batch 3 height width"]
    mask: UInt8[Tensor, "batch 1 height width"]
    label: Float[Tensor, "batch 25"]


def collate(items: Sequence[PhotoItem]) -> PhotoBatch:
    """Stack items; also a ``collate_fn`` for PyTorch's DataLoader."""
    return PhotoBatch(
        torch.stack([item.image for item in items]),
        torch.stack([item.mask for item in items]),
        torch.stack([item.label for item in items]),
    )


def dataset_paths(root: Path) -> tuple[Path, Path]:
    """Where the pictures and the masks of a dataset given as one folder lie: ``images`` and ``masks``, folders or zips.

    Raises:
        PanoHeadError: when one of them is missing.
    """
    images, masks = (
        next((path for path in (root / name, root / f"{name}.zip") if path.exists()), None)
        for name in ("images", "masks")
    )
    if images is None or masks is None:
        raise PanoHeadError(f"{root} must hold images/ and masks/ (or images.zip and masks.zip); give such a folder")
    return images, masks


class PhotoDataset(torch.utils.data.Dataset[PhotoItem]):
    """A list of photos, filtered, repeated and mirrored as :class:`SelectionConfig` says.

    Args:
        images, masks: folders or zip archives; see :func:`dataset_paths`.
        cache: keep decoded pictures in memory (4 bytes a pixel; flipped and repeated items share theirs).

    Raises:
        PanoHeadError: when a file of the layout is missing or unreadable, pictures differ in size or are not square, or
            the selection is empty. Only the first picture is opened at once; the others when they are asked for.
    """

    def __init__(
        self, images: Path, masks: Path, selection: SelectionConfig | None = None, *, cache: bool = False
    ) -> None:
        self._images, self._masks = open_source(images), open_source(masks)
        names = image_names(self._images)
        if not names:
            raise PanoHeadError(f"{images} holds no pictures; give the folder or zip archive of the dataset's pictures")
        self.names: tuple[str, ...] = tuple(names)
        self._mask_names = _match_masks(names, self._masks)
        self.photo_labels = read_labels(self._images, names)
        self.selection = select(self.photo_labels, selection or SelectionConfig())
        self._cache: dict[int, tuple[Tensor, Tensor]] | None = {} if cache else None
        self.resolution = 0
        self.resolution = self._photo(0)[0].shape[-1]

    def __len__(self) -> int:
        return len(self.selection.photo)

    def __getitem__(self, index: int) -> PhotoItem:
        photo, flipped = self._entry(index)
        image, mask = self._photo(photo)
        if flipped:
            image, mask = image.flip(-1), mask.flip(-1)
        return PhotoItem(image, mask, self.label(index, mirror=True))

    def batch(self, indices: Sequence[int]) -> PhotoBatch:
        """Several items at once."""
        return collate([self[index] for index in indices])

    def label(self, index: int, *, mirror: bool = False) -> Float[Tensor, "25"]:
        """An item's camera without its picture.

        Args:
            mirror: flip the camera of flipped items. The original flips it for the discriminator's photos but not for
                the cameras it generates heads for; False is the latter.
        """
        photo, flipped = self._entry(index)
        label = torch.from_numpy(self.photo_labels[photo].copy())
        return Camera.from_label(label).mirrored().to_label() if mirror and flipped else label

    def label_std(self) -> Float[Tensor, "25"]:
        """Standard deviation of the labels of all photos, chosen or not: the buffer that official checkpoints carry."""
        return torch.from_numpy(self.photo_labels.std(axis=0))

    def preload(self) -> None:
        """Decode every chosen picture into memory now (for a dataset with ``cache``)."""
        for photo in np.unique(self.selection.photo):
            self._photo(int(photo))

    def _entry(self, index: int) -> tuple[int, bool]:
        return int(self.selection.photo[index]), bool(self.selection.flipped[index])

    def _photo(self, photo: int) -> tuple[Tensor, Tensor]:
        if self._cache is not None and photo in self._cache:
            return self._cache[photo]
        image = self._decode(self._images, self.names[photo], "RGB", _PHOTO_MODES)
        mask = self._decode(self._masks, self._mask_names[photo], "L", _MASK_MODES)
        if self._cache is not None:
            self._cache[photo] = image, mask
        return image, mask

    def _decode(self, source: FileSource, name: str, mode: str, accepted: tuple[str, ...]) -> Tensor:
        file = source.describe(name)
        try:
            with Image.open(io.BytesIO(source.read(name))) as picture:
                found, size = picture.mode, picture.size
                pixels = np.array(picture.convert(mode)) if found in accepted else None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise PanoHeadError(f"cannot read {file} as a picture ({error}); mend or remove it") from error
        if pixels is None:
            raise PanoHeadError(f"{file} is of Pillow mode {found}, not one of {', '.join(accepted)}; convert it")
        expected = (self.resolution or size[0],) * 2
        if size != expected:
            raise PanoHeadError(
                f"{file} has {size[0]} x {size[1]} pixels instead of {expected[0]} x {expected[1]}; "
                "a dataset's pictures and masks must all be square and of one size"
            )
        return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous()


def _match_masks(names: Sequence[str], masks: FileSource) -> tuple[str, ...]:
    by_stem = {_stem(name): name for name in image_names(masks)}
    missing = [name for name in names if _stem(name) not in by_stem]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise PanoHeadError(
            f"{masks.path} has no mask for {missing[0]}{more}; every picture needs one of the same name"
        )
    return tuple(by_stem[_stem(name)] for name in names)


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()
