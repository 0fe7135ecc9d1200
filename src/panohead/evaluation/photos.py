"""Reference photos of a dataset: their selection, size reduction and identity."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from panohead.alignment.comparison.dataset_check import SAMPLE, SampleImage, refuse_wrong_sample
from panohead.data.dataset import PhotoDataset, open_dataset
from panohead.data.layout import open_layout
from panohead.errors import PanoHeadError
from panohead.files.archive import open_zip
from panohead.ops.pixels import mask_from_uint8

_WHITE = 255.0


@dataclass(frozen=True)
class ReferencePhotos:
    """A dataset without mirrored or repeated images.

    Attributes:
        root: folder with ``images`` and ``masks`` (folders or zips) or shards; with ``masks`` the images themselves.
        white: composite the people over white with their masks, for generators without a background.
        masks: folder or zip of the masks, if they are not beside the images.
    """

    root: Path
    white: bool = False
    masks: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder beside whose images a synthetic dataset lists its people and has its depth maps."""
        return self.root if self.masks is None else self.root.parent

    @cached_property
    def dataset(self) -> PhotoDataset:
        """The dataset reader."""
        return open_dataset(self.root, masks=self.masks)

    def refuse_wrong_sample(self) -> None:
        """Look at a sample of the photos.

        Raises:
            PanoHeadError: when it shows wrong labels, masks or crops.
        """
        refuse_wrong_sample((SampleImage(*one) for one in self.dataset.sampled(SAMPLE)), str(self.root))

    @cached_property
    def labels(self) -> Float[Tensor, "photo 25"]:
        """Camera labels of all photos."""
        return torch.from_numpy(self.dataset.photo_labels[self.dataset.selection.photo])

    def __len__(self) -> int:
        return len(self.dataset)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of every image's name, size and camera (and checksum in a zip), but not of the pixels themselves."""
        digest = hashlib.sha256()
        for source in open_layout(self.root, self.masks):
            digest.update(_listing(source.path))
        digest.update(self.dataset.photo_labels.tobytes())
        return digest.hexdigest()

    def order(self, seed: int) -> Int[np.ndarray, " photo"]:
        """Return all photo indices in the random order of ``seed``; metrics take the first ones."""
        return np.random.default_rng((seed, 0xDA7A)).permutation(len(self))

    def batches(
        self, indices: Int[np.ndarray, " photo"], resolution: int, batch: int
    ) -> Iterator[UInt8[Tensor, "batch 3 height width"]]:
        """Yield images (0..255) reduced to ``resolution`` by averaging.

        Raises:
            PanoHeadError: when the photos are smaller than ``resolution``.
        """
        if resolution > self.dataset.resolution:
            raise PanoHeadError(
                f"the photos in {self.root} have {self.dataset.resolution} pixels, fewer than the {resolution} to "
                f"compare at; give larger photos or --resolution {self.dataset.resolution}"
            )
        for start in range(0, len(indices), batch):
            yield torch.stack([self._image(int(index), resolution) for index in indices[start : start + batch]])

    def _image(self, index: int, resolution: int) -> UInt8[Tensor, "3 height width"]:
        item = self.dataset[index]
        image = item.image
        if self.white:
            alpha = mask_from_uint8(item.mask)
            image = (image.float() * alpha + _WHITE * (1 - alpha)).round().to(torch.uint8)
        return reduced(image[None], resolution)[0]


def reduced(images: UInt8[Tensor, "batch 3 height width"], resolution: int) -> UInt8[Tensor, "batch 3 low low"]:
    """Return images averaged down (Pillow's box filter) to ``resolution``; unchanged if they have it."""
    if images.shape[-1] == resolution:
        return images
    small = [
        np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).resize((resolution,) * 2, Image.Resampling.BOX))
        for image in images.cpu()
    ]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).contiguous()


def _listing(path: Path) -> bytes:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        rows = [f"{file.relative_to(path).as_posix()} {file.stat().st_size}" for file in files]
    else:
        with open_zip(path) as archive:
            rows = sorted(f"{info.filename} {info.file_size} {info.CRC}" for info in archive.infolist())
    return "\n".join(rows).encode()
