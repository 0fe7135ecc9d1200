"""One optimization in progress: callbacks, stop request, log and stored states, for all its phases alike."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.inversion.optimization.log import OptimizationCallbacks, OptimizationLog, OptimizationStep
from panohead.inversion.optimization.resume_file import PhaseState, ResumeFile

READ_EVERY = 10
"""Steps whose losses are read from a GPU at once."""


class OptimizationRun:
    """An optimization of one or more phases, from its start or from a stored state.

    Args:
        identity: hash of everything that a resumed run must share with the interrupted one.
        callbacks: functions that follow and stop the run.
        resume_file: file for the states of its phases; None keeps them in memory only.

    Attributes:
        log: record of the run.

    Raises:
        PanoHeadError: when the file to resume from is damaged or belongs to another optimization.
    """

    def __init__(
        self,
        identity: str = "",
        *,
        callbacks: OptimizationCallbacks | None = None,
        resume_file: ResumeFile | None = None,
    ) -> None:
        self.log = OptimizationLog()
        self._identity = identity
        self._callbacks = OptimizationCallbacks() if callbacks is None else callbacks
        self._file = resume_file
        self._states: dict[str, PhaseState] = {}
        if resume_file is not None:
            self.log.steps, self._states = resume_file.read(identity)

    def stop_requested(self) -> bool:
        """Return True if the run should end now; once True, it stays so."""
        should_stop = self._callbacks.should_stop
        self.log.stopped = self.log.stopped or (should_stop is not None and should_stop())
        return self.log.stopped

    def record(self, phase: str, number: int, total: int, losses: Mapping[str, Tensor | float]) -> None:
        """Append a finished step to the log and report it."""
        step = OptimizationStep(phase, number, total, on_host([losses])[0])
        self.log.steps.append(step)
        if self._callbacks.on_step is not None:
            self._callbacks.on_step(step)

    def load_state(self, phase: str) -> PhaseState | None:
        """Return the last saved state of a phase, None if there is none."""
        return self._states.get(phase)

    @contextlib.contextmanager
    def restoring(self) -> Iterator[None]:
        """Turn errors of a block that uses a loaded state into the sentence that the file does not fit."""
        try:
            yield
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            where = "the stored state" if self._file is None else self._file.path
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise PanoHeadError(f"cannot resume from {where} ({reason}); start again without --resume") from error

    @property
    def saves_to_file(self) -> bool:
        """True if states outlive the process."""
        return self._file is not None

    def save_is_due(self, number: int) -> bool:
        """Return True if the state after this step of a phase should be saved."""
        return self._file is not None and number % self._file.save_every == 0

    def save_state(self, phase: str, state: PhaseState) -> None:
        """Keep the state of a phase, in the file too if there is one."""
        self._states[phase] = state
        self._write(self.log.steps)

    def close(self) -> None:
        """Leave a file to resume from even if the run was stopped before any state was saved."""
        if self.log.stopped and not self._states:
            self._write([])  # without a state the steps will be done again

    def _write(self, steps: list[OptimizationStep]) -> None:
        if self._file is not None:
            self._file.write(self._identity, steps, self._states)


def on_host(rows: Sequence[Mapping[str, Tensor | float]]) -> list[dict[str, float]]:
    """Return the losses of several steps as numbers; waits for the device once, not once for each."""
    tensors = [v.detach() for row in rows for v in row.values() if isinstance(v, Tensor)]
    values = iter(torch.stack(tensors).tolist() if tensors else [])
    return [{name: next(values) if isinstance(v, Tensor) else float(v) for name, v in row.items()} for row in rows]
