"""The check that a step's losses are finite: at once on a CPU, once at the end of a step elsewhere.

Reading a loss waits for the device. So on a GPU the losses only set a flag there, which has the optimizers skip
every further update of the step (fused Adam reads it on the device), and the flag is read when all of the step is
queued. A diverged step thus leaves the weights as they were, and the search for its cause finds what the step found.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops.waits import reading_waits

Objective = Callable[[int], Tensor]
"""A loss of one micro-batch, by the number of the micro-batch."""


class DivergenceCheck:
    """Finite losses of one training step.

    Args:
        on_divergence: raises an error about an objective and the number of its micro-batch.
        device: device of the losses.
    """

    def __init__(self, on_divergence: Callable[[Objective, int], None], device: torch.device) -> None:
        self._on_divergence = on_divergence
        self._at_once = not reading_waits(device)
        self._seen: list[tuple[Objective, int]] = []
        self._nonfinite: list[Tensor] = []  # each: a bool on the device
        self._diverged: Tensor | None = None  # any of them

    def observe(self, loss: Float[Tensor, ""], objective: Objective, number: int) -> None:
        """Take note of a loss; on a CPU raise if it is not finite."""
        nonfinite = ~torch.isfinite(loss.detach())
        if self._at_once:
            if nonfinite:
                self._on_divergence(objective, number)
            return
        self._seen.append((objective, number))
        self._nonfinite.append(nonfinite)
        self._diverged = nonfinite if self._diverged is None else self._diverged | nonfinite

    def guard(self, optimizer: torch.optim.Adam) -> None:
        """Have a fused optimizer skip its next step on the device if a loss so far was not finite."""
        if self._diverged is not None and optimizer.defaults.get("fused"):
            # What torch.amp.GradScaler sets: 1 for a step that is to be skipped.
            optimizer.found_inf = self._diverged.float()  # type: ignore[attr-defined]

    def finish(self) -> None:
        """Wait for the device once, and raise for the first loss that was not finite."""
        if self._diverged is None or not self._diverged:
            return
        first = next(i for i, nonfinite in enumerate(self._nonfinite) if nonfinite)
        self._on_divergence(*self._seen[first])
