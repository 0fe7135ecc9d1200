"""Rendering with gradients and density noise, for training: faster than the reference, equal to it up to rounding.

:func:`panohead.rendering.renderer.render_rays` evaluates both passes with gradients and sorts their samples' hidden
units by the hundred. But the first pass only places the samples of the second, which has no gradient. So here it runs
without one, the *depths* are sorted, and the field is evaluated once at all of them and composited: by the compiled
kernels of :mod:`panohead.rendering.fused_gradient` or, on any device, by
:mod:`panohead.rendering.hidden_compositing`. :mod:`panohead.rendering.dispatch` chooses.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.randomness import RenderRandomness
from panohead.rendering import fused_cpu, fused_gradient
from panohead.rendering.compositing import clamp_depth, interval_weights
from panohead.rendering.density import EMPTY, outside_crop
from panohead.rendering.empty_space import in_empty_space
from panohead.rendering.field import TriGridField
from panohead.rendering.hidden_compositing import composite_hidden
from panohead.rendering.renderer import RayRendering, RenderConfig, density_noise, first_depths
from panohead.rendering.sampling import importance_depths


def render_compiled(
    field: TriGridField,
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    randomness: RenderRandomness,
) -> RayRendering:
    """Render rays by the compiled kernels; differentiable in planes, decoder and rays."""
    depths = first_depths(ray_origins, ray_directions, config, randomness.jitter(ray_origins, config.depth_samples))
    coarse_noise, u, fine_noise = density_noise(depths, config, randomness), None, None
    if config.importance_samples > 0:
        u = randomness.quantiles(ray_origins, config.importance_samples)  # batch ray fine
        # Drawn after u as in the reference, which draws it when the fine depths are known; only the shape counts.
        fine_noise = density_noise(u, config, randomness)
    composited = fused_gradient.composite_rays(
        field,
        ray_origins,
        ray_directions,
        depths,
        u,
        coarse_noise=coarse_noise,
        fine_noise=fine_noise,
        crop_margin=config.crop_margin,
    )
    return _finish(field, config, *composited)


def render_in_torch(
    field: TriGridField,
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    randomness: RenderRandomness,
) -> RayRendering:
    """Render rays on any device in PyTorch; differentiable in planes, decoder and rays."""
    # batch ray coarse+fine, both in order of depth
    depths, noise = _all_depths(field, ray_origins, ray_directions, config, randomness)
    points = _points(ray_origins, ray_directions, depths)
    empty = _empty(points, depths, config, field)
    features = field.features(points)  # batch ray*sample channel
    hidden, depth, weight_sum = composite_hidden(features, field.decoder, depths, empty=empty, noise=noise)
    return _finish(field, config, hidden, clamp_depth(depth, depths), weight_sum)


def _finish(
    field: TriGridField, config: RenderConfig, hidden: Tensor, depth: Tensor, weight_sum: Tensor
) -> RayRendering:
    """Color features from composited hidden units "batch ray hidden", on white where the config says so."""
    features = field.finish(hidden, weight_sum)
    if config.white_background:
        features = features + 1 - weight_sum
    return RayRendering(features, depth, weight_sum)


@torch.no_grad()
def _all_depths(
    field: TriGridField, origins: Tensor, directions: Tensor, config: RenderConfig, randomness: RenderRandomness
) -> tuple[Tensor, Tensor | None]:
    """Return the depths of both passes in order and the noise of their densities; the first pass keeps its noise."""
    jitter = randomness.jitter(origins, config.depth_samples)
    depths = first_depths(origins, directions, config, jitter)
    noise = density_noise(depths, config, randomness)
    if config.importance_samples == 0:
        return depths, noise
    points = _points(origins, directions, depths)
    density = _density(field, points).reshape(depths.shape)  # batch ray coarse
    density = density if noise is None else density + noise
    empty = _empty(points, depths, config, field)
    density = density if empty is None else density.masked_fill(empty, EMPTY)
    u = randomness.quantiles(origins, config.importance_samples)
    fine = importance_depths(depths, interval_weights(density, depths), u)
    depths, order = torch.cat([depths, fine], dim=-1).sort(dim=-1)
    # Every sample keeps its noise through the sorting.
    fine_noise = density_noise(fine, config, randomness)
    if noise is not None and fine_noise is not None:
        noise = torch.cat([noise, fine_noise], dim=-1).gather(-1, order)
    return depths, noise


def _points(origins: Tensor, directions: Tensor, depths: Tensor) -> Tensor:
    """Return the points at the depths "batch ray sample" of every ray, "batch ray*sample 3", world units."""
    return (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)


def _empty(points: Tensor, depths: Tensor, config: RenderConfig, field: TriGridField) -> Tensor | None:
    """Return which samples are in the crop or in empty space, "batch ray sample"; None for neither."""
    empty = None
    if config.crop_margin > 0:
        empty = outside_crop(points, box_warp=config.box_warp, margin=config.crop_margin).reshape(depths.shape)
    if field.occupied is not None:
        known = in_empty_space(points, field.occupied, field.box_warp).reshape(depths.shape)
        empty = known if empty is None else empty | known
    return empty


def _density(field: TriGridField, points: Tensor) -> Tensor:
    """Raw density at points, "batch point 1", by the compiled query where it serves."""
    return (
        fused_cpu.query_density(field, points)
        if fused_cpu.unsupported(field, points) is None
        else field.density(points)
    )
