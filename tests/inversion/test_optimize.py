"""The optimization loop: plateaus, the best step, divergence."""

import pytest
import torch

from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.optimize import Plateau, optimize


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
