"""How steps are taken: Adam for lazily regularised losses, and gradients that cannot ruin the weights (facts 5)."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

GENERATOR_LEARNING_RATE = 0.0025
DISCRIMINATOR_LEARNING_RATE = 0.002
GENERATOR_INTERVAL = 4
DISCRIMINATOR_INTERVAL = 16
MAX_GRADIENT = 1e5


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Adam's settings. The defaults are the official ones of both players but for the learning rate.

    Attributes:
        interval: of lazy regularisation: the regulariser runs every so many steps, on its own and that much stronger,
            with the same optimiser. None for a player without one.
    """

    learning_rate: float
    betas: tuple[float, float] = (0.0, 0.99)
    epsilon: float = 1e-8
    interval: int | None = None

    def per_step(self) -> tuple[float, tuple[float, float]]:
        """Learning rate and betas that make ``interval`` + 1 steps do what ``interval`` steps did (StyleGAN2, B)."""
        if self.interval is None:
            return self.learning_rate, self.betas
        share = self.interval / (self.interval + 1)
        return self.learning_rate * share, (self.betas[0] ** share, self.betas[1] ** share)


def generator_adam(*, density_regularized: bool = False) -> AdamConfig:
    """The official generator's settings: lazy only where the density regulariser is on."""
    return AdamConfig(
        learning_rate=GENERATOR_LEARNING_RATE, interval=GENERATOR_INTERVAL if density_regularized else None
    )


def discriminator_adam() -> AdamConfig:
    """The official discriminator's settings: R1 every sixteenth step."""
    return AdamConfig(learning_rate=DISCRIMINATOR_LEARNING_RATE, interval=DISCRIMINATOR_INTERVAL)


def make_adam(parameters: Iterable[nn.Parameter], config: AdamConfig) -> torch.optim.Adam:
    """The optimiser of one player, for its main loss and its regulariser alike."""
    learning_rate, betas = config.per_step()
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, eps=config.epsilon)


@torch.no_grad()
def sanitize_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace NaN by 0 and infinities by +-1e5 in every gradient, in place.

    Its place is after averaging over devices and before the step.
    Finite gradients stay as they are, however large: this is no clipping.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            torch.nan_to_num(parameter.grad, nan=0.0, posinf=MAX_GRADIENT, neginf=-MAX_GRADIENT, out=parameter.grad)
