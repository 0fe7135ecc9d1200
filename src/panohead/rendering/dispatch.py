"""Which renderer: a fast one where it can serve, the plain reference everywhere else."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths
from panohead.rendering import fused_cpu, training_render
from panohead.rendering.field import Field, TriGridField
from panohead.rendering.renderer import RayRandomness, RayRendering, RenderConfig, first_depths, render_rays

_MIN_SAMPLES = 4


def render(
    field: Field,
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    randomness: RayRandomness | None = None,
) -> RayRendering:
    """As :func:`panohead.rendering.renderer.render_rays`, by the fastest way there is, with or without gradients."""
    randomness = RayRandomness() if randomness is None else randomness
    if training_render.unsupported(field, config, ray_origins, ray_directions) is None:
        assert isinstance(field, TriGridField)
        return training_render.render_in_training(field, ray_origins, ray_directions, config, randomness)
    if why_not_fused(field, config, ray_origins, ray_directions) is not None:
        return render_rays(field, ray_origins, ray_directions, config, randomness)
    assert isinstance(field, TriGridField)
    jitter = randomness.jitter(ray_origins, config.depth_samples)
    depths = first_depths(ray_origins, ray_directions, config, jitter)
    u = randomness.u(ray_origins, config.importance_samples) if config.importance_samples > 0 else None
    features, depth, weight_sum = fused_cpu.render_rays(
        field, ray_origins, ray_directions, depths, u, crop_margin=config.crop_margin
    )
    if config.white_background:
        features = features + 1 - weight_sum
    return RayRendering(features, depth, weight_sum)


def why_not_fused(field: Field, config: RenderConfig, *rays: Tensor) -> str | None:
    """Why no compiled kernel renders without gradients, in a few words; None where it does."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if not isinstance(field, TriGridField):
        return "not a tri-grid"
    if config.density_noise > 0 or config.cull_clouds is not None or config.binarize_clouds is not None:
        return "density is changed before the march"
    if config.depth_samples < _MIN_SAMPLES:
        return "too few samples"
    return fused_cpu.unsupported(field, *rays)


def prepare(field: TriGridField) -> TriGridField:
    """The same field in the memory layout that the compiled kernel reads, for fields that are rendered repeatedly."""
    if not fast_paths.allowed():
        return field
    padded = _padded(field)
    if fused_cpu.unsupported(padded) is not None:
        return field
    return replace(padded, planes=fused_cpu.texel_contiguous(padded.planes))


def _padded(field: TriGridField) -> TriGridField:
    """The same field with channels of zeros up to the number that the kernel works in."""
    missing = -field.planes.shape[2] % fused_cpu.CHANNEL_MULTIPLE
    if missing == 0:
        return field
    decoder = replace(field.decoder, hidden_weight=F.pad(field.decoder.hidden_weight, (0, missing)))
    return replace(field, planes=F.pad(field.planes, (0, 0, 0, 0, 0, 0, 0, missing)), decoder=decoder)


def density(field: TriGridField, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point 1"]:
    """Raw density at points in world units, uncropped, by the fastest way there is."""
    if fast_paths.allowed() and fused_cpu.unsupported(field, points) is None:
        return fused_cpu.query_density(field, points)
    with torch.no_grad():
        return field.density(points)
