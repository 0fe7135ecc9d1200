"""Adam for lazily regularized losses, and removal of NaN and infinity from gradients (docs/reference.md 5.9)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import nn

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, NotNegative, Share

GENERATOR_LEARNING_RATE = 0.0025
DISCRIMINATOR_LEARNING_RATE = 0.002
GENERATOR_INTERVAL = 4
"""Steps between two density regularizations."""
DISCRIMINATOR_INTERVAL = 16
"""Steps between two R1 regularizations."""
MAX_GRADIENT = 1e5
"""Replacement of infinite gradients."""


@dataclass(frozen=True, kw_only=True)
class AdamConfig(Bounded):
    """Settings of Adam. The defaults are the official ones of both networks; only the learning rate differs.

    Attributes:
        learning_rate: learning rate before the correction for lazy regularization.
        betas: decay rates of the moments, before that correction.
        epsilon: term added to the denominator.
        interval: steps between two lazy regularizations (StyleGAN2 3.1): the regularizer has an optimizer step of its
            own, with the same optimizer, and its loss is multiplied by the interval. None for a network without one.
    """

    learning_rate: NotNegative
    betas: tuple[Share, Share] = (0.0, 0.99)
    epsilon: NotNegative = 1e-8
    interval: Annotated[int, NumberRange(-1e9, 1e9)] | None = None

    def per_step(self) -> tuple[float, tuple[float, float]]:
        """Return learning rate and betas with which ``interval`` + 1 steps do what ``interval`` did (StyleGAN2, B)."""
        if self.interval is None:
            return self.learning_rate, self.betas
        # The regularizer's own step every k steps makes k + 1 steps of k: rate and memory shrink by c = k / (k + 1).
        c = self.interval / (self.interval + 1)
        return self.learning_rate * c, (self.betas[0] ** c, self.betas[1] ** c)


def generator_adam(*, density_regularized: bool = False) -> AdamConfig:
    """Return the official settings of the generator: an interval only where the density regularizer is on."""
    return AdamConfig(
        learning_rate=GENERATOR_LEARNING_RATE, interval=GENERATOR_INTERVAL if density_regularized else None
    )


def discriminator_adam() -> AdamConfig:
    """Return the official settings of the discriminator: R1 every sixteenth step."""
    return AdamConfig(learning_rate=DISCRIMINATOR_LEARNING_RATE, interval=DISCRIMINATOR_INTERVAL)


def make_adam(parameters: Iterable[nn.Parameter], config: AdamConfig) -> torch.optim.Adam:
    """Make the optimizer of one network, for its main loss and its regularizer alike.

    On a GPU it is the fused one: one kernel for many tensors, and its step can be skipped without asking the host. On
    a CPU it is PyTorch's plain one, whose sums later versions have to repeat bit by bit.
    """
    learning_rate, betas = config.per_step()
    parameters = list(parameters)
    fused = all(parameter.is_cuda for parameter in parameters)
    return torch.optim.Adam(
        parameters, lr=learning_rate, betas=betas, eps=config.epsilon, fused=True if fused else None
    )


def load_adam_state(optimizer: torch.optim.Adam, state: dict[str, Any]) -> None:
    """Load a state of :meth:`torch.optim.Adam.state_dict`, whatever device it is from.

    The implementation (fused or not) stays that of ``optimizer``: PyTorch would take over the state's.
    """
    own = {"fused": optimizer.defaults["fused"], "foreach": optimizer.defaults["foreach"]}
    groups = [{**group, **own} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})


@torch.no_grad()
def sanitize_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace NaN by 0 and infinities by +-1e5 in every gradient, in place.

    Call it after averaging over devices and before the optimizer's step. Finite gradients stay as they are, however
    large: this is no clipping.
    """
    # As in the official code: half-precision layers can overflow.
    for parameter in parameters:
        if parameter.grad is not None:
            torch.nan_to_num(parameter.grad, nan=0.0, posinf=MAX_GRADIENT, neginf=-MAX_GRADIENT, out=parameter.grad)
