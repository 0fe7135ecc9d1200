"""Refinement of splats against renders of their own head: colors, opacities, sizes and small shifts by Adam."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.splats.cloud import SplatCloud
from panohead.splats.rasterize import render_splats

_RATES = {"colors": 0.01, "opacity_logits": 0.05, "log_scales": 0.01, "means": 2e-4, "quaternions": 0.01}
_ALPHA_WEIGHT = 0.5
_MAX_GROWTH = 0.7
"""Natural logarithm by which a size may change: twice, or half."""
_MAX_SHIFT = 0.02
"""World units (8 mm)."""


@dataclass(frozen=True)
class TargetView:
    """A render of the head.

    Attributes:
        image: on white, sRGB in [0, 1]; square.
        alpha: of the head, [0, 1].
        camera: without batch dimension.
    """

    image: Float[Tensor, "3 size size"]
    alpha: Float[Tensor, "1 size size"]
    camera: Camera


def refined(
    cloud: SplatCloud,
    views: Sequence[TargetView],
    steps: int,
    *,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> SplatCloud:
    """Return the splats after some steps of Adam against renders of the head, one view a step.

    Sizes stay within half and twice what they were and centers within 8 mm, so that splats which no view shows well
    neither grow nor wander off.

    Args:
        cloud: first splats.
        views: renders of the head on white.
        steps: number of steps; the rates fall by a cosine.
        seed: of the order of the views.
        progress: called after each step.
    """
    if steps == 0:
        return cloud
    start = cloud.detach()
    values = {name: getattr(start, name).clone().requires_grad_() for name in _RATES}
    optimizer = torch.optim.Adam([{"params": [values[n]], "lr": r} for n, r in _RATES.items()], eps=1e-15)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.0)
    random = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(len(views), generator=random) for _ in range(-(-steps // len(views)))])
    for k in order[:steps].tolist():
        view = views[k]
        drawn = render_splats(replace(start, **values), view.camera, view.image.shape[-1])
        error = (drawn.over(1.0) - view.image).abs().mean() + (drawn.over(1.0) - view.image).square().mean() * 4
        loss = error + _ALPHA_WEIGHT * (drawn.alpha - view.alpha).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        _limit(values, start)
        progress()
    return replace(start, **values).detach()


@torch.no_grad()
def _limit(values: dict[str, Tensor], start: SplatCloud) -> None:
    values["colors"].clamp_(0, 1)
    values["opacity_logits"].clamp_(-6, 6)
    for name, most in (("log_scales", _MAX_GROWTH), ("means", _MAX_SHIFT)):
        first = getattr(start, name)
        values[name].copy_(torch.minimum(torch.maximum(values[name], first - most), first + most))
