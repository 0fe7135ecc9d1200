"""What an optimisation tells while it runs, how it is stopped, and how it goes on later."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.ops.waits import reading_waits
from panohead.system.atomic_write import atomic_path

_VERSION = 1
READ_EVERY = 10
"""Steps whose losses are read from a GPU at once; plateaus and divergence are noticed then."""


@dataclass(frozen=True)
class OptimizationStep:
    """One step done: ``number`` of at most ``total`` of a phase ("screen", "search", "tune"), with its losses."""

    phase: str
    number: int
    total: int
    losses: Mapping[str, float]


@dataclass
class OptimizationLog:
    """Attributes:
    on_step: called after every step.
    on_note: called with a sentence about a photo as soon as there is one, before the first step.
    should_stop: asked before every step; True ends the phase with the best so far.
    path: file to save the state in; None keeps nothing.
    resume: continue from that file if it is there.
    identity: of the task (pictures, checkpoint, settings); a state of another task is refused.
    save_every: steps between two saves.
    """

    on_step: Callable[[OptimizationStep], None] | None = None
    on_note: Callable[[str], None] | None = None
    should_stop: Callable[[], bool] | None = None
    path: Path | None = None
    resume: bool = False
    identity: str = ""
    save_every: int = 20
    steps: list[OptimizationStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False
    _states: dict[str, dict[str, Any]] = field(default_factory=dict)
    _unread: list[tuple[str, int, int, Mapping[str, Tensor | float]]] = field(default_factory=list)

    def start(self, identity: str) -> None:
        """A new task, or an earlier run of the same if this journal is to resume and there is one.

        Raises:
            PanoHeadError: when it is damaged or belongs to another task.
        """
        self.identity, self.steps, self.notes, self.stopped, self._states = identity, [], [], False, {}
        if not self.resume or self.path is None or not self.path.is_file():
            return
        try:
            stored = torch.load(self.path, map_location="cpu", weights_only=True)
            if stored["version"] != _VERSION or stored["identity"] != self.identity:
                raise PanoHeadError(
                    f"{self.path} is of other photos, another checkpoint or other settings; give those, or start anew "
                    "without --resume"
                )
            self.steps = [OptimizationStep(*row) for row in stored["steps"]]
            self._states = stored["states"]
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise PanoHeadError(f"{self.path} cannot be continued from; start anew without --resume") from error

    def load_state(self, phase: str) -> dict[str, Any] | None:
        """What :meth:`save_state` stored of a phase, None if it has not begun."""
        return self._states.get(phase)

    def stop_requested(self) -> bool:
        """Whether to end now; once asked, always."""
        self.stopped = self.stopped or (self.should_stop is not None and self.should_stop())
        if self.stopped:
            self._read()
        return self.stopped

    def record(self, phase: str, number: int, total: int, losses: Mapping[str, Tensor | float]) -> None:
        """Tell of a step.

        Losses on a GPU are read, and told of, for several steps at once: reading waits for the device.
        """
        waits = any(isinstance(v, Tensor) and reading_waits(v.device) for v in losses.values())
        kept = {name: v.detach() if isinstance(v, Tensor) else v for name, v in losses.items()}
        self._unread.append((phase, number, total, kept))
        if not waits or len(self._unread) == READ_EVERY or number == total:
            self._read()

    def _read(self) -> None:
        """Tell of the steps whose losses have not been read."""
        unread, self._unread = self._unread, []
        rows = on_host([losses for *_, losses in unread])
        for (phase, number, total, _), plain in zip(unread, rows, strict=True):
            step = OptimizationStep(phase, number, total, plain)
            self.steps.append(step)
            if self.on_step is not None:
                self.on_step(step)

    def is_due(self, number: int) -> bool:
        """Whether the state after this step should be kept."""
        return self.path is not None and (number % self.save_every == 0 or self.stopped)

    def save_state(self, phase: str, state: dict[str, Any]) -> None:
        """Keep the state of a phase, on disk too if there is a path. Only tensors, numbers, strings, lists, dicts."""
        self._read()
        self._states[phase] = state
        self._write()

    def close(self) -> None:
        """Leave something to go on from, even where the run was stopped before any state could be kept."""
        if self.stopped and not self._states:
            self._write(steps=[])  # they will be done again

    def _write(self, steps: list[OptimizationStep] | None = None) -> None:
        if self.path is None:
            return
        content = {
            "version": _VERSION,
            "identity": self.identity,
            "steps": [(s.phase, s.number, s.total, dict(s.losses)) for s in (self.steps if steps is None else steps)],
            "states": self._states,
        }
        with atomic_path(self.path) as temporary:
            try:
                torch.save(content, temporary)
            except RuntimeError as error:  # what torch makes of a full disk
                raise OSError(str(error).splitlines()[0]) from error

    def curve(self, phase: str, name: str = "loss") -> list[float]:
        """One loss over the steps of a phase."""
        return [step.losses[name] for step in self.steps if step.phase == phase and name in step.losses]


def on_host(rows: Sequence[Mapping[str, Tensor | float]]) -> list[dict[str, float]]:
    """Return the losses of several steps as numbers; waits for the device once, not once for each."""
    tensors = [v.detach() for row in rows for v in row.values() if isinstance(v, Tensor)]
    values = iter(torch.stack(tensors).tolist() if tensors else [])
    return [{name: next(values) if isinstance(v, Tensor) else float(v) for name, v in row.items()} for row in rows]
