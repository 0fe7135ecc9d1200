"""File from which an interrupted optimization resumes."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from panohead.errors import PanoHeadError
from panohead.inversion.optimization.log import OptimizationStep
from panohead.system.atomic_write import atomic_path

_VERSION = 1

PhaseState = dict[str, Any]
"""State of one phase: tensors, numbers and strings in lists and dicts, which are read without executing anything."""


@dataclass(frozen=True)
class ResumeFile:
    """File that holds the steps and the state of every phase of an unfinished optimization.

    Attributes:
        path: location of the file; it is replaced as a whole at every save.
        resume: start from what the file holds, if it exists; otherwise it is overwritten.
        save_every: smallest number of steps between two saves within a phase.
        max_share: largest share of the time that saves within a phase may take; large states are saved less often.
    """

    path: Path
    resume: bool = False
    save_every: int = 10
    max_share: float = 0.02

    def stored_identity(self) -> str | None:
        """Return the identity of the optimization that would be resumed; None if there is none to read."""
        if not self.resume or not self.path.is_file():
            return None
        try:
            stored = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)["identity"]
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
            return None  # :meth:`read` says what is wrong
        return stored if isinstance(stored, str) else None

    def read(self, identity: str) -> tuple[list[OptimizationStep], dict[str, PhaseState]]:
        """Return the stored steps and the state of every phase that was started; nothing if there is nothing to resume.

        Args:
            identity: hash of photos, checkpoint and settings, which must be those of the stored optimization.

        Raises:
            PanoHeadError: when the file is damaged or belongs to another optimization.
        """
        if not self.resume or not self.path.is_file():
            return [], {}
        try:
            stored = torch.load(self.path, map_location="cpu", weights_only=True)
            if stored["version"] != _VERSION or stored["identity"] != identity:
                raise PanoHeadError(
                    f"{self.path} is of other photos, another checkpoint or other settings; give those, or start again "
                    "without --resume"
                )
            return [OptimizationStep(*row) for row in stored["steps"]], stored["states"]
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise PanoHeadError(f"cannot resume from {self.path}; start again without --resume") from error

    def write(self, identity: str, steps: Sequence[OptimizationStep], states: Mapping[str, PhaseState]) -> None:
        """Replace the file's content.

        Raises:
            PanoHeadError: when it cannot be written.
        """
        content = {
            "version": _VERSION,
            "identity": identity,
            "steps": [(s.phase, s.number, s.total, dict(s.losses)) for s in steps],
            "states": dict(states),
        }
        with atomic_path(self.path) as temporary:
            try:
                torch.save(content, temporary)
            except RuntimeError as error:  # torch's report of a full disk
                raise OSError(str(error).splitlines()[0]) from error
