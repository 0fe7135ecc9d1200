"""Training of :class:`panohead.models.surface_detail.SurfaceDetail` after the fit: minutes, without a discriminator."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.models.detail_noise import STRANDS
from panohead.models.surface_detail import SurfaceDetail, beside_face
from panohead.system.bounds import Bounded, Natural, NotNegative
from panohead.training.attribute_fit.roughness import Roughness

_START = -1.8
"""Bias of the strengths at the start: a deviation of 0.05."""

_BETA = 0.5
"""Relative error up to which the loss is quadratic."""


@dataclass(frozen=True, kw_only=True)
class DetailConfig(Bounded):
    """Settings.

    Attributes:
        steps: steps; the learning rate falls to nothing over the last third.
        places_per_step: places per step.
        learning_rate: AdamW's.
        head_decay: weight decay of the layer that reads w. Of a few hundred people w is a name: held-out people's
            roughness was told best at 2 (of 0.3, 2 and 10, with 700 shots).
        direction_weight: weight of the roughness by direction beside that of all directions together. Hair is not
            always combed as the strands lie.
        grain_weight: weight of the mean strength of grain on straight hair, and of strands on curls. By roughness alone
            grain would be taken for all hair that is combed another way than the strands lie.
        smooth, rough: roughness at a pixel's distance up to which a surface counts as smooth, as skin does, and from
            which it counts whole, as hair does.
    """

    steps: Natural = 1800
    places_per_step: Natural = 2048
    learning_rate: NotNegative = 4e-3
    head_decay: NotNegative = 2.0
    direction_weight: NotNegative = 0.3
    grain_weight: NotNegative = 2.0
    smooth: NotNegative = 0.04
    rough: NotNegative = 0.08
    seed: int = 0


def wanted_roughness(truth: Roughness, config: DetailConfig) -> Float[Tensor, "place scale direction"]:
    """Return the roughness to be reached: the true one of hair, nothing on skin and in the face."""
    finest = _together(truth.truth)[:, 0]
    share = ((finest - config.smooth) / (config.rough - config.smooth)).clamp(0, 1)
    share = share.square() * (3 - 2 * share)  # smooth step
    return truth.truth * (share[:, None] * beside_face(truth.points))[:, :, None]


def _together(roughness: Float[Tensor, "*batch scale direction"]) -> Float[Tensor, "*batch scale"]:
    return roughness.square().mean(dim=-1).sqrt()


def fit_detail(
    detail: SurfaceDetail, truth: Roughness, config: DetailConfig, say: Callable[[str], None] = print
) -> list[float]:
    """Train in place, from new weights, and return the loss of every step.

    Args:
        say: function called with a line of progress every 500 steps.
    """
    rng = torch.Generator().manual_seed(config.seed)
    wanted = wanted_roughness(truth, config)
    of_directions, of_all = wanted.mean(dim=0), _together(wanted).mean(dim=0)
    _start_anew(detail, rng)
    head = detail.of_head.weight
    others = [p for p in detail.parameters() if p is not head]
    groups = [{"params": others, "weight_decay": 0.0}, {"params": [head], "weight_decay": config.head_decay}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    losses: list[float] = []
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, 3 * (config.steps - step) / config.steps)
        at = torch.randint(len(wanted), (config.places_per_step,), generator=rng)
        features, weights, points = (x[at][:, None] for x in (truth.features, truth.weights, truth.points))
        strengths = detail.strengths(features, weights, points, truth.w[at])[:, 0]  # place noise_channel
        power = torch.einsum("pn,pnsd->psd", strengths.square(), truth.noise[at].square()) + 1e-6
        loss = F.smooth_l1_loss(power.mean(dim=2).sqrt() / of_all, _together(wanted[at]) / of_all, beta=_BETA)
        by_direction = F.smooth_l1_loss(power.sqrt() / of_directions, wanted[at] / of_directions, beta=_BETA)
        loss = loss + config.direction_weight * by_direction
        strands, grain = strengths[:, : len(STRANDS)].mean(dim=1), strengths[:, len(STRANDS) :].mean(dim=1)
        loss = loss + config.grain_weight * torch.lerp(grain, strands, truth.curls[at]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % 500 == 499:
            say(f"detail: step {step + 1} of {config.steps}, loss {sum(losses[-500:]) / 500:.3f}")
    return losses


@torch.no_grad()
def _start_anew(detail: SurfaceDetail, rng: torch.Generator) -> None:
    for layer in (detail.of_place, detail.of_head, detail.hidden, detail.strength):
        layer.weight.normal_(generator=rng)
        if layer.bias is not None:
            layer.bias.zero_()
    assert detail.strength.bias is not None
    detail.strength.bias.fill_(_START)
