"""Parameters and Adam's moments as plain data, to stop an optimisation and go on exactly."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def adam_state(step: int, parameters: Sequence[Tensor], adam: torch.optim.Adam) -> dict[str, Any]:
    """What :func:`restore_adam` needs. Copies, so that later steps do not change it."""
    return {
        "step": step,
        "parameters": [p.detach().cpu().clone() for p in parameters],
        "adam": _copied(adam.state_dict()),
    }


def restore_adam(state: dict[str, Any] | None, parameters: Sequence[Tensor], adam: torch.optim.Adam) -> int:
    """Put a stored state back, in place; returns the number of steps done, 0 without a state."""
    if state is None:
        return 0
    with torch.no_grad():
        for parameter, value in zip(parameters, state["parameters"], strict=True):
            parameter.copy_(value)
    # Groups and options are those of ``adam``: earlier versions stored one group for each tensor, in the same order.
    adam.load_state_dict({"state": _copied(state["adam"]["state"]), "param_groups": adam.state_dict()["param_groups"]})
    return int(state["step"])


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value
