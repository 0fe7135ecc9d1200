"""Diagnosis of diverged training: a search of all modules, parameters and gradients for the first NaN or infinity."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def find_nonfinite(networks: Mapping[str, nn.Module], run: Callable[[], Tensor]) -> str:
    """Return the first part of a loss's computation that is not finite, as a part of a sentence.

    That is the first module whose output is not finite while its inputs are; if there is none, the first parameter
    that is not finite; if there is none, the parameter whose gradient is the first not to be finite in the backward
    pass.

    Args:
        networks: networks by the names that the sentence uses.
        run: function that computes the loss again with the same random numbers. Stored gradients do not change.

    All hooks are removed at the end, also after an error.
    """
    # Gradients are needed for the backward pass, also where the caller has switched them off.
    found: list[str] = []
    with torch.enable_grad():
        with _watched_modules(networks, found):
            loss = run()
        found += [f"the parameter {name} is not finite" for name, p in _parameters(networks) if not _finite(p)]
        if not found:
            _search_gradients(networks, loss, found)
    if found:
        return found[0]
    if not _finite(loss):
        return "a loss is not finite, though all parameters and the outputs of all modules are"
    return "when the loss is computed once more everything is finite"


def count_nonfinite_gradients(parameters: Iterable[nn.Parameter]) -> int:
    """Count the parameters that have NaN or infinity in their gradient; waits for the device once."""
    gradients = [p.grad for p in parameters if p.grad is not None and p.grad.numel()]
    if not gradients:
        return 0
    # The largest absolute value, unlike a sum or a mean square, is finite exactly where all values are.
    largest = torch.stack(torch._foreach_norm(gradients, float("inf")))
    return int((~largest.isfinite()).sum())


def first_nonfinite(network: nn.Module) -> str | None:
    """Return the name of the first parameter or buffer that is not finite, None without one; waits once if all are."""
    tensors = {name: t.detach() for name, t in network.state_dict().items() if t.is_floating_point() and t.numel()}
    if not tensors:
        return None
    largest = torch.stack(torch._foreach_norm([t.float() for t in tensors.values()], float("inf")))
    if bool(largest.isfinite().all()):
        return None
    return next(name for name, value in zip(tensors, largest, strict=True) if not bool(value.isfinite()))


@contextmanager
def _watched_modules(networks: Mapping[str, nn.Module], found: list[str]) -> Iterator[None]:
    """Check every call of a module inside; the first with finite inputs and a non-finite output goes to ``found``."""

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, keywords: Any, output: Any) -> None:
            if not found and not _finite(output) and _finite((inputs, keywords)):
                own = [key for key, p in module.named_parameters() if not _finite(p)]
                cause = f" (its parameter {own[0]} is not finite)" if own else ""
                found.append(f"the output of {name} is not finite though its inputs are{cause}")

        return hook

    handles: list[RemovableHandle] = []
    try:
        for prefix, network in networks.items():
            for name, module in network.named_modules(prefix=prefix):
                handles.append(module.register_forward_hook(watch(name), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _search_gradients(networks: Mapping[str, nn.Module], loss: Tensor, found: list[str]) -> None:
    """Run the backward pass; the first parameter whose gradient is not finite goes to ``found``."""

    def watch(name: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            if not found and not _finite(gradient):
                found.append(f"the gradient of {name} is the first that is not finite in the backward pass")

        return hook

    wanted = {name: p for name, p in _parameters(networks) if p.requires_grad}
    if not wanted or not loss.requires_grad:
        return
    handles = [p.register_hook(watch(name)) for name, p in wanted.items()]
    try:
        # Not ``backward``: that would add to the gradients of the step under diagnosis.
        torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()


def _parameters(networks: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    for prefix, network in networks.items():
        yield from network.named_parameters(prefix=prefix)


def _finite(value: Any) -> bool:
    """Return True when every float in a tensor, container or dataclass is finite; True for objects without floats."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.detach().isfinite().all())
    if isinstance(value, Mapping):
        return all(_finite(x) for x in value.values())
    if isinstance(value, list | tuple):
        return all(_finite(x) for x in value)
    if is_dataclass(value) and not isinstance(value, type):
        return all(_finite(getattr(value, field.name)) for field in fields(value))
    return True
