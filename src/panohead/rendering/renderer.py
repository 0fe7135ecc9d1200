"""Rays through a field to features, depth and foreground weight: the plain reference of every fast path.

Source: EG3D section 4.1 and PanoHead section 3.2 (features and mask); docs/reference.md 3.5 to 3.9.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.limits import NumberRange
from panohead.randomness import RenderRandomness
from panohead.rendering.compositing import clamp_depth, composite, interval_weights
from panohead.rendering.density import EMPTY, clean_density
from panohead.rendering.empty_space import in_empty_space
from panohead.rendering.field import Field, NetworkField
from panohead.rendering.sampling import importance_depths, ray_box_limits, stratified_depths
from panohead.system.bounds import Bounded, NotNegative, Side


@dataclass(frozen=True, kw_only=True)
class RenderConfig(Bounded):
    """Sampling of rays.

    Attributes:
        depth_samples: stratified samples of the first pass.
        importance_samples: further samples where the first pass found weight; 0 for one pass.
        ray_start, ray_end: distances from the camera in world units, or both "auto" for the box's intersections.
        box_warp: side of the box that the tri-grid spans, world units.
        disparity: space the first pass evenly in inverse depth.
        white_background: add 1 - weight to the features.
        crop_margin: rim of the box (x and z) that is emptied, world units; 0 for none.
        cull_clouds, binarize_clouds: opacity below which density is removed; see :func:`clean_density`.
        empty_cells: cells per side of a grid that finds empty space, where compiled renderers take no samples; 0 for
            none. An approximation (see :func:`panohead.rendering.empty_space.find_empty_space`) that pays from about
            40 samples a ray on.
        density_noise: standard deviation of the noise on every raw density (a regularizer that fades in training).
        official_missed_rays: see :func:`ray_box_limits`.
    """

    depth_samples: Side = 48
    importance_samples: Annotated[int, NumberRange(0, 2048)] = 48
    ray_start: Annotated[float, NumberRange(-1e6, 1e6)] | Literal["auto"] = 2.25
    ray_end: Annotated[float, NumberRange(-1e6, 1e6)] | Literal["auto"] = 3.3
    box_warp: Annotated[float, NumberRange(1e-6, 1e6)] = 1.0
    disparity: bool = False
    white_background: bool = False
    crop_margin: NotNegative = 0.1
    cull_clouds: Annotated[float, NumberRange(-1e9, 1e9)] | None = None
    binarize_clouds: Annotated[float, NumberRange(-1e9, 1e9)] | None = None
    empty_cells: Annotated[int, NumberRange(0, 128)] = 0
    density_noise: NotNegative = 0.0
    official_missed_rays: bool = False


@dataclass(frozen=True)
class RayRendering:
    """Rendered rays.

    Attributes:
        features: composited features, premultiplied by the weight.
        depth: mean distance along the ray, world units.
        weight_sum: foreground weight, [0, 1].
        texture: what :class:`panohead.models.surface_texture.SurfaceTexture` adds for super-resolution, premultiplied;
            None for nothing.
        points: where rays hit surfaces in the tri-grid's space, world units, for
            :class:`panohead.models.surface_detail.SurfaceDetail`; None for no detail.
    """

    features: Float[Tensor, "batch ray channel"]
    depth: Float[Tensor, "batch ray 1"]
    weight_sum: Float[Tensor, "batch ray 1"]
    texture: Float[Tensor, "batch ray channel"] | None = None
    points: Float[Tensor, "batch ray 3"] | None = None


def first_depths(
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    jitter: Float[Tensor, "batch ray sample"],
) -> Float[Tensor, "batch ray sample"]:
    """Return the depths of the first pass along rays of unit direction, world units.

    Args:
        jitter: position of every sample within its stratum, [0, 1).
    """
    if config.ray_start == "auto" or config.ray_end == "auto":
        start, end = ray_box_limits(
            ray_origins,
            ray_directions,
            box_warp=config.box_warp,
            official_missed_rays=config.official_missed_rays,
        )
        return stratified_depths(start, end, jitter, disparity=config.disparity)
    return stratified_depths(float(config.ray_start), float(config.ray_end), jitter, disparity=config.disparity)


def render_rays(
    field: Field,
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    randomness: RenderRandomness | None = None,
) -> RayRendering:
    """Render rays in plain PyTorch, differentiable in field and rays.

    Evaluate the field at stratified depths, again where there was weight (NeRF section 5.2), sort all samples by depth
    and composite them.

    Args:
        field: points to (raw density, features).
        ray_origins: world units.
        ray_directions: unit length.
        randomness: jitter, quantiles and density noise; None draws from torch's default generator.
    """
    randomness = RenderRandomness() if randomness is None else randomness
    evaluate = getattr(field, "evaluate", field)

    def evaluate_at(depths: Tensor) -> tuple[Tensor, Tensor]:
        """Density "batch ray sample" and features "batch ray sample channel" after noise and crop."""
        # batch ray sample 3 -> batch ray*sample 3
        points = (ray_origins[:, :, None] + depths[..., None] * ray_directions[:, :, None]).flatten(1, 2)
        if isinstance(field, NetworkField):
            directions = ray_directions[:, :, None].expand(-1, -1, depths.shape[-1], -1)
            density, features = field(points, directions.flatten(1, 2))
        else:
            density, features = evaluate(points)
        noise = density_noise(depths, config, randomness)
        if noise is not None:
            density = density + noise.reshape(density.shape)
        # After the noise, so that cropped samples stay exactly empty.
        density = clean_density(
            density,
            points,
            box_warp=config.box_warp,
            crop_margin=config.crop_margin,
            cull_clouds=config.cull_clouds,
            binarize_clouds=config.binarize_clouds,
        )
        occupied = getattr(field, "occupied", None)
        if occupied is not None:
            empty = in_empty_space(points, occupied, config.box_warp)
            density = density.masked_fill(empty[..., None], EMPTY)
        return density.reshape(depths.shape), features.reshape(*depths.shape, -1)

    jitter = randomness.jitter(ray_origins, config.depth_samples)
    depths = first_depths(ray_origins, ray_directions, config, jitter)
    density, features = evaluate_at(depths)
    if config.importance_samples > 0:
        with torch.no_grad():  # the placing of samples has no gradient
            u = randomness.quantiles(ray_origins, config.importance_samples)
            fine_depths = importance_depths(depths, interval_weights(density, depths), u)
        fine_density, fine_features = evaluate_at(fine_depths)
        # Both passes as one: batch ray coarse+fine, in order of depth.
        depths, order = torch.cat([depths, fine_depths], dim=-1).sort(dim=-1)
        density = torch.cat([density, fine_density], dim=-1).gather(-1, order)
        features = torch.cat([features, fine_features], dim=-2)
        features = features.gather(-2, order[..., None].expand(-1, -1, -1, features.shape[-1]))

    # batch ray sample channel -> batch ray channel
    result = composite(features, density, depths)
    # Fields with ``evaluate`` composited hidden units; ``finish`` applies the color layer once per ray.
    finish = getattr(field, "finish", None)
    rendered = result.features if finish is None else finish(result.features, result.weight_sum)
    if config.white_background:
        rendered = rendered + 1 - result.weight_sum
    return RayRendering(rendered, clamp_depth(result.depth, depths), result.weight_sum)


def density_noise(
    depths: Float[Tensor, "batch ray sample"], config: RenderConfig, randomness: RenderRandomness
) -> Float[Tensor, "batch ray sample"] | None:
    """Return the noise of the raw densities of samples, None without noise (docs/reference.md 3.6).

    Every pass draws its own, after its depths.
    """
    if config.density_noise <= 0:
        return None
    like = depths.reshape(depths.shape[0], -1, 1)  # the original's shape, batch ray*sample 1
    return (randomness.normal(None, like) * config.density_noise).reshape(depths.shape)
