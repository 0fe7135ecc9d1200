"""Losses that are not finite: found at once on a CPU, and at the end of the step where reading would wait."""

import pytest
import torch
from torch import Tensor

from panohead.training.divergence import DivergenceCheck

GPU = torch.device("cuda")
"""Only its name is read; the losses here are on the CPU."""


def _objective(number: int) -> Tensor:
    return torch.zeros(())


def _check(device: torch.device) -> tuple[DivergenceCheck, list[int]]:
    found: list[int] = []
    return DivergenceCheck(lambda objective, number: found.append(number), device), found


def test_on_a_cpu_at_once() -> None:
    check, found = _check(torch.device("cpu"))
    check.observe(torch.tensor(1.0), _objective, 0)
    check.observe(torch.tensor(float("nan")), _objective, 1)
    assert found == [1]
    check.finish()
    assert found == [1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_elsewhere_the_first_one_at_the_end(value: float) -> None:
    check, found = _check(GPU)
    for number, loss in enumerate((1.0, value, 2.0, value)):
        check.observe(torch.tensor(loss), _objective, number)
    assert not found
    check.finish()
    assert found == [1]


def test_finite_losses_pass() -> None:
    check, found = _check(GPU)
    check.finish()
    check.observe(torch.tensor(1e30), _objective, 0)
    check.finish()
    assert not found


def test_updates_after_a_diverged_loss_are_skipped_on_the_device() -> None:
    x = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=0.1, fused=True)  # PyTorch has a fused one for the CPU too
    check, _ = _check(GPU)
    for number, loss in enumerate((1.0, float("nan"), 1.0)):
        before = x.detach().clone()
        x.grad = torch.ones(3)
        check.observe(torch.tensor(loss), _objective, number)
        check.guard(optimizer)
        optimizer.step()
        assert torch.equal(x, before) == (number > 0)
