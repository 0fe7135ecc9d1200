"""Patches of rays of a multi-view dataset: which to look at, how to march them cheaply, how to compare them."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.ops import fast_paths
from panohead.rendering import fused_cpu, fused_gradient, importance
from panohead.rendering.compositing import composite, interval_weights
from panohead.rendering.density import clean_density, outside_crop
from panohead.rendering.field import TriGridField
from panohead.rendering.hidden_compositing import composite_hidden
from panohead.rendering.renderer import RenderConfig, first_depths
from panohead.rendering.sampling import importance_depths
from panohead.training.warm_start.multiview import MultiViewData


@dataclass(frozen=True)
class PatchBatch:
    """What one step looks at: a patch of each of several views of several people (targets in [-1, 1] and [0, 1])."""

    person: Int[Tensor, " people"]
    labels: Float[Tensor, "people_view 25"]
    offsets: Int[Tensor, "people_view 2"]
    resolution: int
    image: Float[Tensor, "people_view 3 out_height out_width"]
    mask: Float[Tensor, "people_view 1 out_height out_width"]


@dataclass(frozen=True)
class PatchRendering:
    """A rendered batch of patches; ``picture`` is None while the super-resolution rests."""

    raw: Float[Tensor, "people_view 3 height width"]
    weights: Float[Tensor, "people_view 1 height width"]
    image: Float[Tensor, "people_view 3 out_height out_width"] | None


def pick_patches(
    data: MultiViewData, *, people: int, views: int, patch: int, resolution: int, rng: torch.Generator
) -> PatchBatch:
    """Random people, random views of each, a random patch of each view.

    Args:
        patch: rays per side.
        resolution: of the view that the patch is cut from; equal to ``patch`` for the whole view.
    """
    person = torch.randperm(data.people, generator=rng)[:people]
    shown = torch.stack([_views_of(data, int(p), views, rng) for p in person]).flatten()
    room = resolution - patch
    # Beyond the rim and clamped: corners are covered as often as centres deserve it.
    offsets = torch.randint(-room // 4, room + room // 4 + 1, (len(shown), 2), generator=rng).clamp(0, room)
    pixels = data.images.shape[-1] // resolution
    size = patch * pixels

    def crop(stored: Tensor) -> Tensor:
        corners = (offsets * pixels).tolist()
        crops = [stored[v, :, y : y + size, x : x + size] for v, (y, x) in zip(shown, corners, strict=True)]
        return torch.stack(crops).float() / 255

    return PatchBatch(person, data.labels[shown], offsets, resolution, crop(data.images) * 2 - 1, crop(data.masks))


def _views_of(data: MultiViewData, person: int, count: int, rng: torch.Generator) -> Tensor:
    views = torch.nonzero(data.person == person)[:, 0]
    order = torch.randperm(len(views), generator=rng)
    return views[order.repeat(-(-count // len(views)))[:count]]


def patch_rays(
    batch: PatchBatch, patch: int
) -> tuple[Float[Tensor, "people_view ray 3"], Float[Tensor, "people_view ray 3"]]:
    """Origins and directions of the rays through each view's patch, row by row."""
    rays = []
    for x in rays_from_camera(Camera.from_label(batch.labels), batch.resolution):
        grid = x.unflatten(1, (batch.resolution, batch.resolution))
        corners = batch.offsets.tolist()
        rays.append(torch.stack([g[y : y + patch, x0 : x0 + patch] for g, (y, x0) in zip(grid, corners, strict=True)]))
    return rays[0].flatten(1, 2), rays[1].flatten(1, 2)


def render_patches(
    field: TriGridField,
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    scene: RenderConfig,
    *,
    coarse_samples: int,
    fine_samples: int,
    rng: torch.Generator,
) -> tuple[Float[Tensor, "batch ray channel"], Float[Tensor, "batch ray 1"]]:
    """Features and foreground weight along rays, from samples where a first pass without gradients found weight.

    Cheaper than :func:`panohead.rendering.renderer.render_rays`, of which it is an estimate: only the second pass is
    composited, and only it has gradients.
    """

    # The channels of a texel side by side, for both passes and for the way back.
    field = replace(field, planes=fused_cpu.texel_contiguous(field.planes)) if _compiled(field, fine_samples) else field
    with torch.no_grad():
        fine = _importance_depths(field, origins, directions, scene, coarse_samples, fine_samples, rng)
    if _compiled(field, fine_samples):
        hidden, _, weight_sum = fused_gradient.composite_rays(
            field, origins, directions, fine, None, crop_margin=scene.crop_margin
        )
        return field.finish(hidden, weight_sum), weight_sum
    where = _points(origins, directions, fine)
    if not field.composites_hidden_units:
        raw, color = field(where)
        result = composite(color.reshape(*fine.shape, -1), _clean(raw, where, scene).reshape(fine.shape), fine)
        return result.features, result.weight_sum
    empty = None
    if scene.crop_margin > 0:
        empty = outside_crop(where, box_warp=scene.box_warp, margin=scene.crop_margin).reshape(fine.shape)
    hidden, _, weight_sum = composite_hidden(field.features(where), field.decoder, fine, empty=empty)
    return field.finish(hidden, weight_sum), weight_sum


def _importance_depths(
    field: TriGridField,
    origins: Tensor,
    directions: Tensor,
    scene: RenderConfig,
    coarse_samples: int,
    fine_samples: int,
    rng: torch.Generator,
) -> Tensor:
    """Sorted depths where a first pass finds weight, one at random in each of ``fine_samples`` equal shares of it."""
    coarse = first_depths(origins, directions, scene, torch.rand(*origins.shape[:2], coarse_samples, generator=rng))
    steps = torch.arange(fine_samples)
    u = (steps + torch.rand(*origins.shape[:2], fine_samples, generator=rng)) / fine_samples
    if importance.unsupported(field, coarse_samples, origins, directions) is None:
        return importance.place_samples(field, origins, directions, coarse, u, crop_margin=scene.crop_margin)
    where = _points(origins, directions, coarse)
    weights = interval_weights(_clean(field.density(where), where, scene).reshape(coarse.shape), coarse)
    return importance_depths(coarse, weights, u).sort(dim=-1).values


def _compiled(field: TriGridField, samples: int) -> bool:
    return fast_paths.allowed() and fused_gradient.unsupported(field, samples) is None


def _points(origins: Tensor, directions: Tensor, depths: Tensor) -> Tensor:
    return (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)


def _clean(density: Tensor, points: Tensor, scene: RenderConfig) -> Tensor:
    return clean_density(density, points, box_warp=scene.box_warp, crop_margin=scene.crop_margin)


def patch_losses(
    batch: PatchBatch, rendering: PatchRendering, *, detail_weight: float, mask_weight: float, picture_weight: float
) -> dict[str, Tensor]:
    """Named losses and their weighted "total"; the raw colours have weight 1."""
    pixels = batch.image.shape[-1] // rendering.raw.shape[-1]
    raw_target, mask_target = F.avg_pool2d(batch.image, pixels), F.avg_pool2d(batch.mask, pixels)
    weights = rendering.weights.clamp(1e-4, 1 - 1e-4)
    losses = {
        "colour": (rendering.raw - raw_target).abs().mean(),
        "detail": detail_loss(rendering.raw, raw_target),
        "mask": F.binary_cross_entropy(weights, mask_target),
    }
    total = losses["colour"] + detail_weight * losses["detail"] + mask_weight * losses["mask"]
    if rendering.image is not None:
        pixels = batch.image.shape[-1] // rendering.image.shape[-1]
        target = F.avg_pool2d(batch.image, pixels)
        losses["picture"] = (rendering.image - target).abs().mean() + detail_weight * detail_loss(
            rendering.image, target
        )
        total = total + picture_weight * losses["picture"]
    return losses | {"total": total}


def detail_loss(
    image: Float[Tensor, "batch 3 height width"], target: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, ""]:
    """Mean absolute error of the differences between neighbours, at full and at half size."""
    loss = image.new_zeros(())
    for size in (1, 2):
        error = F.avg_pool2d(image - target, size)
        loss = loss + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return loss
