"""Batches of samples as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from panohead.training.photo_encoder.samples import StoredSample


@dataclass(frozen=True)
class SampleBatch:
    """Samples side by side; fields as of :class:`panohead.training.photo_encoder.samples.EncoderSample`."""

    photo: UInt8[Tensor, "photo 4 side side"]
    second: UInt8[Tensor, "photo 4 small small"]
    label: Float[Tensor, "photo 25"]
    offset: Float[Tensor, "photo 3"]
    second_label: Float[Tensor, "photo 25"]
    w: Float[Tensor, "photo w_dim"]
    attributes: Float[Tensor, "photo attribute"]

    @property
    def has_w(self) -> Bool[Tensor, " photo"]:
        """Samples whose w is known."""
        return ~self.w.isnan().any(dim=1)

    @property
    def has_attributes(self) -> Bool[Tensor, " photo"]:
        """Samples whose attributes are known; none for generators without."""
        if self.attributes.shape[1] == 0:
            return torch.zeros(len(self.attributes), dtype=torch.bool)
        return ~self.attributes.isnan().any(dim=1)


def batch_of(samples: Sequence[StoredSample]) -> SampleBatch:
    """Decode samples and put them side by side."""
    opened = [sample.open() for sample in samples]

    def images(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(s, name) for s in opened])).permute(0, 3, 1, 2).contiguous()

    def numbers(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(s, name) for s in opened]).astype(np.float32))

    return SampleBatch(
        photo=images("photo"),
        second=images("second"),
        label=numbers("label"),
        offset=numbers("offset"),
        second_label=numbers("second_label"),
        w=numbers("w"),
        attributes=numbers("attributes"),
    )
