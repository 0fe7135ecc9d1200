"""Adam with a memory for the best, an end on a plateau, and a state to continue from."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.optimizer_state import adam_state, restore_adam

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
    adam = torch.optim.Adam([{"params": [tensor], "lr": rate} for tensor, rate in variables])
    state = log.load_state(phase)
    start = restore_adam(state, tensors, adam)
    best, best_loss = [t.detach().clone() for t in tensors], float("inf")
    if state is not None:
        plateau = Plateau(**state["plateau"])
        best, best_loss = [b.to(t.device) for b, t in zip(state["best"], tensors, strict=True)], state["best_loss"]

    def snapshot(done: int) -> dict[str, Any]:
        extra = {"plateau": asdict(plateau), "best": [b.cpu().clone() for b in best], "best_loss": best_loss}
        return {**adam_state(done, tensors, adam), **extra}

    done = start
    for step in range(start, steps):
        if log.stop_requested() or plateau.over:
            break
        parts = losses(step)
        value = float(parts[criterion].detach())
        if not math.isfinite(float(parts["loss"].detach())):
            log.notes.append(f"The phase '{phase}' lost its footing at step {step + 1} and ended there.")
            break
        if value < best_loss:
            best, best_loss = [t.detach().clone() for t in tensors], value
        factor = _CUT**plateau.cuts_done * min(1.0, (step + 1) / warmup)
        if falling:
            factor *= 0.5 + 0.5 * math.cos(math.pi * step / steps)
        for group, (_, rate) in zip(adam.param_groups, variables, strict=True):
            group["lr"] = rate * factor
        adam.zero_grad(set_to_none=True)
        parts["loss"].backward()
        adam.step()
        plateau.update(value)
        done = step + 1
        log.record(phase, done, steps, parts)
        if log.is_due(done):
            log.save_state(phase, snapshot(done))
    if log.path is not None and done > start:
        log.save_state(phase, snapshot(done))
    with torch.no_grad():
        for tensor, value_of_best in zip(tensors, best, strict=True):
            tensor.copy_(value_of_best)
