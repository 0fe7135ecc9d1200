"""A reconstruction that gets a signal in the middle of its tuning, always at the same step."""

import os
import signal
from collections.abc import Mapping

from torch import Tensor

from inversion.short_search import configured_shortly
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.preset import InversionPreset

TUNING_STEPS = 20
SAVE_EVERY = 10
SIGNAL_AT = 14
"""The state of step 10 is on disk then; four more steps are done."""


def prepare(number: signal.Signals | None) -> None:
    """Let this process search shortly and send itself a signal after a step of its tuning; None for no signal.

    Saves do not depend on how long one takes.
    """
    InversionPreset.configure = configured_shortly  # type: ignore[method-assign]
    record = OptimizationRun.record

    def recorded(run: OptimizationRun, phase: str, step: int, total: int, losses: Mapping[str, Tensor | float]) -> None:
        record(run, phase, step, total, losses)
        if number is not None and (phase, step) == ("tune", SIGNAL_AT):
            os.kill(os.getpid(), number)

    OptimizationRun.record = recorded  # type: ignore[method-assign]
    OptimizationRun.save_is_due = lambda run, step: run.saves_to_file and step % SAVE_EVERY == 0  # type: ignore[method-assign]
