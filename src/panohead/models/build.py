"""Construction of networks for weights out of a file: nothing is allocated that the file does not fill.

A configuration out of a file may ask for a network of any size within its ranges. So the network is built without
memory first (PyTorch's meta device), and its names and shapes are compared with those of the weights.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from panohead.errors import PanoHeadError

MAX_PARAMETERS = 2**28
"""Numbers of one network that is built without weights; the paper's discriminator has 6e7."""
_NAMES_SHOWN = 3
_Network = TypeVar("_Network", bound=nn.Module)


class UnfittingWeights(PanoHeadError):
    """Error for weights that are not those of the network."""


def build_for(
    make: Callable[[], _Network], weights: Mapping[str, Tensor], optional: frozenset[str] = frozenset()
) -> _Network:
    """Return the network that ``make`` builds, if it is the one of the weights.

    Args:
        make: builds the network.
        weights: weights by the names of the network's state.
        optional: names that the weights may lack.

    Raises:
        UnfittingWeights: naming up to three tensors that are missing, unexpected or of another shape.
        PanoHeadError: when the configuration cannot be built.
    """
    require_fitting(planned_state(make), weights, optional)
    return make()


def build_bounded(make: Callable[[], _Network]) -> _Network:
    """Return the network that ``make`` builds, if it has at most MAX_PARAMETERS numbers.

    Raises:
        PanoHeadError: as :func:`check_bounded`.
    """
    check_bounded(make)
    return make()


def check_bounded(make: Callable[[], nn.Module]) -> None:
    """Check that the network that ``make`` builds has at most MAX_PARAMETERS numbers, without memory for them.

    Raises:
        PanoHeadError: when it has more, or the configuration cannot be built.
    """
    count = sum(value.numel() for value in planned_state(make).values())
    if count > MAX_PARAMETERS:
        raise PanoHeadError(
            f"the network would have {count / 1e6:,.0f} million numbers, more than {MAX_PARAMETERS / 1e6:,.0f}; "
            "choose fewer channels or layers"
        )


def planned_state(make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """Return the state of the network that ``make`` builds: names, types and shapes, without memory.

    Raises:
        PanoHeadError: when the parts of the configuration do not fit together.
    """
    try:
        with torch.device("meta"), _ShapesOnly():
            return dict(make().state_dict())
    except PanoHeadError:
        raise
    except Exception as error:  # numbers that are each in range may still fit together in no way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PanoHeadError(f"its configuration describes no network ({reason})") from error


class _ShapesOnly(TorchFunctionMode):
    """Random numbers, and quotients by a number, without values.

    On the meta device PyTorch would import sympy and torch._dynamo for these two: a second of a processor at the start
    of every command.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn:
            return torch.empty(*args, **kwargs)
        if func is Tensor.div and not kwargs and args[0].is_floating_point() and isinstance(args[1], int | float):
            return args[0]
        return func(*args, **kwargs)


def require_fitting(
    planned: Mapping[str, Tensor], weights: Mapping[str, Tensor], optional: frozenset[str] = frozenset()
) -> None:
    """Compare names and shapes.

    Raises:
        UnfittingWeights: naming up to three tensors that are missing, unexpected or of another shape.
    """
    problems = [f"{name} is missing" for name in planned.keys() - weights.keys() - optional]
    problems += [f"{name} is unexpected" for name in weights.keys() - planned.keys()]
    problems += [
        f"{name} has shape {tuple(value.shape)} instead of {tuple(planned[name].shape)}"
        for name, value in weights.items()
        if name in planned and value.shape != planned[name].shape
    ]
    if problems:
        more = f" and {len(problems) - _NAMES_SHOWN} more" if len(problems) > _NAMES_SHOWN else ""
        shown = "; ".join(sorted(problems)[:_NAMES_SHOWN])
        raise UnfittingWeights(f"the weights do not fit this network: {shown}{more}")
