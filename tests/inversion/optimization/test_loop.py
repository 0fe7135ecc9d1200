"""The optimization loop: plateaus, the best step, divergence."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch

from panohead.inversion.optimization import (
    OptimizationCallbacks,
    OptimizationRun,
    ParameterGroup,
    Plateau,
    ResumeFile,
    loop,
    optimize,
)


def test_plateau_cuts_and_then_ends() -> None:
    plateau = Plateau(patience=3, least_gain=0.1, cuts=1)
    assert [plateau.update(loss) for loss in (10, 8, 7.9, 7.8, 7.7)] == [False, False, False, False, True]
    assert not plateau.over
    assert [plateau.update(loss) for loss in (5, 5, 5, 5)] == [False, False, False, True]
    assert plateau.over


def test_optimize_ends_at_the_best_step() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    values = []

    def losses(step: int) -> dict[str, torch.Tensor]:
        values.append(float(x.detach()))
        return {"loss": x.square().sum() if step < 5 else x.square().sum() + 100}

    optimize("search", [ParameterGroup([x], 0.5)], losses, 8, OptimizationRun())
    assert float(x.detach()) == min(values[:5], key=abs)


def test_the_best_is_known_by_the_criterion() -> None:
    """The total is larger at every other step; the part falls all the time, so the last step is the best."""
    x = torch.tensor([1.0], requires_grad=True)

    def losses(step: int) -> dict[str, torch.Tensor]:
        return {"loss": x.sum() + (5 if step % 2 else 0), "photos": x.sum()}

    optimize("tune", [ParameterGroup([x], 0.1)], losses, 4, OptimizationRun(), criterion="photos")
    assert float(x.detach()) == pytest.approx(0.7)


def test_without_the_best_it_ends_after_the_last_step() -> None:
    """Adam's first step is as large as the learning rate, times its factor."""
    x = torch.tensor([1.0], requires_grad=True)
    rates = []

    def rate(step: int) -> float:
        rates.append(step)
        return 2.0 - step

    optimize(
        "search",
        [ParameterGroup([x], 0.1)],
        lambda _: {"loss": x.sum()},
        2,
        OptimizationRun(),
        rate=rate,
        keep_best=False,
    )
    assert rates == [0, 1]
    assert float(x.detach()) == pytest.approx(1 - 0.2 - 0.1)


def test_a_plateau_cuts_the_learning_rate() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    run, group, plateau = OptimizationRun(), ParameterGroup([x], 0.1), Plateau(patience=1, cuts=1)

    def losses(_: int) -> dict[str, torch.Tensor]:
        return {"loss": (x - x.detach()).sum() + 1}  # always 1, with a gradient of 1

    optimize("search", [group], losses, 9, run, plateau=plateau, keep_best=False)
    assert len(run.log.steps) == 3, "one step, one without progress, one after the cut"
    assert float(x.detach()) == pytest.approx(1 - 0.1 - 0.1 - 0.03)


def slow_adam(start: float, rates: list[float]) -> float:
    """Adam (Kingma and Ba 2015, algorithm 1) on x**2, step by step."""
    x, mean, square = start, 0.0, 0.0
    for t, rate in enumerate(rates, start=1):
        gradient = 2 * x
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        x -= rate * (mean / (1 - 0.9**t)) / ((square / (1 - 0.999**t)) ** 0.5 + 1e-8)
    return x


def five_steps(file: Path, stop: int) -> tuple[float, list[int]]:
    """x after five steps on x**2, or those until the stop, continued from the file; and the numbers of the steps."""
    x = torch.tensor([3.0], requires_grad=True)
    done: list[OptimizationStep] = []
    callbacks = OptimizationCallbacks(on_step=done.append, should_stop=lambda: len(done) >= stop)
    run = OptimizationRun("x", callbacks=callbacks, resume_file=ResumeFile(file, resume=True))
    group = ParameterGroup([x], 0.5)
    optimize(
        "search", [group], lambda _: {"loss": x.square().sum()}, 5, run, rate=lambda i: 1 / (i + 1), keep_best=False
    )
    return float(x.detach()), [step.number for step in run.log.steps]


@pytest.mark.parametrize("stops", [(), (0,), (2,), (1, 3)])
def test_the_loop_is_adam_with_a_schedule_interrupted_or_not(tmp_path: Path, stops: tuple[int, ...]) -> None:
    for stop in stops:
        five_steps(tmp_path / "state", stop)
    end, numbers = five_steps(tmp_path / "state", 5)
    assert numbers == [1, 2, 3, 4, 5]
    assert end == pytest.approx(slow_adam(3.0, [0.5 / (step + 1) for step in range(5)]), rel=1e-5)
    assert end == five_steps(tmp_path / "unbroken", 5)[0]


def test_a_phase_that_diverges_ends_with_the_best() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    run, group = OptimizationRun(), ParameterGroup([x], 0.1)
    optimize("search", [group], lambda step: {"loss": (x / (0 if step == 2 else 1)).sum()}, 5, run)
    assert float(x.detach()) == pytest.approx(0.9)
    assert "diverged at step 3" in run.log.notes[0]


def _run(*, diverges: bool) -> tuple[torch.Tensor, OptimizationRun]:
    """Two variables with rates of their own, for 25 steps."""
    x, y = torch.tensor([3.0], requires_grad=True), torch.tensor([[1.0, 2.0]], requires_grad=True)
    run = OptimizationRun()

    def losses(step: int) -> dict[str, torch.Tensor]:
        total = x.square().sum() + (y - 1).square().sum()
        return {"loss": total / (0 if diverges and step == 13 else 1), "photos": total + 0.1 * (step % 3)}

    groups = [ParameterGroup([x], 0.5), ParameterGroup([y], 0.05)]
    optimize("search", groups, losses, 25, run, plateau=Plateau(patience=99), criterion="photos")
    return torch.cat([x.detach(), y.detach()[0]]), run


@pytest.mark.parametrize("diverges", [False, True])
def test_losses_read_later_give_the_same_result(diverges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where the best is kept on the device and losses are read every few steps."""
    expected, run = _run(diverges=diverges)
    monkeypatch.setattr(loop, "reading_waits", lambda device: True)
    found, later = _run(diverges=diverges)
    assert torch.equal(found, expected)
    assert later.log == run.log


def test_a_state_with_a_group_for_every_tensor_is_continued() -> None:
    """Earlier versions stored one group of parameters for each tensor."""
    x, y = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)

    def step(adam: torch.optim.Adam) -> None:
        adam.zero_grad()
        (x.square().sum() + y.pow(3).sum()).backward()
        adam.step()

    old = torch.optim.Adam([{"params": [x], "lr": 0.1}, {"params": [y], "lr": 0.1}])
    step(old)
    state = deepcopy(loop._state(1, [x, y], old, None, None))
    step(old)
    expected = [x.detach().clone(), y.detach().clone()]
    new = torch.optim.Adam([x, y], lr=0.1)
    assert loop._restore(state, [x, y], new, None, None)[0] == 1
    step(new)
    assert torch.equal(x, expected[0])
    assert torch.equal(y, expected[1])
