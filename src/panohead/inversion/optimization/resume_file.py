"""File from which an interrupted optimization resumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from panohead.errors import PanoHeadError
from panohead.files.archive import check_torch_file
from panohead.files.read_json import from_plain
from panohead.files.regular import MAX_WEIGHTS_BYTES
from panohead.inversion.optimization.log import OptimizationStep
from panohead.system.atomic_write import atomic_path

_VERSION = 1

PhaseState = dict[str, Any]
"""State of one phase: tensors, numbers and strings in lists and dicts, which are read without executing anything."""


_Row = tuple[str, int, int, dict[str, Any]]
"""Phase, number, total number and losses of a step."""


def _checked_states(states: Any) -> dict[str, PhaseState]:
    """Return states by phase; raise TypeError where they are not of that form."""
    if not isinstance(states, dict) or not all(isinstance(state, dict) for state in states.values()):
        raise TypeError("states are no dicts")
    return states


@dataclass(frozen=True)
class ResumeFile:
    """File that holds the steps and the state of every phase of an unfinished optimization.

    Attributes:
        path: location of the file; it is replaced as a whole at every save.
        resume: start from what the file holds, if it exists; otherwise it is overwritten.
        save_every: number of steps between two saves within a phase.
    """

    path: Path
    resume: bool = False
    save_every: int = 20

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
            check_torch_file(self.path, MAX_WEIGHTS_BYTES)
            stored = torch.load(self.path, map_location="cpu", weights_only=True)
            if stored["version"] != _VERSION or stored["identity"] != identity:
                raise PanoHeadError(
                    f"{self.path} is of other photos, another checkpoint or other settings; give those, or start again "
                    "without --resume"
                )
            steps = [OptimizationStep(*row) for row in from_plain(list[_Row], stored["steps"])]
            return steps, _checked_states(stored["states"])
        except PanoHeadError:
            raise
        except Exception as error:  # a damaged file makes torch's reader raise nearly anything
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
