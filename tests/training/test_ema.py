"""The exponential moving average: half-life, ramp-up, parameters and buffers."""

import copy

import pytest
import torch
from torch import nn

from panohead.training.ema import default_half_life_kimg, ema_beta, update_ema


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    buffer = made[1].running_mean
    assert isinstance(buffer, torch.Tensor)
    buffer.normal_()
    return made


def test_half_of_the_average_is_new_after_the_half_life() -> None:
    beta = ema_beta(32, nimg=1e9, half_life_kimg=10, ramp_up=None)
    assert beta ** (10_000 / 32) == pytest.approx(0.5)
    assert default_half_life_kimg(32) == 10
    assert default_half_life_kimg(16) == 5


def test_ramp_up_follows_closely_at_first() -> None:
    assert ema_beta(32, nimg=0, half_life_kimg=10) == 0
    # A twentieth of 64 thousand images is shorter than the half-life, that of 640 thousand is not.
    assert ema_beta(32, nimg=64_000, half_life_kimg=10) == pytest.approx(0.5 ** (32 / 3200))
    assert ema_beta(32, nimg=640_000, half_life_kimg=10) == pytest.approx(0.5 ** (32 / 10_000))


def test_parameters_are_averaged_and_buffers_copied() -> None:
    average, net = network(0), network(1)
    before = copy.deepcopy(average)
    update_ema(average, net, beta=0.75)
    for mean, old, new in zip(average.parameters(), before.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.75 * old + 0.25 * new)
    for mean, new in zip(average.buffers(), net.buffers(), strict=True):
        assert torch.equal(mean, new)


def test_the_ends_are_exact() -> None:
    average, net = network(0), network(1)
    update_ema(average, net, beta=0.0)
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), net.parameters(), strict=True))
    before = copy.deepcopy(average)
    update_ema(average, network(2), beta=1.0)
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), before.parameters(), strict=True))
