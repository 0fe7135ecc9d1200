"""Where numbers stop being finite: a step is run once more, and every module, parameter and gradient is looked at."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def find_nonfinite(networks: Mapping[str, nn.Module], run: Callable[[], Tensor]) -> str:
    """The first thing in a step that is not finite, as a part of a sentence.

    That is the first module whose output is not finite while its inputs are; if there is none, the first parameter
    that is not finite; if there is none, the parameter whose gradient is the first to be so on the way back.

    Args:
        networks: by the names that the answer shall use.
        run: computes the loss again. Its random numbers must be the same; gradients stored so far stay as they are.

    Hooks are removed in the end, whatever happens.
    """
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
    return "when the step is run once more everything is finite"


def count_nonfinite_gradients(parameters: Iterable[nn.Parameter]) -> int:
    """How many of the parameters have a gradient with NaN or infinity in it. Waits for the device once."""
    gradients = [p.grad for p in parameters if p.grad is not None and p.grad.numel()]
    if not gradients:
        return 0
    # The largest absolute value, unlike a sum or a mean square, is finite exactly where all values are.
    largest = torch.stack(torch._foreach_norm(gradients, float("inf")))
    return int((~largest.isfinite()).sum())


@contextmanager
def _watched_modules(networks: Mapping[str, nn.Module], found: list[str]) -> Iterator[None]:
    """Inside, every call of a module is looked at; the first that makes bad out of good goes to ``found``."""

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
    """The way back from the loss, with an eye on every parameter's gradient in the order in which they come."""

    def watch(name: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            if not found and not _finite(gradient):
                found.append(f"the gradient of {name} is the first that is not finite on the way back from the loss")

        return hook

    wanted = {name: p for name, p in _parameters(networks) if p.requires_grad}
    if not wanted or not loss.requires_grad:
        return
    handles = [p.register_hook(watch(name)) for name, p in wanted.items()]
    try:
        # Not ``backward``: that would add to the gradients of the step that is being looked into.
        torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()


def _parameters(networks: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    for prefix, network in networks.items():
        yield from network.named_parameters(prefix=prefix)


def _finite(value: Any) -> bool:
    """True when every floating number in a tensor, container or dataclass is finite; True for what holds none."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.detach().isfinite().all())
    if isinstance(value, Mapping):
        return all(_finite(x) for x in value.values())
    if isinstance(value, list | tuple):
        return all(_finite(x) for x in value)
    if is_dataclass(value) and not isinstance(value, type):
        return all(_finite(getattr(value, field.name)) for field in fields(value))
    return True
