"""Adam with a memory for the best, an end on a plateau, and a state to continue from."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from panohead.inversion.optimization_log import READ_EVERY, OptimizationLog, on_host
from panohead.inversion.optimizer_state import adam_state, restore_adam
from panohead.ops.waits import reading_waits

_CUT = 0.3


@dataclass
class Plateau:
    """When nothing has got better by ``least_gain`` (a share) for ``patience`` steps, cut the learning rate; after
    ``cuts`` cuts, end."""

    patience: int = 12
    least_gain: float = 0.01
    cuts: int = 1
    reference: float = float("inf")
    waited: int = 0
    cuts_done: int = 0

    def update(self, loss: float) -> bool:
        """Take note of a step's loss; True when the learning rate should be cut."""
        if loss < self.reference * (1 - self.least_gain):
            self.reference, self.waited = loss, 0
            return False
        self.waited += 1
        if self.waited < self.patience:
            return False
        self.waited, self.cuts_done = 0, self.cuts_done + 1
        return True

    @property
    def over(self) -> bool:
        """Whether to end."""
        return self.cuts_done > self.cuts


def optimize(
    phase: str,
    variables: Sequence[tuple[Tensor, float]],
    losses: Callable[[int], Mapping[str, Tensor]],
    steps: int,
    log: OptimizationLog,
    plateau: Plateau,
    *,
    warmup: int = 1,
    falling: bool = False,
    criterion: str = "loss",
) -> None:
    """Make ``losses(step)["loss"]`` small by moving the variables, in place; they end at the best that was seen.

    Args:
        variables: leaves that require gradients, with their learning rates.
        losses: the loss and its parts, for the journal.
        warmup: steps over which the learning rates rise; Adam's first steps are as large as its later ones otherwise.
        criterion: the part by which the best and a plateau are known.
        falling: let the learning rates fall to zero at the last step, as half a cosine.
    """
    tensors = [tensor for tensor, _ in variables]
    # Neighbors of one rate share a group, so that Adam updates them together.
    groups = [(rate, [t for t, _ in members]) for rate, members in groupby(variables, key=lambda pair: pair[1])]
    adam = torch.optim.Adam([{"params": members, "lr": rate} for rate, members in groups])
    state = log.load_state(phase)
    start = restore_adam(state, tensors, adam)
    best = _Best(tensors)
    if state is not None:
        plateau = Plateau(**state["plateau"])
        best.load(state["best"], state["best_loss"])
    at_once = not reading_waits(tensors[0].device)
    pending: list[Mapping[str, Tensor]] = []  # losses of the last steps, not read yet

    def read(done: int) -> bool:
        """Take note of the losses of the last of ``done`` steps; waits for the device. False after divergence."""
        rows = on_host(pending)
        pending.clear()
        for number, row in enumerate(rows, start=done - len(rows) + 1):
            if not math.isfinite(row["loss"]):
                log.notes.append(f"The phase '{phase}' lost its footing at step {number} and ended there.")
                return False
            plateau.update(row[criterion])
            log.record(phase, number, steps, row)
        return True

    def snapshot(done: int) -> dict[str, Any]:
        return {**adam_state(done, tensors, adam), "plateau": asdict(plateau), **best.state()}

    done = start
    for step in range(start, steps):
        if log.stop_requested() or plateau.over:
            break
        parts = losses(step)
        pending.append({name: value.detach() for name, value in parts.items()})
        if at_once and not math.isfinite(pending[-1]["loss"]):
            read(step + 1)
            break
        best.update(pending[-1][criterion], pending[-1]["loss"])
        factor = _CUT**plateau.cuts_done * min(1.0, (step + 1) / warmup)
        if falling:
            factor *= 0.5 + 0.5 * math.cos(math.pi * step / steps)
        for group, (rate, _) in zip(adam.param_groups, groups, strict=True):
            group["lr"] = rate * factor
        adam.zero_grad(set_to_none=True)
        parts["loss"].backward()
        adam.step()
        done = step + 1
        due = log.is_due(done)
        if (at_once or due or len(pending) == READ_EVERY) and not read(done):
            break
        if due:
            log.save_state(phase, snapshot(done))
    read(done)
    if log.path is not None and done > start:
        log.save_state(phase, snapshot(done))
    best.restore()


class _Best:
    """Copies of tensors at the smallest loss so far.

    Elsewhere than on a CPU the comparison is made on the device: reading the loss would wait for it.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._at_once = not reading_waits(tensors[0].device)
        self._values = [t.detach().clone() for t in tensors]
        self._loss = torch.full((), torch.inf, device=tensors[0].device)

    @torch.no_grad()
    def update(self, criterion: Tensor, total: Tensor) -> None:
        """Keep the tensors if the criterion is the smallest so far and the total is finite."""
        if self._at_once:
            if criterion < self._loss:
                self._values, self._loss = [t.detach().clone() for t in self._tensors], criterion
            return
        better = (criterion < self._loss) & total.isfinite()
        self._loss = torch.where(better, criterion, self._loss)
        self._values = [torch.where(better, t, value) for t, value in zip(self._tensors, self._values, strict=True)]

    def state(self) -> dict[str, Any]:
        """Return copies on the CPU, and their loss."""
        return {"best": [value.cpu().clone() for value in self._values], "best_loss": float(self._loss)}

    def load(self, best: Sequence[Tensor], best_loss: float) -> None:
        """Load what :meth:`state` returned."""
        self._values = [b.to(t.device) for b, t in zip(best, self._tensors, strict=True)]
        self._loss = torch.full_like(self._loss, best_loss)

    @torch.no_grad()
    def restore(self) -> None:
        """Write the copies to the tensors."""
        for tensor, value in zip(self._tensors, self._values, strict=True):
            tensor.copy_(value)
