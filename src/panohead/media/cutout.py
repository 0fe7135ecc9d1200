"""Foreground colors along a head's outline, where a rendered image still holds some of its background.

A pixel of the outline is ``alpha * head + (1 - alpha) * background``. Put on something else it would carry a fringe of
the old background. Neither part is known there, but both are visible nearby: the head's color is carried outward from
opaque pixels, the background's inward from empty ones, and the mixture is solved where alpha is large enough.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_FAINT = 0.7
"""Below this alpha the mixture is not solved (errors grow by 1 / alpha); the carried color is taken."""
_SOLVED = 1.0
"""Alpha from which the solution alone counts."""
_TRUST = 16
"""Power of alpha by which a pixel's color counts as the head's, and of 1 - alpha as the background's."""

_VARIANCE = 1e-3
"""Variance of colors in [-1, 1] below which a window of the guided filter counts as flat (its epsilon)."""
_FAINTEST = 0.05
"""Alpha below which a refined mask is 0, and 1 minus which it is 1: the filter leaves a haze."""


def refined_alpha(
    alpha: Float[Tensor, "1 height width"], image: Float[Tensor, "3 height width"], *, texel: float
) -> Float[Tensor, "1 height width"]:
    """Return a coarse mask with the edges of the image: the guided filter of He, Sun and Tang (ECCV 2010).

    In every small window alpha becomes a linear function of the colors, so that the steps of a mask that was rendered
    with fewer pixels than the image follow the outline in it. Where head and background have one color, it is only
    smoothed.

    Args:
        alpha: the mask, enlarged to the image's size, in [0, 1].
        image: in [-1, 1].
        texel: pixels of the image per pixel of the mask and axis; up to 1 the mask is returned as it is.
    """
    if texel <= 1:
        return alpha
    radius = math.ceil(1.5 * texel)

    def mean(x: Tensor) -> Tensor:
        padded = F.pad(x[None], (radius,) * 4, mode="replicate")
        width = 2 * radius + 1
        return F.avg_pool2d(F.avg_pool2d(padded, (width, 1), stride=1), (1, width), stride=1)[0]

    color, share = mean(image), mean(alpha)
    covariance = mean(image * alpha) - color * share  # 3 h w
    products = (image[:, None] * image[None]).flatten(0, 1)
    variance = mean(products).unflatten(0, (3, 3)) - color[:, None] * color[None]  # 3 3 h w
    rows = (variance + _VARIANCE * torch.eye(3, device=image.device)[..., None, None]).unbind(0)
    # Cramer's rule for the symmetric 3 x 3 system of every pixel: many times faster than a general solver.
    minors = [torch.linalg.cross(rows[i - 2], rows[i - 1], dim=0) for i in range(3)]
    determinant = (rows[0] * minors[0]).sum(dim=0)
    slope = torch.stack([(minor * covariance).sum(dim=0) for minor in minors]) / determinant
    offset = share - (slope * color).sum(dim=0, keepdim=True)
    refined = (mean(slope) * image).sum(dim=0, keepdim=True) + mean(offset)
    return ((refined - _FAINTEST) / (1 - 2 * _FAINTEST)).clamp(0, 1)


def foreground_colors(
    image: Float[Tensor, "3 height width"], alpha: Float[Tensor, "1 height width"]
) -> Float[Tensor, "3 height width"]:
    """Return the image without the background's share of its colors: straight (not premultiplied) colors for ``alpha``.

    Opaque pixels stay as they are; beyond the outline the nearest colors of the head continue, so that neither
    enlarging nor a video's coarser colors draw a fringe.

    Args:
        image: in [-1, 1].
        alpha: the head's share of every pixel, in [0, 1].
    """
    if not bool((alpha > 0.5).any()):
        return image
    head = _carried(image, alpha**_TRUST)
    background = _carried(image, (1 - alpha) ** _TRUST)
    # image = alpha * head + (1 - alpha) * background, solved for head.
    solved = (image - (1 - alpha) * background) / alpha.clamp_min(_FAINT)
    share = ((alpha - _FAINT) / (_SOLVED - _FAINT)).clamp(0, 1)
    colors = torch.lerp(head, solved, share).clamp(-1, 1)
    return torch.where(alpha >= 1, image, colors)


def _carried(image: Float[Tensor, "3 height width"], trust: Float[Tensor, "1 height width"]) -> Tensor:
    """Fill pixels of little trust with the color of the nearest trusted ones, averaged over ever larger blocks."""
    colors, trust = (image * trust)[None], trust[None]
    levels = [(colors, trust)]
    while min(levels[-1][0].shape[-2:]) > 1:
        levels.append(tuple(F.avg_pool2d(x, 2, ceil_mode=True) for x in levels[-1]))  # type: ignore[arg-type]
    filled = levels[-1][0] / levels[-1][1].clamp_min(1e-12)
    for summed, weight in reversed(levels[:-1]):
        coarser = F.interpolate(filled, summed.shape[-2:], mode="bilinear", align_corners=False)
        # A block that is trusted anywhere keeps its own mean; only nearly empty ones take that of a larger block.
        known = (weight * 4).clamp(0, 1)
        filled = torch.lerp(coarser, summed / weight.clamp_min(1e-12), known)
    return filled[0]
