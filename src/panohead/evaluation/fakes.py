"""Numbered generated images: each depends on the seed and its own number only, whatever the batch size."""

from collections.abc import Iterator
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


def fake_batches(
    generator: Generator,
    route: Route,
    dataset_labels: Float[Tensor, "photo 25"],
    *,
    count: int,
    seed: int,
    batch: int,
    truncation_psi: float = 1.0,
) -> Iterator[FakeBatch]:
    """Yield ``count`` images by ``route``; latents and cameras are numbered, so every batch size gives the same ones.

    For repeatability two things differ from the official code: rays are sampled evenly instead of at random, and pixel
    noise is constant.
    """
    device = next(generator.parameters()).device
    for first in range(0, count, batch):
        size = min(batch, count - first)
        z = _latents(seed, first, size, generator.config.z_dim).to(device)
        labels = drawn_labels(dataset_labels, route, seed=seed, first=first, count=size).to(device)
        rendering = _render(generator, z, labels, route, truncation_psi)
        yield FakeBatch(image_to_uint8(rendering.image).cpu(), labels.cpu(), rendering)


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
