"""Patches of rays of a multi-view dataset: random choice, cheap volume rendering, losses."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.models.generator import Generator
from panohead.ops import fast_paths
from panohead.randomness import RenderRandomness
from panohead.rendering import fused_gradient, importance
from panohead.rendering.compositing import composite, interval_weights
from panohead.rendering.density import clean_density, outside_crop
from panohead.rendering.field import TriGridField
from panohead.rendering.hidden_compositing import composite_hidden
from panohead.rendering.renderer import RenderConfig, first_depths
from panohead.rendering.sampling import importance_depths
from panohead.rendering.trigrid import texel_contiguous
from panohead.training.warm_start.multiview import MultiViewData


@dataclass(frozen=True)
class PatchBatch:
    """Patches of one step: one of each of several views of several people.

    Attributes:
        person: indices of the people.
        labels: cameras of the views, those of one person in a row.
        offsets: first row and column of each patch, in rays.
        resolution: rays per side of a whole view.
        image: target colors, [-1, 1].
        mask: target foreground weights, [0, 1].
    """

    person: Int[Tensor, " people"]
    labels: Float[Tensor, "people_view 25"]
    offsets: Int[Tensor, "people_view 2"]
    resolution: int
    image: Float[Tensor, "people_view 3 out_height out_width"]
    mask: Float[Tensor, "people_view 1 out_height out_width"]


@dataclass(frozen=True)
class PatchRendering:
    """Rendered patches.

    Attributes:
        raw: raw colors, about [-1, 1].
        weights: foreground weights, [0, 1].
        image: super-resolved colors, about [-1, 1]; None before super-resolution is trained.
    """

    raw: Float[Tensor, "people_view 3 height width"]
    weights: Float[Tensor, "people_view 1 height width"]
    image: Float[Tensor, "people_view 3 out_height out_width"] | None


def pick_patches(
    data: MultiViewData, *, people: int, views: int, patch: int, resolution: int, rng: torch.Generator
) -> PatchBatch:
    """Choose random people, random views of each, and a random patch of each view.

    Args:
        data: photos of all people.
        people, views: number of people, and of views of each.
        patch: rays per side of a patch.
        resolution: rays per side of the view that the patch is cut from; equal to ``patch`` for the whole view.
        rng: source of random numbers.
    """
    person = torch.randperm(data.people, generator=rng)[:people]
    chosen = torch.stack([_views_of(data, int(p), views, rng) for p in person]).flatten()  # people*view
    room = resolution - patch  # largest first row or column
    # Drawn beyond the borders and clamped, so that corners are covered about as often as the center.
    offsets = torch.randint(-room // 4, room + room // 4 + 1, (len(chosen), 2), generator=rng).clamp(0, room)
    pixels = data.images.shape[-1] // resolution  # pixels per ray and axis
    size = patch * pixels

    def crop(stored: Tensor) -> Tensor:
        corners = (offsets * pixels).tolist()
        crops = [stored[v, :, y : y + size, x : x + size] for v, (y, x) in zip(chosen, corners, strict=True)]
        return torch.stack(crops).float() / 255

    return PatchBatch(person, data.labels[chosen], offsets, resolution, crop(data.images) * 2 - 1, crop(data.masks))


def _views_of(data: MultiViewData, person: int, count: int, rng: torch.Generator) -> Tensor:
    views = torch.nonzero(data.person == person)[:, 0]
    # Without repetition as long as there are enough views.
    order = torch.randperm(len(views), generator=rng)
    return views[order.repeat(-(-count // len(views)))[:count]]


def patch_rays(
    batch: PatchBatch, patch: int
) -> tuple[Float[Tensor, "people_view ray 3"], Float[Tensor, "people_view ray 3"]]:
    """Return origins and directions of the rays through each view's patch, row by row, in world units."""
    rays = []
    for x in rays_from_camera(Camera.from_label(batch.labels), batch.resolution):
        grid = x.unflatten(1, (batch.resolution, batch.resolution))  # people*view row column 3
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
    """Render features and foreground weights from samples where a first pass without gradients found weight.

    Cheaper than :func:`panohead.rendering.renderer.render_rays`, of which it is an estimate: only the second pass is
    composited, and only it has gradients.

    Args:
        field: tri-grids and decoder, one sample per person.
        origins, directions: rays, world units; directions have length 1.
        scene: near and far depths, box and crop.
        coarse_samples, fine_samples: depths per ray in the first and the second pass.
        rng: source of random numbers.
    """

    # The channels of a texel side by side, for both passes and for the way back.
    field = replace(field, planes=texel_contiguous(field.planes)) if _compiled(field, fine_samples) else field
    with torch.no_grad():
        fine = _importance_depths(field, origins, directions, scene, coarse_samples, fine_samples, rng)
    if _compiled(field, fine_samples):
        hidden, _, weight_sum = fused_gradient.composite_rays(
            field, origins, directions, fine, None, crop_margin=scene.crop_margin
        )
        return field.finish(hidden, weight_sum), weight_sum
    points = _points(origins, directions, fine)  # batch ray*sample 3
    if not field.composites_hidden_units:
        raw, color = field(points)
        result = composite(color.reshape(*fine.shape, -1), _clean(raw, points, scene).reshape(fine.shape), fine)
        return result.features, result.weight_sum
    empty = None
    if scene.crop_margin > 0:
        empty = outside_crop(points, box_warp=scene.box_warp, margin=scene.crop_margin).reshape(fine.shape)
    hidden, _, weight_sum = composite_hidden(field.features(points), field.decoder, fine, empty=empty)
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
    """Draw sorted depths in proportion to a first pass's weights, one in each of ``fine_samples`` equal shares."""
    coarse = first_depths(origins, directions, scene, torch.rand(*origins.shape[:2], coarse_samples, generator=rng))
    strata = torch.arange(fine_samples)
    # Stratified: one uniform number in each of fine_samples equal parts of [0, 1).
    u = (strata + torch.rand(*origins.shape[:2], fine_samples, generator=rng)) / fine_samples
    if importance.unsupported(field, coarse_samples, origins, directions) is None:
        return importance.place_samples(field, origins, directions, coarse, u, crop_margin=scene.crop_margin)
    points = _points(origins, directions, coarse)
    weights = interval_weights(_clean(field.density(points), points, scene).reshape(coarse.shape), coarse)
    return importance_depths(coarse, weights, u).sort(dim=-1).values


def _compiled(field: TriGridField, samples: int) -> bool:
    return fast_paths.allowed() and fused_gradient.unsupported(field, samples) is None


def _points(origins: Tensor, directions: Tensor, depths: Tensor) -> Tensor:
    # batch ray sample 3 -> batch ray*sample 3
    return (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)


def _clean(density: Tensor, points: Tensor, scene: RenderConfig) -> Tensor:
    return clean_density(density, points, box_warp=scene.box_warp, crop_margin=scene.crop_margin)


def super_resolve_patch(
    generator: Generator,
    raw: Float[Tensor, "head 3 height width"],
    features: Float[Tensor, "head channel height width"],
    ws: Float[Tensor, "head num_ws w_dim"],
) -> Float[Tensor, "head 3 out_height out_width"]:
    """Apply the generator's super-resolution without its resizing, so that a patch keeps its scale."""
    # Super-resolution takes the last w three times, for two convolutions and the output layer of a block.
    network, rows = generator.superresolution, ws[:, -1:].expand(-1, 3, -1)
    randomness = RenderRandomness(noise_mode=network.config.noise_mode)
    x, image = network.block0(features, raw, rows, randomness=randomness)
    _, image = network.block1(x, image, rows, randomness=randomness)
    assert image is not None
    return image


def patch_losses(
    batch: PatchBatch, rendering: PatchRendering, *, detail_weight: float, mask_weight: float, picture_weight: float
) -> dict[str, Tensor]:
    """Return the losses by name and their weighted sum "total"; raw colors have weight 1.

    Args:
        batch: targets.
        rendering: rendered patches of the same batch.
        detail_weight: weight of the differences between neighboring pixels.
        mask_weight: weight of the mask's cross-entropy.
        picture_weight: weight of the super-resolved image's color and detail, where it is rendered.
    """
    pixels = batch.image.shape[-1] // rendering.raw.shape[-1]
    # A ray stands for a square of pixels: its target is their mean.
    raw_target, mask_target = F.avg_pool2d(batch.image, pixels), F.avg_pool2d(batch.mask, pixels)
    weights = rendering.weights.clamp(1e-4, 1 - 1e-4)  # bounds the cross-entropy and its gradient
    losses = {
        "color": (rendering.raw - raw_target).abs().mean(),
        "detail": detail_loss(rendering.raw, raw_target),
        "mask": F.binary_cross_entropy(weights, mask_target),
    }
    total = losses["color"] + detail_weight * losses["detail"] + mask_weight * losses["mask"]
    if rendering.image is not None:
        pixels = batch.image.shape[-1] // rendering.image.shape[-1]
        target = F.avg_pool2d(batch.image, pixels)
        losses["image"] = (rendering.image - target).abs().mean() + detail_weight * detail_loss(rendering.image, target)
        total = total + picture_weight * losses["image"]
    return losses | {"total": total}


def detail_loss(
    image: Float[Tensor, "batch 3 height width"], target: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, ""]:
    """Return the mean absolute error of differences between neighboring pixels, at full and at half resolution."""
    loss = image.new_zeros(())
    # Differences rather than colors: an offset of the whole patch costs nothing here, a blurred edge does.
    for size in (1, 2):
        error = F.avg_pool2d(image - target, size)
        loss = loss + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return loss
