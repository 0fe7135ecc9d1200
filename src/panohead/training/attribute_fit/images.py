"""Supervision by images: patches of rays, rendered with the quadrature of inference."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.models.generator import Generator
from panohead.ops.pixels import image_from_uint8, mask_from_uint8
from panohead.randomness import RenderRandomness
from panohead.rendering.dispatch import render
from panohead.rendering.field import TriGridField
from panohead.training.attribute_fit.face_windows import detail_windows, face_windows
from panohead.training.attribute_fit.shots import Shots
from panohead.training.warm_start.patches import super_resolve_patch

_HUBER = 0.25
"""Color difference from which the loss is linear: twice the mean difference after some thousand steps."""

_DETAIL = 5.0
"""Weight of pixels of eyes and mouth, where those of the rest have 1."""

_FACE_SHARE = 0.6
"""Share of the views with a visible face whose patch is drawn around it."""


@dataclass(frozen=True)
class ImageBatch:
    """One patch of one view of each head, the person over white.

    Attributes:
        offsets: upper left corner (y, x) of the patch, in rays.
        image: the patch in the full image, [-1, 1].
        mask: coverage, [0, 1].
        importance: weight of every pixel in losses of colors: eyes and mouth count more.
        rays: rays per side of the patch.
    """

    labels: Float[Tensor, "head 25"]
    offsets: Int[Tensor, "head 2"]
    image: Float[Tensor, "head 3 height width"]
    mask: Float[Tensor, "head 1 height width"]
    importance: Float[Tensor, "head 1 height width"]
    rays: int

    def at_rays(
        self,
    ) -> tuple[Float[Tensor, "head 3 ray_height ray_width"], Float[Tensor, "head 1 ray_height ray_width"]]:
        """Return image and mask at the resolution of the rays, where raw images are supervised."""
        scale = self.image.shape[-1] // self.rays
        return F.avg_pool2d(self.image, scale), F.avg_pool2d(self.mask, scale)


@dataclass(frozen=True)
class RenderedPatches:
    """Rendering of an :class:`ImageBatch`; ``image`` is super-resolved, the others are per ray."""

    image: Float[Tensor, "head 3 height width"]
    image_raw: Float[Tensor, "head 3 ray_height ray_width"]
    weights: Float[Tensor, "head 1 ray_height ray_width"]


def sample_patches(
    data: Shots, shots: Int[Tensor, " head"], *, rays: int, patch: int, rng: torch.Generator
) -> ImageBatch:
    """Sample a random view of each shot and a patch of it: every other one around the face where it is visible.

    Args:
        rays: rays per side of a whole view.
        patch: rays per side of the patch.
    """
    views = data.view_of[shots]  # head view
    count, device = len(shots), rng.device
    view = views.gather(1, torch.randint(views.shape[1], (count, 1), generator=rng, device=device))[:, 0]
    offsets = sample_offsets(data.labels[view], rays=rays, patch=patch, face_share=_FACE_SHARE, rng=rng)
    return true_patches(data.labels, data.images, data.masks, view, offsets, rays=rays, patch=patch)


def sample_offsets(
    labels: Float[Tensor, "head 25"], *, rays: int, patch: int, face_share: float, rng: torch.Generator
) -> Int[Tensor, "head 2"]:
    """Sample the upper left corner (y, x) of a patch of each view, in rays.

    Args:
        rays, patch: rays per side of a whole view and of the patch.
        face_share: share of the views with a visible face whose patch is drawn around it.
    """
    room, count, device = rays - patch, len(labels), rng.device
    # Drawn beyond the border and clamped, so that corners are covered as often as centers.
    offsets = torch.randint(-room // 4, room + room // 4 + 1, (count, 2), generator=rng, device=device).clamp(0, room)
    faces = face_windows(labels)
    jitter = torch.randint(-patch // 4, patch // 4 + 1, (count, 2), generator=rng, device=device)
    around_face = (faces.center.flip(-1) * rays).long() - patch // 2 + jitter  # y x
    chosen = faces.visible & (torch.rand(count, generator=rng, device=device) < face_share)
    return torch.where(chosen[:, None], around_face.clamp(0, room), offsets)


def true_patches(
    labels: Float[Tensor, "view 25"],
    images: UInt8[Tensor, "view 3 height width"],
    masks: UInt8[Tensor, "view height width"],
    view: Int[Tensor, " head"],
    offsets: Int[Tensor, "head 2"],
    *,
    rays: int,
    patch: int,
) -> ImageBatch:
    """Cut the patches at ``offsets`` (in rays) from the true images of the views ``view``, the person over white."""
    scale = images.shape[-1] // rays
    image = image_from_uint8(cut_patches(images, view, offsets * scale, patch * scale))
    mask = mask_from_uint8(cut_patches(masks[:, None], view, offsets * scale, patch * scale))
    importance = _importance(labels[view], offsets * scale, patch * scale, images.shape[-1])
    return ImageBatch(labels[view], offsets, on_white(image, mask), mask, importance, patch)


def _importance(
    labels: Float[Tensor, "head 25"], corner: Int[Tensor, "head 2"], size: int, side: int
) -> Float[Tensor, "head 1 size size"]:
    """Return the weights of the pixels of square windows by their upper left corners (y, x)."""
    y, x = window_indices(corner, size)
    # head pixel 2, image coordinates of pixel centers
    pixels = (torch.stack(torch.broadcast_tensors(x, y), dim=-1).flatten(1, 2) + 0.5) / side
    covered = detail_windows(labels).cover(pixels)
    return (1 + (_DETAIL - 1) * covered.float()).unflatten(1, (1, size, size))


def cut_patches(
    maps: Shaped[Tensor, "view channel height width"],
    view: Int[Tensor, " head"],
    corner: Int[Tensor, "head 2"],
    size: int,
) -> Shaped[Tensor, "head channel size size"]:
    """Cut a square at its upper left corner (y, x) from the map of each of the views ``view``."""
    y, x = window_indices(corner, size)
    # Indices around a slice put its dimension last: head height width channel.
    return maps[view[:, None, None], :, y, x].permute(0, 3, 1, 2)


def window_indices(
    corner: Int[Tensor, "head 2"], size: int
) -> tuple[Int[Tensor, "head size 1"], Int[Tensor, "head 1 size"]]:
    """Return rows and columns of square windows by their upper left corners (y, x), ready for indexing."""
    line = torch.arange(size, device=corner.device)
    return (corner[:, :1] + line)[:, :, None], (corner[:, 1:] + line)[:, None, :]


def on_white(image: Float[Tensor, "*head 3 h w"], mask: Float[Tensor, "*head 1 h w"]) -> Float[Tensor, "*head 3 h w"]:
    """Composite the person over white, for images in [-1, 1] of the person over another background."""
    return image * mask + (1 - mask)


def render_patches(
    generator: Generator,
    field: TriGridField,
    ws: Float[Tensor, "head num_ws w_dim"],
    batch: ImageBatch,
    *,
    patch: int,
    rng: torch.Generator,
) -> RenderedPatches:
    """Render the patches with the generator's own quadrature, then super-resolve them."""
    rays = generator.config.neural_rendering_resolution
    origins, directions = (
        _cut(x, batch.offsets, rays, patch) for x in rays_from_camera(Camera.from_label(batch.labels), rays)
    )
    found = render(field, origins, directions, generator.config.rendering, RenderRandomness(generator=rng))
    found = generator.textured(field, origins, directions, found, side=patch)

    def square(x: Tensor) -> Tensor:
        return x.transpose(1, 2).unflatten(2, (patch, patch))  # head ray channel -> head channel height width

    features, weights = square(found.features), square(found.weight_sum)
    assert generator.torgb_raw is not None
    raw = generator.torgb_raw(features, ws[:, -1], fused=False)
    if found.texture is not None:
        features = features + square(found.texture)
    # Without the detail: which strand is where is not to be learned from a regression.
    return RenderedPatches(super_resolve_patch(generator, raw, features, ws), raw, weights)


def _cut(rays: Float[Tensor, "head ray 3"], offsets: Int[Tensor, "head 2"], side: int, patch: int) -> Tensor:
    y, x = window_indices(offsets, patch)
    head = torch.arange(len(rays), device=rays.device)[:, None, None]
    return rays.unflatten(1, (side, side))[head, y, x].flatten(1, 2)  # head patch_ray 3


def image_losses(rendered: RenderedPatches, batch: ImageBatch) -> dict[str, Tensor]:
    """Return mean losses: raw and super-resolved color (Huber), detail (pixel differences), mask (cross-entropy).

    Eyes and mouth count more in all but the mask (:attr:`ImageBatch.importance`).
    """
    target_raw, target_mask = batch.at_rays()
    pixels = batch.importance
    rays = F.avg_pool2d(pixels, pixels.shape[-1] // batch.rays)
    return {
        "raw": (rays * color_loss(rendered.image_raw, target_raw)).mean(),
        "raw_detail": detail_loss(rendered.image_raw, target_raw, rays),
        "mask": F.binary_cross_entropy(rendered.weights.clamp(1e-4, 1 - 1e-4), target_mask),
        "image": (pixels * color_loss(rendered.image, batch.image)).mean(),
        "image_detail": detail_loss(rendered.image, batch.image, pixels),
    }


def color_loss(a: Float[Tensor, "*shape"], b: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return Huber's loss of colors in [-1, 1], with slope 1 beyond 0.25.

    The gradient of L1 keeps its size near the optimum, so with few heads a step it is mostly noise; that of the square
    follows highlights and outliers.
    """
    return F.smooth_l1_loss(a, b, beta=_HUBER, reduction="none")


def detail_loss(
    a: Float[Tensor, "head 3 h w"], b: Float[Tensor, "head 3 h w"], weight: Float[Tensor, "head 1 h w"]
) -> Float[Tensor, ""]:
    """Return L1 between differences of neighboring pixels, horizontal and vertical, over one and two pixels.

    Args:
        weight: weight of each difference, at its lower or right pixel.
    """
    difference = a - b
    terms = [
        (weight[..., k:, :] * (difference[..., k:, :] - difference[..., :-k, :]).abs()).mean()
        + (weight[..., :, k:] * (difference[..., :, k:] - difference[..., :, :-k]).abs()).mean()
        for k in (1, 2)
    ]
    return torch.stack(terms).mean()
