"""The optimization loop: plateaus, the best step, divergence."""

import pytest
import torch

from panohead.inversion import optimization_log
from panohead.inversion import optimize as optimize_module
from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.optimize import Plateau, optimize
from panohead.inversion.optimizer_state import adam_state, restore_adam


def test_plateau_cuts_and_then_ends() -> None:
    plateau = Plateau(patience=3, least_gain=0.1, cuts=1)
    assert [plateau.update(loss) for loss in (10, 8, 7.9, 7.8, 7.7)] == [False, False, False, False, True]
    assert not plateau.over
    assert [plateau.update(loss) for loss in (5, 5, 5, 5)] == [False, False, False, True]
    assert plateau.over


def test_minimize_ends_at_the_best_it_saw() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    seen = []

    def losses(step: int) -> dict[str, torch.Tensor]:
        seen.append(float(x.detach()))
        return {"loss": x.square().sum() if step < 5 else x.square().sum() + 100}

    optimize("search", [(x, 0.5)], losses, 8, OptimizationLog(), Plateau(patience=99))
    assert float(x.detach()) == min(seen[:5], key=abs)


def test_the_best_is_known_by_the_criterion() -> None:
    """The total is larger at every other step; the part falls all the time, so the last step is the best."""
    x = torch.tensor([1.0], requires_grad=True)

    def losses(step: int) -> dict[str, torch.Tensor]:
        return {"loss": x.sum() + (5 if step % 2 else 0), "photos": x.sum()}

    optimize("tune", [(x, 0.1)], losses, 4, OptimizationLog(), Plateau(), criterion="photos")
    assert float(x.detach()) == pytest.approx(0.7)


def test_a_phase_that_diverges_ends_with_the_best() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    log = OptimizationLog()
    optimize("search", [(x, 0.1)], lambda step: {"loss": (x / (0 if step == 2 else 1)).sum()}, 5, log, Plateau())
    assert float(x.detach()) == pytest.approx(0.9)
    assert "lost its footing" in log.notes[0]


def _run(*, diverges: bool = False) -> tuple[torch.Tensor, OptimizationLog]:
    """Two variables with rates of their own, for 25 steps."""
    x, y = torch.tensor([3.0], requires_grad=True), torch.tensor([[1.0, 2.0]], requires_grad=True)
    log = OptimizationLog()

    def losses(step: int) -> dict[str, torch.Tensor]:
        total = x.square().sum() + (y - 1).square().sum()
        return {"loss": total / (0 if diverges and step == 13 else 1), "photos": total + 0.1 * (step % 3)}

    optimize("search", [(x, 0.5), (y, 0.05)], losses, 25, log, Plateau(patience=99), criterion="photos")
    return torch.cat([x.detach(), y.detach()[0]]), log


@pytest.mark.parametrize("diverges", [False, True])
def test_losses_read_later_give_the_same_result(diverges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where the best is kept on the device and losses are read every few steps."""
    expected, log = _run(diverges=diverges)
    for module in (optimize_module, optimization_log):
        monkeypatch.setattr(module, "reading_waits", lambda device: True)
    found, later = _run(diverges=diverges)
    assert torch.equal(found, expected)
    assert later.steps == log.steps
    assert later.notes == log.notes


def test_a_state_with_a_group_for_every_tensor_is_continued() -> None:
    """Earlier versions stored one group of parameters for each tensor."""
    x, y = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)

    def step(adam: torch.optim.Adam) -> None:
        adam.zero_grad()
        (x.square().sum() + y.pow(3).sum()).backward()
        adam.step()

    old = torch.optim.Adam([{"params": [x], "lr": 0.1}, {"params": [y], "lr": 0.1}])
    step(old)
    state = adam_state(1, [x, y], old)
    step(old)
    expected = [x.detach().clone(), y.detach().clone()]
    new = torch.optim.Adam([x, y], lr=0.1)
    assert restore_adam(state, [x, y], new) == 1
    step(new)
    assert torch.equal(x, expected[0])
    assert torch.equal(y, expected[1])
