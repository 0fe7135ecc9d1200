"""Photos with their masks and cameras, one or several, as bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor


@dataclass(frozen=True)
class PhotoItem:
    """One photo with its mask and camera.

    Attributes:
        image: RGB, 0 to 255.
        mask: 0 background, 255 person.
        label: cam2world (16 numbers, row by row) and intrinsics (9), docs/reference.md 1.1.
    """

    image: UInt8[Tensor, "3 height width"]
    mask: UInt8[Tensor, "1 height width"]
    label: Float[Tensor, "25"]


@dataclass(frozen=True)
class PhotoBatch:
    """Several photos with the fields of :class:`PhotoItem`, stacked."""

    image: UInt8[Tensor, "batch 3 height width"]
    mask: UInt8[Tensor, "batch 1 height width"]
    label: Float[Tensor, "batch 25"]

    def to(self, device: torch.device) -> "PhotoBatch":
        """Return the batch on a device; see :func:`on_device`."""
        return self._mapped(lambda tensor: on_device(tensor, device))

    def pin_memory(self) -> "PhotoBatch":
        """Return the batch in page-locked memory; DataLoader calls it."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "PhotoBatch":
        return PhotoBatch(change(self.image), change(self.mask), change(self.label))


def collate(items: Sequence[PhotoItem]) -> PhotoBatch:
    """Stack items of one size; also a ``collate_fn`` for PyTorch's DataLoader."""
    return PhotoBatch(
        torch.stack([item.image for item in items]),
        torch.stack([item.mask for item in items]),
        torch.stack([item.label for item in items]),
    )


def on_device(tensor: Shaped[Tensor, "*shape"], device: torch.device) -> Shaped[Tensor, "*shape"]:
    """Return the tensor on a device. A copy to a GPU goes through page-locked memory and does not block the program."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)
