"""Rays through a field to features, depth and foreground weight (paper section 3.1; facts section 3)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.rendering.compositing import clamp_depth, composite, interval_weights
from panohead.rendering.density import clean_density
from panohead.rendering.field import Field
from panohead.rendering.sampling import importance_depths, ray_box_limits, stratified_depths


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """How rays are sampled.

    Attributes:
        depth_samples: stratified samples of the first pass.
        importance_samples: further samples where the first pass found something; 0 for one pass.
        ray_start, ray_end: distances from the camera in world units, or both "auto" for the box's intersections.
        box_warp: side of the box that the tri-grid spans, world units.
        disparity: space the first pass evenly in inverse depth.
        white_background: add what no density absorbed to the features.
        crop_margin: rim of the box (x and z) that is emptied, world units; 0 for none.
        cull_clouds, binarize_clouds: opacity below which density is removed; see :func:`clean_density`.
        density_noise: standard deviation of the noise on every density (a regulariser that fades in training).
        official_missed_rays: see :func:`ray_box_limits`.
    """

    depth_samples: int = 48
    importance_samples: int = 48
    ray_start: float | Literal["auto"] = 2.25
    ray_end: float | Literal["auto"] = 3.3
    box_warp: float = 1.0
    disparity: bool = False
    white_background: bool = False
    crop_margin: float = 0.1
    cull_clouds: float | None = None
    binarize_clouds: float | None = None
    density_noise: float = 0.0
    official_missed_rays: bool = False


@dataclass(frozen=True, kw_only=True)
class RayRandomness:
    """The renderer's random numbers: given, one number for all, or drawn (None) from ``generator``.

    The stratified jitter is always on, in evaluation too, as in the original; give 0.5 for a repeatable picture.

    Attributes:
        ray_jitter: in [0, 1), "batch ray sample"; depths must not decrease along a ray.
        importance_u: in [0, 1), "batch*ray fine".
    """

    ray_jitter: Float[Tensor, "batch ray sample"] | float | None = None
    importance_u: Float[Tensor, "batch_ray fine"] | float | None = None
    generator: torch.Generator | None = None

    @classmethod
    def even(
        cls, rays: int, samples: int, device: torch.device | str, generator: torch.Generator | None = None
    ) -> "RayRandomness":
        """Nothing random: the middle of every stratum, and evenly spaced quantiles for ``samples`` fine ones a ray."""
        count = max(samples, 1)
        quantiles = (torch.arange(count, device=device) + 0.5) / count
        return cls(ray_jitter=0.5, importance_u=quantiles.expand(rays, count), generator=generator)

    def jitter(self, like: Float[Tensor, "batch ray 3"], samples: int) -> Float[Tensor, "batch ray sample"]:
        """Jitter for the first pass."""
        return self._get(self.ray_jitter, (*like.shape[:2], samples), like)

    def u(self, like: Float[Tensor, "batch ray 3"], samples: int) -> Float[Tensor, "batch ray sample"]:
        """Quantiles for the importance samples."""
        return self._get(self.importance_u, (like.shape[0] * like.shape[1], samples), like).reshape(
            *like.shape[:2], samples
        )

    def _get(self, given: Tensor | float | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
        if given is None:
            return torch.rand(shape, device=like.device, dtype=like.dtype, generator=self.generator)
        given = torch.as_tensor(given, device=like.device, dtype=like.dtype)
        return given.reshape(shape) if given.numel() == math.prod(shape) else given.expand(shape)


@dataclass(frozen=True)
class RayRendering:
    """The result: features premultiplied by the weight, depth along the ray (world units), weight in [0, 1]."""

    features: Float[Tensor, "batch ray channel"]
    depth: Float[Tensor, "batch ray 1"]
    weight_sum: Float[Tensor, "batch ray 1"]


def first_depths(
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    jitter: Float[Tensor, "batch ray sample"],
) -> Float[Tensor, "batch ray sample"]:
    """Depths of the first pass."""
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
    randomness: RayRandomness | None = None,
) -> RayRendering:
    """Render rays in plain PyTorch: the reference of every fast path, differentiable.

    Look along every ray at stratified depths, look again where there was weight, sort all samples by depth and
    composite them.

    Args:
        field: points to (raw density, features).
        ray_directions: unit length.
    """
    randomness = RayRandomness() if randomness is None else randomness
    evaluate = getattr(field, "evaluate", field)

    def look(depths: Tensor) -> tuple[Tensor, Tensor]:
        points = (ray_origins[:, :, None] + depths[..., None] * ray_directions[:, :, None]).flatten(1, 2)
        density, features = evaluate(points)
        noise = density_noise(depths, config, randomness)
        if noise is not None:
            density = density + noise.reshape(density.shape)
        density = clean_density(
            density,
            points,
            box_warp=config.box_warp,
            crop_margin=config.crop_margin,
            cull_clouds=config.cull_clouds,
            binarize_clouds=config.binarize_clouds,
        )
        return density.reshape(depths.shape), features.reshape(*depths.shape, -1)

    jitter = randomness.jitter(ray_origins, config.depth_samples)
    depths = first_depths(ray_origins, ray_directions, config, jitter)
    density, features = look(depths)
    if config.importance_samples > 0:
        with torch.no_grad():
            u = randomness.u(ray_origins, config.importance_samples)
            fine_depths = importance_depths(depths, interval_weights(density, depths), u)
        fine_density, fine_features = look(fine_depths)
        depths, order = torch.cat([depths, fine_depths], dim=-1).sort(dim=-1)
        density = torch.cat([density, fine_density], dim=-1).gather(-1, order)
        features = torch.cat([features, fine_features], dim=-2)
        features = features.gather(-2, order[..., None].expand(-1, -1, -1, features.shape[-1]))

    result = composite(features, density, depths)
    finish = getattr(field, "finish", None)
    rendered = result.features if finish is None else finish(result.features, result.weight_sum)
    if config.white_background:
        rendered = rendered + 1 - result.weight_sum
    return RayRendering(rendered, clamp_depth(result.depth, depths), result.weight_sum)


def density_noise(
    depths: Float[Tensor, "batch ray sample"], config: RenderConfig, randomness: RayRandomness
) -> Float[Tensor, "batch ray sample"] | None:
    """What is added to the raw densities of samples, None without noise. Every pass draws its own, after its depths."""
    if config.density_noise <= 0:
        return None
    like = depths.reshape(depths.shape[0], -1, 1)
    return (standard_normal(like, randomness.generator) * config.density_noise).reshape(depths.shape)


def standard_normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Normal numbers in the shape of ``like``."""
    return torch.randn(like.shape, device=like.device, dtype=like.dtype, generator=generator)
