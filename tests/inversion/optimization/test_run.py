"""States of a run: how often they are written, what is kept in memory, and what a finished phase leaves."""

from pathlib import Path

import pytest
import torch

from panohead.inversion.optimization import (
    OptimizationCallbacks,
    OptimizationRun,
    OptimizationStep,
    ParameterGroup,
    ResumeFile,
    optimize,
)
from panohead.inversion.optimization import (
    run as run_module,
)


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("write_s", "step_s"), [(0.01, 0.05), (2.0, 0.5), (30.0, 1.0)])
def test_writing_takes_its_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_s: float, step_s: float
) -> None:
    """However slow the disk or large the state: all writes but the first take at most the share, and some are made."""
    clock, writes = Clock(), []
    monkeypatch.setattr(run_module, "time", clock)

    def write(*_: object) -> None:
        clock.now += write_s
        writes.append(clock.now)

    monkeypatch.setattr(ResumeFile, "write", write)
    run, start = OptimizationRun(resume_file=ResumeFile(tmp_path / "state", max_share=0.02)), clock.now
    for number in range(1, 5001):
        clock.now += step_s
        if run.save_is_due(number):
            assert number % 10 == 0
            run.save_state("tune", {}, keep=False)
    assert (len(writes) - 1) * write_s <= 0.02 * (clock.now - start)
    assert len(writes) >= min(0.5 * 0.02 * 5000 * step_s / write_s, 500)


def test_without_a_file_nothing_is_due() -> None:
    assert not any(OptimizationRun().save_is_due(number) for number in range(100))


def quadratic(file: Path, stop: int, log: list[OptimizationStep] | None = None) -> tuple[torch.Tensor, OptimizationRun]:
    """Two phases of twelve steps on a quadratic; ended after so many steps."""
    x = torch.tensor([3.0, -2.0], requires_grad=True)
    done = [] if log is None else log
    callbacks = OptimizationCallbacks(on_step=done.append, should_stop=lambda: len(done) >= stop)
    run = OptimizationRun("x", callbacks=callbacks, resume_file=ResumeFile(file, resume=True))
    for phase in ("first", "second"):
        optimize(phase, [ParameterGroup([x], 0.3)], lambda _: {"loss": x.square().sum()}, 12, run)
    return x.detach(), run


def test_a_finished_phase_leaves_its_result_alone(tmp_path: Path) -> None:
    end, _ = quadratic(tmp_path / "state", 99)
    stored = torch.load(tmp_path / "state", weights_only=True)
    assert stored["states"]["first"].keys() == {"step", "finished", "parameters"}
    assert torch.equal(stored["states"]["second"]["parameters"][0], end)
    repeated: list[OptimizationStep] = []
    again, _ = quadratic(tmp_path / "state", 99, repeated)
    assert torch.equal(again, end)
    assert repeated == [], "nothing is done again"


@pytest.mark.parametrize("stop", [1, 5, 12, 13, 17, 23])
def test_stopped_anywhere_the_end_is_the_same(tmp_path: Path, stop: int) -> None:
    expected, whole = quadratic(tmp_path / "whole", 99)
    quadratic(tmp_path / "state", stop)
    quadratic(tmp_path / "state", 0)  # resumed, and stopped before any step
    found, run = quadratic(tmp_path / "state", 99)
    assert torch.equal(found, expected)
    assert run.log.steps == whole.log.steps


def test_the_identity_of_what_would_be_resumed(tmp_path: Path) -> None:
    file = tmp_path / "state"
    assert ResumeFile(file, resume=True).stored_identity() is None
    quadratic(file, 5)
    assert ResumeFile(file, resume=True).stored_identity() == "x"
    assert ResumeFile(file).stored_identity() is None, "it will be overwritten"
    file.write_bytes(b"nothing")
    assert ResumeFile(file, resume=True).stored_identity() is None
