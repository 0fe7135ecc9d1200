"""Roughness of images: the strength of differences between near pixels, in the inside of rough regions.

:class:`panohead.models.surface_detail.SurfaceDetail` is fitted to it. Edges do not count: a quantile of the
neighborhood is measured, and an edge covers less than its rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from panohead.attributes.vocabulary import Vocabulary
from panohead.geometry import Camera
from panohead.models.surface_detail import rays_to_pixels
from panohead.ops.pixels import image_from_uint8, mask_from_uint8
from panohead.randomness import RenderRandomness
from panohead.training.attribute_fit.fit import HeadModel
from panohead.training.attribute_fit.images import on_white
from panohead.training.attribute_fit.shots import Shots

SCALES, DIRECTIONS = 3, 4
"""Scales of the differences, 1, 2 and 4 pixels, each in four directions (right, down, and both diagonals)."""

_SMOOTHING = (0.0, 0.8, 1.6)
"""Deviation of the blur before the differences of each scale, pixels."""

_WINDOW, _STRIDE = 11, 4
"""Side and distance of the neighborhoods, pixels."""

_QUANTILE, _NORMAL_QUANTILE = 0.7, 1.0364
"""Quantile of the absolute differences in a neighborhood, and its value for a normal distribution of deviation 1."""

_CURLS = ("curly", "afro", "buzz")
"""Styles of hair without a direction."""

_BLACK = 0.06
"""Added to the brightness (0 to 2) that differences are divided by: black pixels say nothing."""


@dataclass(frozen=True)
class Roughness:
    """Places on heads where the generator's rays hit them, and how rough the truth is there.

    Attributes:
        features: composited features, premultiplied by the weight.
        weights: foreground weight, above 0.9.
        points: in the tri-grid's space, world units.
        w: code of the head.
        curls: 1 for places of people whose hair has no direction (curls, afros, stubble), otherwise 0.
        truth: deviation of the true image's differences, as a share of the brightness.
        noise: the same of each channel of noise.
    """

    features: Float[Tensor, "place channel"]
    weights: Float[Tensor, "place 1"]
    points: Float[Tensor, "place 3"]
    w: Float[Tensor, "place w_dim"]
    curls: Float[Tensor, " place"]
    truth: Float[Tensor, "place scale direction"]
    noise: Float[Tensor, "place noise_channel scale direction"]

    @classmethod
    def joined(cls, parts: Sequence["Roughness"]) -> "Roughness":
        """Return the places of all parts."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))


def differences(image: Float[Tensor, "view 1 height width"]) -> Float[Tensor, "view scale_and_direction height width"]:
    """Return the differences to pixels at 1, 2 and 4 pixels' distance, in four directions each."""
    found = []
    for scale, deviation in enumerate(_SMOOTHING):
        smooth = _blurred(image, deviation)
        step = 2**scale
        for down, right in ((0, step), (step, 0), (step, step), (step, -step)):
            found.append(smooth.roll((-down, -right), dims=(2, 3)) - smooth)
    return torch.cat(found, dim=1)


def _blurred(image: Tensor, deviation: float) -> Tensor:
    if deviation == 0:
        return image
    radius = int(3 * deviation + 0.5)
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / deviation).square())
    line = line / line.sum()
    image = F.conv2d(F.pad(image, (radius, radius, 0, 0), mode="reflect"), line[None, None, None])
    return F.conv2d(F.pad(image, (0, 0, radius, radius), mode="reflect"), line[None, None, :, None])


def true_roughness(image: Float[Tensor, "1 3 height width"]) -> Float[Tensor, "place scale direction"]:
    """Return the roughness of an image ([-1, 1]) around every fourth pixel, as a share of the brightness."""
    luminance = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    steps = differences(luminance)[0].abs()[:, None]
    windows = F.unfold(steps, _WINDOW, padding=_WINDOW // 2, stride=_STRIDE)  # difference pixel place
    rank = round(_QUANTILE * _WINDOW**2)
    deviation = windows.kthvalue(rank, dim=1).values / _NORMAL_QUANTILE  # difference place
    brightness = F.avg_pool2d(luminance + 1, _WINDOW, _STRIDE, _WINDOW // 2, count_include_pad=False) + _BLACK
    rough = (deviation / brightness.flatten()).unflatten(1, brightness.shape[2:])  # difference row column
    # The least of nine neighborhoods: where hair ends, tips over skin are rougher than hair, and skin is smooth.
    rough = -F.max_pool2d(-rough[None], 3, stride=1, padding=1)[0].flatten(1)
    return rough.T.unflatten(1, (SCALES, DIRECTIONS))


def noise_roughness(noise: Float[Tensor, "channel height width"]) -> Float[Tensor, "place channel scale direction"]:
    """Return the roughness of noise around every fourth pixel."""
    steps = differences(noise[:, None]).square()
    power = F.avg_pool2d(steps, _WINDOW, _STRIDE, _WINDOW // 2).clamp_min(1e-12)  # channel difference row column
    return power.sqrt().flatten(2).permute(2, 0, 1).unflatten(2, (SCALES, DIRECTIONS))


@torch.no_grad()
def measure_roughness(
    model: HeadModel,
    data: Shots,
    shots: Int[Tensor, " shot"],
    *,
    views: int,
    rng: torch.Generator,
    vocabulary: Vocabulary,
) -> Roughness:
    """Render some views of each shot and measure the true images where the rays hit the head.

    Args:
        views: number of random views of each shot.
        vocabulary: that of the attributes.
    """
    generator = model.generator
    detail = generator.surface_detail
    assert detail is not None
    styles = [vocabulary.names.index(f"hair_style={style}") for style in _CURLS]
    side, parts = generator.config.neural_rendering_resolution, []
    for shot in shots.tolist():
        ws = model.ws(data.attributes[shot : shot + 1], data.person[shot : shot + 1])
        field = generator.prepared_field(ws)
        chosen = torch.randperm(data.view_of.shape[1], generator=rng)[:views]
        for view in data.view_of[shot, chosen].tolist():
            camera = Camera.from_label(data.labels[view : view + 1])
            found = generator.render(field, camera, side, RenderRandomness.even())
            assert found.points is not None
            places = rays_to_pixels(found.points, side, data.resolution)
            noise = detail.noise_images(places, torch.ones_like(places[:, 0], dtype=torch.bool))
            mask = mask_from_uint8(data.masks[view : view + 1, None])
            image = on_white(image_from_uint8(data.images[view : view + 1]), mask)
            at = _rays_at_places(side, data.resolution)
            whole = F.avg_pool2d(mask, _WINDOW, _STRIDE, _WINDOW // 2).flatten() > 0.97
            whole &= found.weight_sum[0, at, 0] > 0.9
            place = [x[0, at][whole] for x in (found.features, found.weight_sum, found.points)]
            w = ws[:, -1].expand(len(place[0]), -1)
            curls = data.attributes[shot, styles].sum().expand(len(w))
            parts.append([*place, w, curls, true_roughness(image)[whole], noise_roughness(noise[0])[whole]])
    return Roughness(*(torch.cat(x) for x in zip(*parts, strict=True)))


def _rays_at_places(side: int, resolution: int) -> Int[Tensor, " place"]:
    """Return the indices of the rays in the middle of the neighborhoods."""
    line = torch.arange(0, resolution, _STRIDE) * side // resolution
    return (line[:, None] * side + line).flatten()
