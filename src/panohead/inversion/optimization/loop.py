"""The optimization loop of both presets: Adam, with learning rate schedule, plateaus, best step and stored state."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from panohead.inversion.optimization.resume_file import PhaseState
from panohead.inversion.optimization.run import READ_EVERY, OptimizationRun, on_host
from panohead.ops.waits import reading_waits

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
        loss: smallest loss so far, on the device of the losses.
    """

    values: list[Tensor]
    loss: Tensor

    @torch.no_grad()
    def update(self, loss: Tensor, total: Tensor, tensors: Sequence[Tensor]) -> None:
        """Copy the tensors if their loss is the smallest so far and the total loss is finite."""
        if not reading_waits(loss.device):
            if loss < self.loss:
                self.values, self.loss = _copies(tensors), loss
            return
        # Compared on the device: reading the loss would wait for it.
        better = (loss < self.loss) & total.isfinite()
        self.loss = torch.where(better, loss, self.loss)
        self.values = [torch.where(better, t, value) for t, value in zip(tensors, self.values, strict=True)]


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

    A loss that is not finite ends the phase before it reaches the tensors, and adds a note to the log. On a GPU losses
    are read for several steps at once, as reading waits for it: plateaus and the end of a phase follow a little later.

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
    best = BestStep(_copies(tensors), torch.full((), torch.inf, device=tensors[0].device)) if keep_best else None
    start, state = 0, run.load_state(phase)
    if state is not None:
        with run.restoring():
            start, plateau, best = _restore(state, tensors, adam, plateau, best)
    at_once = not reading_waits(tensors[0].device)
    pending: list[Mapping[str, Tensor]] = []  # losses of the last steps, not read yet
    done = start
    for step in range(start, steps):
        if run.stop_requested() or (plateau is not None and plateau.over):
            break
        parts = losses(step)
        pending.append({name: value.detach() for name, value in parts.items()})
        if at_once and not math.isfinite(pending[-1]["loss"]):
            break
        if best is not None:
            # before the step: this is the loss of the tensors as they are now
            best.update(pending[-1][criterion], pending[-1]["loss"], tensors)
        factor = rate(step) if plateau is None else _CUT**plateau.cuts_done * rate(step)
        for group, parameters in zip(adam.param_groups, groups, strict=True):
            group["lr"] = parameters.learning_rate * factor
        adam.zero_grad(set_to_none=True)
        parts["loss"].backward()
        adam.step()
        done = step + 1
        save = run.save_is_due(done)
        if (at_once or save or len(pending) == READ_EVERY) and not _read(
            pending, phase, done, steps, run, plateau, criterion
        ):
            break
        if save:
            run.save_state(phase, _state(done, tensors, adam, plateau, best))
    # On a CPU at most the losses of a step that was not made, as its loss is not finite.
    _read(pending, phase, done + (1 if at_once and pending else 0), steps, run, plateau, criterion)
    # The last state is saved too, so that a resumed run skips a finished phase and continues a stopped one.
    if run.saves_to_file and done > start:
        run.save_state(phase, _state(done, tensors, adam, plateau, best))
    if best is not None:
        _assign(tensors, best.values)


def _read(
    pending: list[Mapping[str, Tensor]],
    phase: str,
    done: int,
    steps: int,
    run: OptimizationRun,
    plateau: Plateau | None,
    criterion: str,
) -> bool:
    """Take account of the pending losses, those of the last of ``done`` steps; return False after divergence."""
    rows = on_host(pending)
    pending.clear()
    for number, row in enumerate(rows, start=done - len(rows) + 1):
        if not math.isfinite(row["loss"]):
            run.log.notes.append(
                f"The phase '{phase}' diverged at step {number} (the loss is not finite); it ends there."
            )
            return False
        if plateau is not None:
            plateau.update(row[criterion])
        run.record(phase, number, steps, row)
    return True


def _state(
    step: int, tensors: Sequence[Tensor], adam: torch.optim.Adam, plateau: Plateau | None, best: BestStep | None
) -> PhaseState:
    """Return copies of everything that :func:`_restore` needs; later steps do not change them."""
    state: PhaseState = {
        "step": step,
        "parameters": [tensor.cpu() for tensor in _copies(tensors)],
        "adam": _deep_copy(adam.state_dict()),
    }
    if plateau is not None:
        state["plateau"] = asdict(plateau)
    if best is not None:
        state.update(best=[value.cpu().clone() for value in best.values], best_loss=float(best.loss))
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
    # Groups and options are those of ``adam``: earlier versions stored one group per tensor, in the same order.
    adam.load_state_dict(
        {"state": _deep_copy(state["adam"]["state"]), "param_groups": adam.state_dict()["param_groups"]}
    )
    if plateau is not None:
        plateau = Plateau(**state["plateau"])
    if best is not None:
        values = [v.to(t.device) for v, t in zip(state["best"], tensors, strict=True)]
        best = BestStep(values, torch.full_like(best.loss, state["best_loss"]))
    return int(state["step"]), plateau, best


@torch.no_grad()
def _assign(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        if tensor.shape != value.shape:  # copy_ would broadcast
            raise ValueError(f"shapes differ: {tuple(tensor.shape)} and {tuple(value.shape)}")
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
