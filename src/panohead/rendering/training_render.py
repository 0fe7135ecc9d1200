"""Rendering as training does, with gradients and noise: faster than the reference, equal to it up to rounding.

:func:`panohead.rendering.renderer.render_rays` evaluates both passes with gradients and sorts what they return: hidden
units by the hundred. But the first pass only says where to look, which has no gradient. So here it runs without one,
the *depths* are sorted, and the field is evaluated once at all of them and composited: by the compiled kernels of
:mod:`panohead.rendering.fused_gradient` or, on any device, by :mod:`panohead.rendering.hidden_compositing`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths
from panohead.rendering import fused_cpu, fused_gradient
from panohead.rendering.compositing import clamp_depth, interval_weights
from panohead.rendering.density import EMPTY, outside_crop
from panohead.rendering.field import Field, TriGridField
from panohead.rendering.hidden_compositing import composite_hidden
from panohead.rendering.renderer import RayRandomness, RayRendering, RenderConfig, density_noise, first_depths
from panohead.rendering.sampling import importance_depths


def unsupported(field: Field, config: RenderConfig, *rays: Tensor) -> str | None:
    """Why this module does not render, in a few words; None if it does."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if not isinstance(field, TriGridField) or not field.composites_hidden_units:
        return "hidden units cannot be composited"
    wanted = torch.is_grad_enabled() and any(x.requires_grad for x in (*field.tensors, *rays))
    if not wanted and config.density_noise <= 0:
        return "neither gradients nor noise are wanted"
    if config.cull_clouds is not None or config.binarize_clouds is not None:
        return "clouds are removed"
    if "auto" in (config.ray_start, config.ray_end) and any(x.requires_grad for x in rays):
        return "depths have gradients"
    return None


def render_in_training(
    field: TriGridField,
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    randomness: RayRandomness,
) -> RayRendering:
    """As ``renderer.render_rays``; differentiable in planes, decoder and rays. Random numbers are drawn alike."""
    compiled = fused_gradient.unsupported(field, config.depth_samples, ray_origins, ray_directions) is None
    implementation = _compiled if compiled else _in_torch
    hidden, depth, weight_sum = implementation(field, ray_origins, ray_directions, config, randomness)
    features = field.finish(hidden, weight_sum)
    if config.white_background:
        features = features + 1 - weight_sum
    return RayRendering(features, depth, weight_sum)


def _compiled(
    field: TriGridField, origins: Tensor, directions: Tensor, config: RenderConfig, randomness: RayRandomness
) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden units, depth and weight by the compiled kernels."""
    depths = first_depths(origins, directions, config, randomness.jitter(origins, config.depth_samples))
    coarse_noise, u, fine_noise = density_noise(depths, config, randomness), None, None
    if config.importance_samples > 0:
        u = randomness.u(origins, config.importance_samples)
        fine_noise = density_noise(u, config, randomness)
    return fused_gradient.composite_rays(
        field,
        origins,
        directions,
        depths,
        u,
        coarse_noise=coarse_noise,
        fine_noise=fine_noise,
        crop_margin=config.crop_margin,
    )


def _in_torch(
    field: TriGridField, origins: Tensor, directions: Tensor, config: RenderConfig, randomness: RayRandomness
) -> tuple[Tensor, Tensor, Tensor]:
    """The same on any device."""
    depths, noise = _all_depths(field, origins, directions, config, randomness)
    points = _points(origins, directions, depths)
    empty = _empty(points, depths, config)
    features = field.features(points)
    hidden, depth, weight_sum = composite_hidden(features, field.decoder, depths, empty=empty, noise=noise)
    return hidden, clamp_depth(depth, depths), weight_sum


@torch.no_grad()
def _all_depths(
    field: TriGridField, origins: Tensor, directions: Tensor, config: RenderConfig, randomness: RayRandomness
) -> tuple[Tensor, Tensor | None]:
    """Depths of both passes in order, and the noise of their densities: a sample of the first pass keeps its own."""
    jitter = randomness.jitter(origins, config.depth_samples)
    depths = first_depths(origins, directions, config, jitter)
    noise = density_noise(depths, config, randomness)
    if config.importance_samples == 0:
        return depths, noise
    points = _points(origins, directions, depths)
    density = _density(field, points).reshape(depths.shape)
    density = density if noise is None else density + noise
    empty = _empty(points, depths, config)
    density = density if empty is None else density.masked_fill(empty, EMPTY)
    u = randomness.u(origins, config.importance_samples)
    fine = importance_depths(depths, interval_weights(density, depths), u)
    depths, order = torch.cat([depths, fine], dim=-1).sort(dim=-1)
    fine_noise = density_noise(fine, config, randomness)
    if noise is not None and fine_noise is not None:
        noise = torch.cat([noise, fine_noise], dim=-1).gather(-1, order)
    return depths, noise


def _points(origins: Tensor, directions: Tensor, depths: Tensor) -> Tensor:
    return (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)


def _empty(points: Tensor, depths: Tensor, config: RenderConfig) -> Tensor | None:
    if config.crop_margin <= 0:
        return None
    return outside_crop(points, box_warp=config.box_warp, margin=config.crop_margin).reshape(depths.shape)


def _density(field: TriGridField, points: Tensor) -> Tensor:
    return (
        fused_cpu.query_density(field, points)
        if fused_cpu.unsupported(field, points) is None
        else field.density(points)
    )
