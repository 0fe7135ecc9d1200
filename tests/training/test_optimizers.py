"""Adam for lazy regularization, and removal of NaN and infinity from gradients."""

import math

import pytest
import torch
from torch import nn

from panohead.training.optimizers import (
    AdamConfig,
    discriminator_adam,
    generator_adam,
    make_adam,
    sanitize_gradients,
)


def test_official_settings() -> None:
    assert generator_adam().per_step() == (0.0025, (0.0, 0.99))
    rate, betas = generator_adam(density_regularized=True).per_step()
    assert rate == pytest.approx(0.0025 * 4 / 5)
    assert betas == (0.0, pytest.approx(0.99 ** (4 / 5)))
    rate, betas = discriminator_adam().per_step()
    assert rate == pytest.approx(0.002 * 16 / 17)
    assert betas == (0.0, pytest.approx(0.99 ** (16 / 17)))


def test_lazy_steps_forget_as_much_per_interval() -> None:
    _, betas = AdamConfig(learning_rate=1.0, betas=(0.5, 0.9), interval=3).per_step()
    # Four steps (three main ones and a regularizer's) do what three did.
    assert betas[0] ** 4 == pytest.approx(0.5**3)
    assert betas[1] ** 4 == pytest.approx(0.9**3)


def test_optimizer_takes_the_settings() -> None:
    group = make_adam([nn.Parameter(torch.zeros(2))], discriminator_adam()).param_groups[0]
    assert group["lr"] == pytest.approx(0.002 * 16 / 17)
    assert group["eps"] == 1e-8


def test_gradients_become_finite_and_stay_otherwise() -> None:
    parameter, without = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(1))
    parameter.grad = torch.tensor([math.nan, math.inf, -math.inf, 3e6, -0.25])
    sanitize_gradients([parameter, without])
    assert parameter.grad.tolist() == [0, 1e5, -1e5, 3e6, -0.25]
    assert without.grad is None
