"""Match of the mapping network after a fit: z ~ N(0, 1) is mapped to the distribution of people's w (without images).

The objective is the energy distance between batches (Szekely and Rizzo 2013; the Cramer GAN's objective without its
critic): zero only for equal distributions, unbiased from samples, and without a network that could be fooled.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.models.generator import Generator
from panohead.system.bounds import Bounded

_MIN_DEVIATION = 0.1
"""Least deviation of a direction of w when it is scaled, as a share of the largest: where people hardly differ, the
mapping network may not wander off, and rounding is not blown up either."""


@dataclass(frozen=True, kw_only=True)
class PriorConfig(Bounded):
    """Settings of the match.

    Attributes:
        steps, batch: Adam steps, and samples of each distribution a step.
        gaussian_steps: steps before them in which the network learns the normal distribution of the same mean and
            covariance. From a random start the energy distance widens a narrow distribution only slowly.
        nearest_weight, nearest_among: weight of the distance of every w to the nearest of so many people's. Heads
            between two people (half a beard, hair of two lengths) cost little energy distance in so many dimensions.
        learning_rate: Adam's; the mapping network's weights are stored a hundredfold (``lr_multiplier``).
    """

    steps: int = 2000
    gaussian_steps: int = 1500
    batch: int = 512
    nearest_weight: float = 0.0
    nearest_among: int = 4096
    learning_rate: float = 8.0
    seed: int = 0


def energy_distance(a: Float[Tensor, "sample dim"], b: Float[Tensor, "other dim"]) -> Float[Tensor, ""]:
    """Return 2 E|a - b| - E|a - a'| - E|b - b'| over pairs of different samples; about 0 for equal distributions."""

    def within(x: Tensor) -> Tensor:
        # n (n - 1) pairs: without the distances of samples to themselves the estimate is unbiased.
        return _distances(x, x).sum() / (len(x) * (len(x) - 1))

    return 2 * _distances(a, b).mean() - within(a) - within(b)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a b: sample other
    squared = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    # The derivative of the root at zero is infinite, so distances of points to themselves must be excluded.
    return (squared.clamp_min(0) + 1e-6).sqrt()


def _row_distances(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b).square().sum(dim=1) + 1e-6).sqrt()


def fit_mapping(generator: Generator, ws: Float[Tensor, "head w_dim"], config: PriorConfig | None = None) -> float:
    """Train the mapping network in place until its w are distributed as ``ws``; sets ``w_avg`` to their mean.

    Args:
        ws: w of many heads; more than a batch.

    Returns:
        The energy distance at the end, of w scaled by the roots of the deviations of ``ws``.
    """
    config = PriorConfig() if config is None else config
    rng = torch.Generator().manual_seed(config.seed)
    mean = ws.mean(dim=0)
    _, deviation, directions = torch.linalg.svd((ws - mean) / len(ws) ** 0.5, full_matrices=False)
    # Square roots of the deviations: small directions count, but less than the visible ones.
    whiten = directions.T / deviation.clamp_min(_MIN_DEVIATION * deviation[0]).sqrt()
    network = generator.mapping_network.train().requires_grad_(True)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    # A constant camera label: people do not depend on the camera.
    label = ws.new_zeros(config.batch, 25)
    # The leading directions of w, as many as z has: normal with mean and covariance of the people.
    count = min(generator.config.z_dim, len(deviation))
    normal = deviation[:count, None] * directions[:count]  # z w
    for step in range(-config.gaussian_steps, config.steps):
        for group in adam.param_groups:
            # Constant for half the steps, then linear to zero.
            group["lr"] = config.learning_rate * min(1.0, 2 * (1 - step / config.steps))
        z = torch.randn(config.batch, generator.config.z_dim, generator=rng)
        fake = (generator.mapping(z, label)[:, 0] - mean) @ whiten
        if step < 0:
            loss = distance = (fake - z[:, :count] @ normal @ whiten).square().mean()
        else:
            real = ws[torch.randint(len(ws), (config.batch,), generator=rng)]
            loss = distance = energy_distance(fake, (real - mean) @ whiten)
            if config.nearest_weight:
                among = (ws[torch.randint(len(ws), (config.nearest_among,), generator=rng)] - mean) @ whiten
                nearest = among[_distances(fake.detach(), among).argmin(dim=1)]
                loss = loss + config.nearest_weight * _row_distances(fake, nearest).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    network.eval().requires_grad_(False)
    network.w_avg.copy_(mean)
    return float(distance.detach())
