"""A differentiable splatter in PyTorch: splats to an image by sorted alpha compositing (Kerbl et al. 2023, section 4).

Written for some hundred thousand splats and images of about a hundred pixels on a CPU: all pairs of a splat and a pixel
that it covers are listed, in the order of depth, and composited by a cumulative sum within each pixel. What is hidden
(transmittance below ``HIDDEN``) is found without gradients first and left out of the differentiated part.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from panohead.geometry import Camera, single_camera
from panohead.limits import NumberRange
from panohead.splats.cloud import SplatCloud, check_cloud, rotation_matrices

HIDDEN = 1e-3
"""Transmittance behind which nothing is drawn."""
PIXEL_VARIANCE = 1 / 12
"""Variance of a pixel's own square: what a splat is widened by, its opacity reduced by the same factor."""
_MIN_ALPHA, _MAX_ALPHA = 1 / 255, 0.99
_EXTENT = 3.0
"""Standard deviations beyond which a splat covers no pixel."""
_NEAR = 0.05
_SIZE = NumberRange(1, 4096, "pixels per side")


@dataclass(frozen=True)
class SplatImage:
    """Splats seen by one camera.

    Attributes:
        color: premultiplied by alpha, [0, 1].
        alpha: opacity, [0, 1].
    """

    color: Float[Tensor, "3 height width"]
    alpha: Float[Tensor, "1 height width"]

    def over(self, level: float) -> Float[Tensor, "3 height width"]:
        """Return the image on an even gray background, [0, 1]."""
        return self.color + (1 - self.alpha) * level


@dataclass(frozen=True)
class _Projected:
    """Splats on the image plane, in pixels: center, inverse covariance (xx, xy, yy), opacity, reach of the box."""

    center: Float[Tensor, "splat 2"]
    conic: Float[Tensor, "splat 3"]
    opacity: Float[Tensor, " splat"]
    reach: Float[Tensor, "splat 2"]
    depth: Float[Tensor, " splat"]


def render_splats(cloud: SplatCloud, camera: Camera, size: int) -> SplatImage:
    """Render splats from one camera (without batch dimension) to ``size`` x ``size`` pixels; differentiable.

    Raises:
        UsageError: for what is no cloud, no single camera, or no size.
    """
    cloud = check_cloud(cloud)
    camera, size = single_camera(camera, "the camera of splats"), _SIZE.whole(size, "size")
    with torch.no_grad():
        flat = _project(cloud, camera, size)
        splat, pixel = _pairs(flat, size)
        alpha = _alphas(flat, splat, pixel, size)
        lit = alpha >= _MIN_ALPHA
        splat, pixel, alpha = splat[lit], pixel[lit], alpha[lit]
        pixel, order = torch.sort(pixel, stable=True)
        splat = splat[order]
        shown = _transmittance(alpha[order], pixel) >= HIDDEN
        splat, pixel = splat[shown], pixel[shown]
        used, splat = torch.unique(splat, return_inverse=True)
    seen = cloud[used]
    alpha = _alphas(_project(seen, camera, size), splat, pixel, size)
    weight = alpha * _transmittance(alpha, pixel)
    values = torch.cat([seen.colors[splat], torch.ones_like(weight)[:, None]], dim=1) * weight[:, None]
    image = values.new_zeros(size * size, 4).index_add(0, pixel, values).T.unflatten(1, (size, size))
    return SplatImage(image[:3], image[3:])


def _project(cloud: SplatCloud, camera: Camera, size: int) -> _Projected:
    """Project centers and covariances (the perspective linearized at the center, EWA splatting)."""
    to_camera = camera.cam2world[:3, :3].T.to(cloud.means)
    points = (cloud.means - camera.cam2world[:3, 3].to(cloud.means)) @ to_camera.T
    x, y, z = points.unbind(-1)
    z = z.clamp_min(_NEAR)
    intrinsics = camera.intrinsics.to(cloud.means) * size
    center = torch.stack([intrinsics[0, 0] * x / z + intrinsics[0, 2], intrinsics[1, 1] * y / z + intrinsics[1, 2]], -1)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [
            torch.stack([intrinsics[0, 0] / z, zero, -intrinsics[0, 0] * x / z**2], -1),
            torch.stack([zero, intrinsics[1, 1] / z, -intrinsics[1, 1] * y / z**2], -1),
        ],
        -2,
    )
    axes = rotation_matrices(cloud.quaternions) * cloud.log_scales.exp()[:, None]
    flat = jacobian @ (to_camera @ axes)  # splat 2 3
    xx, xy, yy = (flat[:, 0] ** 2).sum(-1), (flat[:, 0] * flat[:, 1]).sum(-1), (flat[:, 1] ** 2).sum(-1)
    own = (xx * yy - xy * xy).clamp_min(1e-12)
    xx, yy = xx + PIXEL_VARIANCE, yy + PIXEL_VARIANCE
    determinant = xx * yy - xy * xy
    opacity = torch.sigmoid(cloud.opacity_logits) * (own / determinant).sqrt()
    opacity = torch.where(points[:, 2] > _NEAR, opacity, torch.zeros_like(opacity))
    conic = torch.stack([yy, -xy, xx], -1) / determinant[:, None]
    return _Projected(center, conic, opacity, _EXTENT * torch.stack([xx, yy], -1).sqrt(), points[:, 2])


def _pairs(flat: _Projected, size: int) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Return splats and pixels of all pairs, nearer splats first."""
    order = torch.argsort(flat.depth)
    # Pixel k covers [k, k + 1), its center is at k + 0.5.
    first = (flat.center - flat.reach - 0.5).ceil().clamp(0, size).long()[order]
    last = (flat.center + flat.reach - 0.5).floor().clamp(-1, size - 1).long()[order]
    extent = (last - first + 1).clamp_min(0) * (flat.opacity[order] >= _MIN_ALPHA).long()[:, None]
    count = extent[:, 0] * extent[:, 1]
    splat = torch.repeat_interleave(torch.arange(len(count)), count)
    place = torch.arange(len(splat)) - (count.cumsum(0) - count)[splat]
    width = extent[splat, 0]
    row = torch.div(place, width, rounding_mode="floor")
    pixel = (first[splat, 1] + row) * size + first[splat, 0] + place - row * width
    return order[splat], pixel


def _alphas(
    flat: _Projected, splat: Int[Tensor, " pair"], pixel: Int[Tensor, " pair"], size: int
) -> Float[Tensor, " pair"]:
    row = torch.div(pixel, size, rounding_mode="floor")
    center, conic = flat.center[splat], flat.conic[splat]
    dx, dy = pixel - row * size + 0.5 - center[:, 0], row + 0.5 - center[:, 1]
    distance = conic[:, 0] * dx * dx + 2 * conic[:, 1] * dx * dy + conic[:, 2] * dy * dy
    return (flat.opacity[splat] * torch.exp(-0.5 * distance)).clamp_max(_MAX_ALPHA)


def _transmittance(alpha: Float[Tensor, " pair"], pixel: Int[Tensor, " pair"]) -> Float[Tensor, " pair"]:
    """Return the share of light that comes through all nearer pairs of the same pixel; pairs are sorted by pixel."""
    before = torch.log1p(-alpha.double()).cumsum(0)
    before = torch.cat([before.new_zeros(1), before[:-1]])
    starts = torch.ones_like(pixel, dtype=torch.bool)
    starts[1:] = pixel[1:] != pixel[:-1]
    group = starts.long().cumsum(0) - 1
    return torch.exp(before - before[starts][group]).to(alpha)
