"""Supervision at single points of space, from depth maps without ray marching.

A pixel of known depth gives three facts: space in front of the surface is empty, space just behind it is solid, and
the surface has the pixel's color. Each costs one evaluation of the field, a thirtieth of a rendered ray.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from panohead.ops.pixels import image_from_uint8
from panohead.rendering.field import TriGridField
from panohead.stylegan.synthesis_layers import ToRGB
from panohead.training.attribute_fit.face_windows import detail_windows, face_windows
from panohead.training.attribute_fit.images import color_loss
from panohead.training.attribute_fit.shots import Shots

_INSIDE = 0.06
"""Thickness of the shell behind the surface that counts as solid and has its color, world units.

A texel is about 0.0125 wide, and the first pass's samples are 0.05 apart. Half of the points lie in the first eighth of
the shell: ears and strands are thin.
"""

_IN_FRONT = (0.010, 0.07)
"""Range in front of the surface where half of the empty points are drawn, world units."""

_SCALE = 30.0
"""Scale of raw density in the occupancy logit, raw density / scale (raw 100 absorbs 0.7 over one texel)."""


@dataclass(frozen=True)
class PointBatch:
    """Points of several heads with their known occupancy and color.

    Attributes:
        inside: points on or just behind the surface, or anywhere for empty rays (whose ``solid`` is False).
        empty: points in front of the surface or on empty rays, two per pixel.
        color: the pixel's color, [-1, 1].
        solid: pixels covered wholly by the person; ``usable``: pixels covered wholly or not at all.
    """

    inside: Float[Tensor, "head pixel 3"]
    empty: Float[Tensor, "head two_pixel 3"]
    color: Float[Tensor, "head pixel 3"]
    solid: Bool[Tensor, "head pixel"]
    usable: Bool[Tensor, "head pixel"]


def sample_points(
    data: Shots, shots: Int[Tensor, " head"], *, pixels: int, ray_range: tuple[float, float], rng: torch.Generator
) -> PointBatch:
    """Sample pixels of all views of the given shots, and points along their rays.

    Args:
        pixels: pixels per view: a third from the face where it is visible (half of them eyes and mouth), a third from
            the middle half of the image (two thirds where it is not), a third from anywhere.
        ray_range: distances between which empty rays are sampled, world units.
    """
    views = data.view_of[shots]  # head view
    side, shape = data.resolution, (*views.shape, pixels)
    x, y = _sample_pixels(data.labels[views], side, shape, rng).unbind(-1)
    flat = views[..., None] * side * side + y * side + x  # index into view height width
    depth = data.depth.reshape(-1)[flat].float()  # head view pixel
    coverage = data.masks.reshape(-1)[flat]
    # Pixels covered in part are neither: their depth and color belong to two surfaces.
    solid, empty = (coverage >= 253) & (depth > 0), coverage == 0
    plane = views[..., None] * 3 * side * side + y * side + x
    color = image_from_uint8(
        torch.stack([data.images.reshape(-1)[plane + c * side * side] for c in range(3)], -1)
    )  # ... 3

    # Pixel centers lie at half-integers: head view 1 3, and head view pixel 3.
    origins, directions = _rays(data.labels[views], (x + 0.5) / side, (y + 0.5) / side)
    near, far = ray_range
    u = torch.rand((3, *shape), generator=rng, device=rng.device)
    anywhere = near + (far - near) * u[:2]
    inside = torch.where(solid, depth + _INSIDE * u[2] ** 3, anywhere[0])
    # The square draws more points near the surface, where the density has to rise.
    close = depth - (_IN_FRONT[0] + (_IN_FRONT[1] - _IN_FRONT[0]) * u[0].square())
    before = near + (depth - 0.02 - near) * u[1]
    front = torch.where(solid, torch.stack([close, before]), anywhere)  # 2 head view pixel

    def at(distance: Tensor) -> Tensor:
        return (origins + distance[..., None] * directions).flatten(1, 2)  # head (view pixel) 3

    return PointBatch(
        at(inside),
        torch.cat([at(front[0]), at(front[1])], dim=1),
        color.flatten(1, 2),
        solid.flatten(1),
        (solid | empty).flatten(1),
    )


def _sample_pixels(
    labels: Float[Tensor, "head view 25"], side: int, shape: tuple[int, ...], rng: torch.Generator
) -> Int[Tensor, "head view pixel 2"]:
    """Sample pixels (x, y): thirds from the face (half of them eyes and mouth), the middle half and the whole view."""
    u = torch.rand((*shape, 2), generator=rng, device=rng.device)
    faces, details = face_windows(labels), detail_windows(labels)
    number = torch.arange(shape[-1], device=rng.device)[:, None]  # pixel 1
    middle = 0.25 + 0.5 * u
    # head view pixel 2
    face = faces.center[..., None, :] + faces.radius[..., None, None] * (2 * u - 1)
    of = number[:, 0] % details.center.shape[-2]
    detail = details.center[..., of, :] + details.radius[..., of, :] * (2 * u - 1)
    face = torch.where(number < shape[-1] // 6, detail, face)
    face = torch.where(faces.visible[..., None, None], face, middle)
    at = torch.where(number < shape[-1] // 3, face, torch.where(number < 2 * shape[-1] // 3, middle, u))
    return (at * side).long().clamp(0, side - 1)


def _rays(
    labels: Float[Tensor, "*view 25"], u: Float[Tensor, "*view pixel"], v: Float[Tensor, "*view pixel"]
) -> tuple[Float[Tensor, "*view #pixel 3"], Float[Tensor, "*view pixel 3"]]:
    """Return origins and unit directions through image coordinates (0 to 1) of cameras without skew."""
    pose, k = labels[..., :16].unflatten(-1, (4, 4)), labels[..., 16:].unflatten(-1, (3, 3))
    # Pinhole camera: K^-1 (u, v, 1), rotated to the world.
    x = (u - k[..., 0, 2, None]) / k[..., 0, 0, None]
    y = (v - k[..., 1, 2, None]) / k[..., 1, 1, None]
    in_camera = F.normalize(torch.stack([x, y, torch.ones_like(x)], dim=-1), dim=-1)
    return pose[..., None, :3, 3], in_camera @ pose[..., :3, :3].transpose(-1, -2)


def point_losses(
    field: TriGridField, to_rgb: ToRGB, w: Float[Tensor, "head w_dim"], batch: PointBatch, *, sharpness: float = 1.0
) -> dict[str, Tensor]:
    """Return mean losses: ``occupancy`` (cross-entropy with the known occupancy) and ``surface_color`` (Huber).

    Args:
        sharpness: factor of the raw densities that belong to the same occupancy.
    """
    count = batch.inside.shape[1]
    # One evaluation of the tri-grid for all points: head (inside, empty) hidden.
    hidden = field.hidden(torch.cat([batch.inside, batch.empty], dim=1))
    logits = field.decoder.density(hidden)[..., 0] / (_SCALE * sharpness)
    target = torch.cat([batch.solid, torch.zeros_like(batch.solid).repeat(1, 2)], dim=1).float()
    usable = batch.usable.float().repeat(1, 3)
    occupancy = F.binary_cross_entropy_with_logits(logits, target, weight=usable, reduction="sum") / usable.sum()

    # The raw image is torgb_raw of composited features; an opaque surface has those of one point.
    features = field.decoder.color(hidden[:, :count]).transpose(1, 2)[..., None]  # head channel pixel 1
    color = to_rgb(features, w, fused=False)[..., 0].transpose(1, 2)
    solid = batch.solid.float()[..., None]
    surface = (color_loss(color, batch.color) * solid).sum() / (3 * solid.sum()).clamp_min(1)
    return {"occupancy": occupancy, "surface_color": surface}
