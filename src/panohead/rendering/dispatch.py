"""The choice of renderer: a fast one where it serves, the plain reference everywhere else."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths
from panohead.randomness import RenderRandomness
from panohead.rendering import fused_cpu, fused_gradient, training_render
from panohead.rendering.empty_space import find_empty_space
from panohead.rendering.field import Field, HeadField, TriGridField
from panohead.rendering.renderer import RayRendering, RenderConfig, first_depths, render_rays
from panohead.rendering.trigrid import texel_contiguous

_MIN_SAMPLES = 4


def render(
    field: Field,
    ray_origins: Float[Tensor, "batch ray 3"],
    ray_directions: Float[Tensor, "batch ray 3"],
    config: RenderConfig,
    randomness: RenderRandomness | None = None,
) -> RayRendering:
    """Render rays by the fastest renderer that serves: equal to :func:`renderer.render_rays` up to rounding.

    With gradients or density noise, and on a GPU always, :mod:`training_render` serves, compiled or in PyTorch; else
    the compiled :mod:`fused_cpu`; else the reference. All draw their random numbers alike.
    """
    randomness = RenderRandomness() if randomness is None else randomness
    rays = ray_origins, ray_directions
    field = _without_empty_space(field, config, *rays)
    # 1. Gradients, density noise or a GPU: one evaluation at the sorted depths of both passes.
    if why_not_in_training(field, config, *rays) is None:
        assert isinstance(field, TriGridField)
        if fused_gradient.unsupported(field, config.depth_samples, *rays) is None:
            return training_render.render_compiled(field, *rays, config, randomness)
        return training_render.render_in_torch(field, *rays, config, randomness)
    # 2. Inference: everything of a ray within one compiled loop.
    if why_not_fused(field, config, *rays) is None:
        assert isinstance(field, TriGridField)
        return _render_fused(field, *rays, config, randomness)
    # 3. Any field, device and type.
    return render_rays(field, *rays, config, randomness)


def why_not_in_training(field: Field, config: RenderConfig, *rays: Tensor) -> str | None:
    """Return why :mod:`training_render` does not render these rays, in a few words; None where it does."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if not isinstance(field, TriGridField) or not field.composites_hidden_units:
        return "hidden units cannot be composited"
    with_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in (*field.tensors, *rays))
    # On a GPU it is the lean one for images too: it neither concatenates nor sorts hidden units.
    if not with_gradient and config.density_noise <= 0 and rays[0].device.type == "cpu":
        return "neither gradients nor noise are wanted, on a CPU"
    if config.cull_clouds is not None or config.binarize_clouds is not None:
        return "clouds are removed"
    if "auto" in (config.ray_start, config.ray_end) and any(x.requires_grad for x in rays):
        return "depths have gradients"
    return None


def why_not_fused(field: Field, config: RenderConfig, *rays: Tensor) -> str | None:
    """Return why no compiled kernel renders without gradients, in a few words; None where one does."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if not isinstance(field, TriGridField):
        return "not a tri-grid"
    if config.density_noise > 0 or config.cull_clouds is not None or config.binarize_clouds is not None:
        return "density is changed before the march"
    if config.depth_samples < _MIN_SAMPLES:
        return "too few samples"
    return fused_cpu.unsupported(field, *rays)


def _render_fused(
    field: TriGridField, origins: Tensor, directions: Tensor, config: RenderConfig, randomness: RenderRandomness
) -> RayRendering:
    """Render rays by the compiled kernel without gradients."""
    depths = first_depths(origins, directions, config, randomness.jitter(origins, config.depth_samples))
    u = randomness.quantiles(origins, config.importance_samples) if config.importance_samples > 0 else None
    features, depth, weight_sum = fused_cpu.render_rays(
        field, origins, directions, depths, u, crop_margin=config.crop_margin
    )
    if config.white_background:
        features = features + 1 - weight_sum
    return RayRendering(features, depth, weight_sum)


def _without_empty_space(field: Field, config: RenderConfig, *rays: Tensor) -> Field:
    """Return the field with its empty space, where the configuration wants it and a compiled renderer profits."""
    if config.empty_cells == 0 or not isinstance(field, TriGridField) or field.occupied is not None:
        return field
    tensors = (field.planes, *rays)
    if not fast_paths.allowed() or fused_cpu.unsupported(field.detach(), *(x.detach() for x in tensors)) is not None:
        return field
    return find_empty_space(field, config.empty_cells)


def prepare(field: HeadField, *, empty_cells: int = 0) -> HeadField:
    """Return the same field for repeated rendering: in the memory layout of the compiled kernel, empty space found.

    Args:
        empty_cells: as in :class:`RenderConfig`.
    """
    if not fast_paths.allowed() or not isinstance(field, TriGridField):
        return field
    padded = _padded(field)
    if fused_cpu.unsupported(padded) is not None:
        return field
    field = replace(padded, planes=texel_contiguous(padded.planes))
    return field if field.occupied is not None else find_empty_space(field, empty_cells)


def _padded(field: TriGridField) -> TriGridField:
    """Return the same field with channels of zeros up to a multiple that the kernel works in."""
    # Planes of zeros with weights of zero add nothing to the hidden units.
    missing = -field.planes.shape[2] % fused_cpu.CHANNEL_MULTIPLE
    if missing == 0:
        return field
    decoder = replace(field.decoder, hidden_weight=F.pad(field.decoder.hidden_weight, (0, missing)))
    return replace(field, planes=F.pad(field.planes, (0, 0, 0, 0, 0, 0, 0, missing)), decoder=decoder)


def density(field: HeadField, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point 1"]:
    """Return raw density at points in world units, uncropped and without gradients, by the fastest way that serves."""
    if isinstance(field, TriGridField) and fast_paths.allowed() and fused_cpu.unsupported(field, points) is None:
        return fused_cpu.query_density(field, points)
    with torch.no_grad():
        return field.density(points)
