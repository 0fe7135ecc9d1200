"""The optimization loop of both presets: Adam, with learning rate schedule, plateaus, best step and stored state."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from panohead.inversion.optimization.resume_file import PhaseState
from panohead.inversion.optimization.run import OptimizationRun

_CUT = 0.3  # factor of the learning rate at every plateau


@dataclass
class Plateau:
    """Rule for learning rate cuts and the end of a phase: the loss has stopped falling.

    Attributes:
        patience: steps without progress after which the learning rate is cut.
        least_gain: relative decrease of the loss that counts as progress.
        cuts: number of cuts; at the next plateau the phase ends.
        reference: loss at the last progress.
        waited: steps since then.
        cuts_done: cuts so far.
    """

    patience: int = 12
    least_gain: float = 0.01
    cuts: int = 1
    reference: float = float("inf")
    waited: int = 0
    cuts_done: int = 0

    def update(self, loss: float) -> bool:
        """Take account of a step's loss; return True when the learning rate is cut."""
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
        """True when the phase should end."""
        return self.cuts_done > self.cuts


@dataclass(frozen=True)
class ParameterGroup:
    """Leaf tensors that require gradients and share a learning rate (one ``param_group`` of torch's Adam)."""

    tensors: Sequence[Tensor]
    learning_rate: float


@dataclass
class BestStep:
    """Values of the tensors at the step with the smallest loss.

    Attributes:
        values: copies, in the order of the tensors.
        loss: smallest loss so far.
    """

    values: list[Tensor]
    loss: float = float("inf")

    def update(self, loss: float, tensors: Sequence[Tensor]) -> None:
        """Copy the tensors if their loss is the smallest so far."""
        if loss < self.loss:
            self.values, self.loss = _copies(tensors), loss


def constant_rate(step: int) -> float:
    """Learning rate factor of a phase without a schedule."""
    return 1.0


def optimize(
    phase: str,
    groups: Sequence[ParameterGroup],
    losses: Callable[[int], Mapping[str, Tensor]],
    steps: int,
    run: OptimizationRun,
    *,
    rate: Callable[[int], float] = constant_rate,
    plateau: Plateau | None = None,
    keep_best: bool = True,
    criterion: str = "loss",
) -> None:
    """Minimize ``losses(step)["loss"]`` with Adam, in place; resumed, it takes the steps that an unbroken run would.

    A loss that is not finite ends the phase before it reaches the tensors, and adds a note to the log.

    Args:
        phase: name for log and state.
        groups: tensors to optimize, with their learning rates.
        losses: function from the number of the step (0 for the first) to the total loss and its parts.
        steps: maximum number of steps.
        run: callbacks, log and stored states.
        rate: learning rate factor of a step.
        plateau: rule for cuts of the learning rate and an early end; None takes all steps.
        keep_best: end with the values of the best step, not with those after the last.
        criterion: part of the loss by which the best step and a plateau are known.
    """
    tensors = [tensor for group in groups for tensor in group.tensors]
    # torch's default betas, (0.9, 0.999), are those of the official code.
    adam = torch.optim.Adam([{"params": list(group.tensors), "lr": group.learning_rate} for group in groups])
    best = BestStep(_copies(tensors)) if keep_best else None
    start, state = 0, run.load_state(phase)
    if state is not None:
        start, plateau, best = _restore(state, tensors, adam, plateau, best)
    done = start
    for step in range(start, steps):
        if run.stop_requested() or (plateau is not None and plateau.over):
            break
        parts = losses(step)
        value = float(parts[criterion].detach())
        if not math.isfinite(float(parts["loss"].detach())):
            run.log.notes.append(
                f"The phase '{phase}' diverged at step {step + 1} (the loss is not finite); it ends there."
            )
            break
        if best is not None:
            best.update(value, tensors)  # before the step: this is the loss of the tensors as they are now
        factor = rate(step) if plateau is None else _CUT**plateau.cuts_done * rate(step)
        for group, parameters in zip(adam.param_groups, groups, strict=True):
            group["lr"] = parameters.learning_rate * factor
        adam.zero_grad(set_to_none=True)
        parts["loss"].backward()
        adam.step()
        if plateau is not None:
            plateau.update(value)
        done = step + 1
        run.record(phase, done, steps, parts)
        if run.save_is_due(done):
            run.save_state(phase, _state(done, tensors, adam, plateau, best))
    # The last state is saved too, so that a resumed run skips a finished phase and continues a stopped one.
    if run.saves_to_file and done > start:
        run.save_state(phase, _state(done, tensors, adam, plateau, best))
    if best is not None:
        _assign(tensors, best.values)


def _state(
    step: int, tensors: Sequence[Tensor], adam: torch.optim.Adam, plateau: Plateau | None, best: BestStep | None
) -> PhaseState:
    """Copies of everything that :func:`_restore` needs; later steps do not change them."""
    state: PhaseState = {
        "step": step,
        "parameters": [tensor.cpu() for tensor in _copies(tensors)],
        "adam": _deep_copy(adam.state_dict()),
    }
    if plateau is not None:
        state["plateau"] = asdict(plateau)
    if best is not None:
        state.update(best=[value.cpu().clone() for value in best.values], best_loss=best.loss)
    return state


def _restore(
    state: PhaseState,
    tensors: Sequence[Tensor],
    adam: torch.optim.Adam,
    plateau: Plateau | None,
    best: BestStep | None,
) -> tuple[int, Plateau | None, BestStep | None]:
    """Restore tensors and Adam in place; return the number of steps done, the plateau and the best step."""
    _assign(tensors, state["parameters"])
    adam.load_state_dict(_deep_copy(state["adam"]))
    if plateau is not None:
        plateau = Plateau(**state["plateau"])
    if best is not None:
        best = BestStep([v.to(t.device) for v, t in zip(state["best"], tensors, strict=True)], state["best_loss"])
    return int(state["step"]), plateau, best


@torch.no_grad()
def _assign(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


def _deep_copy(value: Any) -> Any:
    """Copy nested dicts and lists, and the tensors in them without their graph."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _deep_copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_deep_copy(item) for item in value]
    return value
