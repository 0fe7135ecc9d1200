"""Numbered generated images: each depends on the seed and its own number only, whatever the batch size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.evaluation.protocol import Route, drawn_labels
from panohead.geometry.camera import Camera, translate_label
from panohead.models.generator import Generator, Rendering
from panohead.ops.pixels import image_to_uint8


@dataclass(frozen=True)
class FakeBatch:
    """Generated images (0..255, official rounding), the cameras they were asked for, and everything rendered."""

    images: UInt8[Tensor, "batch 3 height width"]
    labels: Float[Tensor, "batch 25"]
    rendering: Rendering


@dataclass(frozen=True, kw_only=True)
class FakeOrder:
    """Order of generated images; latents and cameras are numbered, so every batch size gives the same ones.

    Attributes:
        route: how the cameras are chosen.
        count: number of images.
        seed: of all of them.
        batch: images at a time.
        truncation_psi: truncation of their w.
    """

    route: Route
    count: int
    seed: int
    batch: int
    truncation_psi: float = 1.0

    def places(self) -> list[tuple[int, int]]:
        """Return number of the first image and of images of every batch."""
        return [(first, min(self.batch, self.count - first)) for first in range(0, self.count, self.batch)]


FakeSource = Callable[[Generator, Float[Tensor, "photo 25"], FakeOrder], Iterator[FakeBatch]]
"""Source of the batches of an order: this process (:func:`fake_batches`), or a cluster."""


def fake_batches(
    generator: Generator, dataset_labels: Float[Tensor, "photo 25"], order: FakeOrder
) -> Iterator[FakeBatch]:
    """Yield the images of an order.

    For repeatability two things differ from the official code: rays are sampled evenly instead of at random, and pixel
    noise is constant.
    """
    for first, size in order.places():
        yield fake_batch(generator, dataset_labels, order, first=first, size=size)


def fake_batch(
    generator: Generator, dataset_labels: Float[Tensor, "photo 25"], order: FakeOrder, *, first: int, size: int
) -> FakeBatch:
    """Return the images from number ``first`` on."""
    device = next(generator.parameters()).device
    z = _latents(order.seed, first, size, generator.config.z_dim).to(device)
    labels = drawn_labels(dataset_labels, order.route, seed=order.seed, first=first, count=size).to(device)
    rendering = _render(generator, z, labels, order.route, order.truncation_psi)
    return FakeBatch(image_to_uint8(rendering.image).cpu(), labels.cpu(), rendering)


@torch.no_grad()
def _render(
    generator: Generator,
    z: Float[Tensor, "batch z_dim"],
    labels: Float[Tensor, "batch 25"],
    route: Route,
    truncation_psi: float,
) -> Rendering:
    conditioning, rendered = labels, labels
    if route == "front":
        conditioning = Camera.orbit().expand(len(z)).to(z.device).to_label()
    else:
        rendered = translate_label(labels, generator.align_camera(z, labels, truncation_psi=truncation_psi))
    ws = generator.mapping(z, conditioning, truncation_psi=truncation_psi)
    return generator.render_view(generator.prepared_field(ws), ws, Camera.from_label(rendered))


def _latents(seed: int, first: int, count: int, z_dim: int) -> Float[Tensor, "batch z_dim"]:
    drawn = [np.random.default_rng((seed, index, 0x2)).standard_normal(z_dim) for index in range(first, first + count)]
    return torch.from_numpy(np.stack(drawn).astype(np.float32))
