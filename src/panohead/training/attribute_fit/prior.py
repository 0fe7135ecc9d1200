"""Mapping network after a fit: z ~ N(0, 1) to the w of people, learned from attributes drawn by z (without images).

A match of distributions alone (energy distance) gave heads between people: half a beard, hair of two lengths, gray for
every color, as in so many dimensions they cost little. Drawn by z (:mod:`copula`), every z has attributes of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from panohead.models.generator import Generator
from panohead.stylegan.layers import normalize_second_moment
from panohead.system.bounds import Bounded

_MIN_DEVIATION = 0.1
"""Least deviation of a direction of w when it is scaled, as a share of the largest: where people hardly differ, the
mapping network may not wander off, and rounding is not blown up either."""


@dataclass(frozen=True, kw_only=True)
class PriorConfig(Bounded):
    """Settings of :func:`fit_mapping`.

    Attributes:
        steps, batch: Adam steps, and heads of a step.
        measured: heads over which deviations and the error are measured.
        learning_rate: Adam's at first; the mapping network's weights are stored a hundredfold (``lr_multiplier``).
    """

    steps: int = 8000
    batch: int = 512
    measured: int = 8192
    learning_rate: float = 8.0
    seed: int = 0


def fit_mapping(generator: Generator, teacher: Callable[[Tensor], Tensor], config: PriorConfig | None = None) -> float:
    """Train the mapping network in place to give the w of ``teacher``; sets ``w_avg`` to their mean.

    Args:
        teacher: map of normal z (head z_dim), of mean square 1 as in the mapping network, to w (head w_dim).

    Returns:
        Share of the variance of the teacher's w that the network leaves unexplained.
    """
    config = PriorConfig() if config is None else config
    rng = torch.Generator().manual_seed(config.seed)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        z = torch.randn(count, generator.config.z_dim, generator=rng)
        return z, teacher(normalize_second_moment(z))

    with torch.no_grad():
        _, ws = draw(config.measured)
    mean = ws.mean(dim=0)
    _, deviation, directions = torch.linalg.svd((ws - mean) / len(ws) ** 0.5, full_matrices=False)
    whiten = directions.T / deviation.clamp_min(_MIN_DEVIATION * deviation[0]).sqrt()
    network = generator.mapping_network.train().requires_grad_(True)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    label = ws.new_zeros(config.batch, 25)
    for step in range(config.steps):
        for group in adam.param_groups:
            group["lr"] = config.learning_rate * min(1.0, 2 * (1 - step / config.steps))
        with torch.no_grad():
            z, target = draw(config.batch)
        loss = ((generator.mapping(z, label)[:, 0] - target) @ whiten).square().mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    network.eval().requires_grad_(False)
    network.w_avg.copy_(mean)
    with torch.no_grad():
        z, target = draw(config.measured)
        left = (generator.mapping(z, ws.new_zeros(config.measured, 25))[:, 0] - target).square().sum()
        return float(left / (target - target.mean(dim=0)).square().sum())
