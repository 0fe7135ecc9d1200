"""Supervision by images: patches of rays, rendered with the quadrature of inference."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.models.generator import Generator
from panohead.ops.pixels import image_from_uint8, mask_from_uint8
from panohead.randomness import RenderRandomness
from panohead.rendering.dispatch import render
from panohead.rendering.field import TriGridField
from panohead.training.attribute_fit.face_windows import face_windows
from panohead.training.attribute_fit.shots import Shots
from panohead.training.warm_start.patches import super_resolve_patch

_FACE_SHARE = 0.6
"""Share of the views with a visible face whose patch is drawn around it."""


@dataclass(frozen=True)
class ImageBatch:
    """One patch of one view of each head, the person over white.

    Attributes:
        offsets: upper left corner (y, x) of the patch, in rays.
        image: the patch in the full image, [-1, 1].
        mask: coverage, [0, 1].
        rays: rays per side of the patch.
    """

    labels: Float[Tensor, "head 25"]
    offsets: Int[Tensor, "head 2"]
    image: Float[Tensor, "head 3 height width"]
    mask: Float[Tensor, "head 1 height width"]
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
    view = views.gather(1, torch.randint(views.shape[1], (len(shots), 1), generator=rng))[:, 0]
    room, scale = rays - patch, data.resolution // rays
    # Drawn beyond the border and clamped, so that corners are covered as often as centers.
    offsets = torch.randint(-room // 4, room + room // 4 + 1, (len(shots), 2), generator=rng).clamp(0, room)
    faces = face_windows(data.labels[view])
    jitter = torch.randint(-patch // 4, patch // 4 + 1, (len(shots), 2), generator=rng)
    around_face = (faces.center.flip(-1) * rays).long() - patch // 2 + jitter  # y x
    chosen = faces.visible & (torch.rand(len(shots), generator=rng) < _FACE_SHARE)
    offsets = torch.where(chosen[:, None], around_face.clamp(0, room), offsets)
    size = patch * scale  # pixels of the full image
    corners = [(int(v), y, x) for v, (y, x) in zip(view, (offsets * scale).tolist(), strict=True)]
    image = image_from_uint8(torch.stack([data.images[v, :, y : y + size, x : x + size] for v, y, x in corners]))
    mask = mask_from_uint8(torch.stack([data.masks[v, None, y : y + size, x : x + size] for v, y, x in corners]))
    return ImageBatch(data.labels[view], offsets, on_white(image, mask), mask, patch)


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
    # head ray channel -> head channel height width
    features, weights = (x.transpose(1, 2).unflatten(2, (patch, patch)) for x in (found.features, found.weight_sum))
    assert generator.torgb_raw is not None
    raw = generator.torgb_raw(features, ws[:, -1], fused=False)
    return RenderedPatches(super_resolve_patch(generator, raw, features, ws), raw, weights)


def _cut(rays: Float[Tensor, "head ray 3"], offsets: Int[Tensor, "head 2"], side: int, patch: int) -> Tensor:
    grid = rays.unflatten(1, (side, side))
    # head height width 3
    cut = [grid[i, y : y + patch, x : x + patch] for i, (y, x) in enumerate(offsets.tolist())]
    return torch.stack(cut).flatten(1, 2)


def image_losses(rendered: RenderedPatches, batch: ImageBatch) -> dict[str, Tensor]:
    """Return mean losses: raw and super-resolved color (L1), detail (pixel differences), mask (cross-entropy)."""
    target_raw, target_mask = batch.at_rays()
    return {
        "raw": (rendered.image_raw - target_raw).abs().mean(),
        "raw_detail": detail_loss(rendered.image_raw, target_raw),
        "mask": F.binary_cross_entropy(rendered.weights.clamp(1e-4, 1 - 1e-4), target_mask),
        "image": (rendered.image - batch.image).abs().mean(),
        "image_detail": detail_loss(rendered.image, batch.image),
    }


def detail_loss(a: Float[Tensor, "head 3 h w"], b: Float[Tensor, "head 3 h w"]) -> Float[Tensor, ""]:
    """Return L1 between differences of neighboring pixels, horizontal and vertical, over one and two pixels."""
    difference = a - b
    terms = [
        (difference[..., k:, :] - difference[..., :-k, :]).abs().mean()
        + (difference[..., :, k:] - difference[..., :, :-k]).abs().mean()
        for k in (1, 2)
    ]
    return torch.stack(terms).mean()
