"""Rendered views of a fit, kept for the training of super-resolution alone: no rays, many images a second."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float16, Int, UInt8
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.models.generator import Generator
from panohead.randomness import RenderRandomness
from panohead.rendering.dispatch import render
from panohead.rendering.renderer import RayRendering
from panohead.training.attribute_fit.fit import HeadModel
from panohead.training.attribute_fit.images import ImageBatch, cut_patches, sample_offsets, true_patches
from panohead.training.attribute_fit.shots import Shots

_FACE_SHARE = 0.5
"""Share of the patches of views with a visible face that are drawn around it: hair has to be learned too."""


@dataclass(frozen=True)
class RenderedViews:
    """Inputs of super-resolution for each view, and the true images.

    Attributes:
        features: composited features.
        noise: noise of :class:`SurfaceTexture`, premultiplied by the weight; no channels for a generator without it.
        detail: what :class:`SurfaceDetail` adds to the image's logarithm; no channels for a generator without it.
        raw: raw image, about [-1, 1].
        weights: foreground weight, [0, 1].
        w: code of the head.
        images, masks: the truth.
    """

    features: Float16[Tensor, "view channel height width"]
    noise: Float16[Tensor, "view noise_channel height width"]
    detail: Float16[Tensor, "view detail_channel out_height out_width"]
    raw: Float16[Tensor, "view 3 height width"]
    weights: Float16[Tensor, "view 1 height width"]
    w: Float[Tensor, "view w_dim"]
    labels: Float[Tensor, "view 25"]
    images: UInt8[Tensor, "view 3 out_height out_width"]
    masks: UInt8[Tensor, "view out_height out_width"]

    @property
    def count(self) -> int:
        """Number of views."""
        return len(self.labels)


@dataclass(frozen=True)
class ViewBatch:
    """Patches of some views: inputs of super-resolution, and the truth."""

    features: Float[Tensor, "patch channel height width"]
    noise: Float[Tensor, "patch noise_channel height width"]
    detail: Float[Tensor, "patch detail_channel out_height out_width"]
    raw: Float[Tensor, "patch 3 height width"]
    weights: Float[Tensor, "patch 1 height width"]
    ws: Float[Tensor, "patch num_ws w_dim"]
    truth: ImageBatch


@torch.no_grad()
def render_views(
    model: HeadModel, data: Shots, shots: Int[Tensor, " shot"], say: Callable[[str], None] = print
) -> RenderedViews:
    """Render all views of some shots by a fit's networks, from attributes and residual codes.

    Args:
        say: function called with a line of progress every 50 shots.
    """
    generator = model.generator
    assert generator.torgb_raw is not None
    side, parts = generator.config.neural_rendering_resolution, []
    for number, shot in enumerate(shots.tolist()):
        ws = model.ws(data.attributes[shot : shot + 1], data.person[shot : shot + 1])
        field = generator.prepared_field(ws)
        for view in data.view_of[shot].tolist():
            rays = rays_from_camera(Camera.from_label(data.labels[view : view + 1]), side)
            found = render(field, *rays, generator.config.rendering, RenderRandomness.even())
            found = replace(found, points=generator.surface_points(field, *rays, found))
            noise = _noise(generator, found, side)
            features, noise, weights = (
                x.transpose(1, 2).unflatten(2, (side, side)) for x in (found.features, noise, found.weight_sum)
            )
            raw = generator.torgb_raw(features, ws[:, -1], fused=False)
            detail = _detail(generator, found, ws, side, data.resolution)
            parts.append([*(x.half() for x in (features, noise, detail, raw, weights)), ws[:, -1]])
        if number % 50 == 49:
            say(f"{number + 1} of {len(shots)} shots rendered")
    views = data.view_of[shots].flatten()
    truth = data.labels[views], data.images[views], data.masks[views]
    features, noise, detail, raw, weights, w = (torch.cat(x) for x in zip(*parts, strict=True))
    return RenderedViews(features, noise, detail, raw, weights, w, *truth)


def _noise(generator: Generator, found: RayRendering, side: int) -> Float[Tensor, "1 ray noise_channel"]:
    assert found.points is not None
    if generator.surface_texture is None:
        return found.points[:, :, :0]
    return generator.surface_texture.noise(found.points, side) * found.weight_sum


def _detail(
    generator: Generator, found: RayRendering, ws: Tensor, side: int, size: int
) -> Float[Tensor, "1 detail_channel size size"]:
    if generator.surface_detail is None:
        return ws.new_zeros(1, 0, size, size)
    return generator.detail(found, ws, side=side, size=size)


def sample_views(views: RenderedViews, *, count: int, patch: int, num_ws: int, rng: torch.Generator) -> ViewBatch:
    """Sample a patch of each of ``count`` random views.

    Args:
        patch: rays per side of the patches.
        num_ws: number of rows of ws.
    """
    chosen = torch.randint(views.count, (count,), generator=rng)
    rays = views.raw.shape[-1]
    offsets = sample_offsets(views.labels[chosen], rays=rays, patch=patch, face_share=_FACE_SHARE, rng=rng)
    features, noise, raw, weights = (
        cut_patches(x, chosen, offsets, patch).float() for x in (views.features, views.noise, views.raw, views.weights)
    )
    truth = true_patches(views.labels, views.images, views.masks, chosen, offsets, rays=rays, patch=patch)
    scale = views.images.shape[-1] // rays
    detail = cut_patches(views.detail, chosen, offsets * scale, patch * scale).float()
    return ViewBatch(features, noise, detail, raw, weights, views.w[chosen, None].expand(-1, num_ws, -1), truth)
