"""Ranges of the numbers in configurations, written beside each number and checked wherever a configuration is made.

Configurations come out of checkpoints, pickles, folders of runs and the command line. A width of 10^9 would take all
memory, and NaN would spoil a training run in silence; both end here, in one sentence.
"""

import dataclasses
import functools
import math
import numbers
import types
import typing
from typing import Any

from panohead.errors import PanoHeadError
from panohead.limits import NumberRange

MAX_ITEMS = 10_000
"""Largest number of entries of a list, and of characters of a word, in a configuration."""
_ANY_NUMBER = NumberRange(-(2**63 - 1), 2**63 - 1)


class OutOfRange(PanoHeadError, ValueError):
    """Error for a number in a configuration that is out of its range, not finite, or no number."""


class Bounded:
    """Base class of configurations (dataclasses): every number is finite and within the range of its annotation.

    Raises:
        OutOfRange: naming the first setting that is not.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(typing.cast(Any, type(self))).items():
            _check(name, hint, getattr(self, name), _range(hint))


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _check(name: str, hint: Any, value: Any, allowed: NumberRange | None) -> None:
    if _needs_number(hint) and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        raise OutOfRange(f"{name} is a {type(value).__name__}, not a number")
    if isinstance(value, bool | str | None):
        if isinstance(value, str) and len(value) > MAX_ITEMS:
            raise OutOfRange(f"{name} has {len(value)} characters; at most {MAX_ITEMS} are allowed")
    elif isinstance(value, numbers.Real):
        _check_number(name, hint, value, allowed)
    elif isinstance(value, tuple | list | dict):
        if len(value) > MAX_ITEMS:
            raise OutOfRange(f"{name} has {len(value)} entries; at most {MAX_ITEMS} are allowed")
        for entry in value.values() if isinstance(value, dict) else value:
            _check(name, Any, entry, allowed)


def _check_number(name: str, hint: Any, value: Any, allowed: NumberRange | None) -> None:
    if not isinstance(value, numbers.Integral):
        if not math.isfinite(value):
            raise OutOfRange(f"{name} is {value}; give a finite number")
        if _base(hint) is int:
            raise OutOfRange(f"{name} is {value}; give a whole number")
    allowed = _ANY_NUMBER if allowed is None else allowed
    if not allowed.low <= value <= allowed.high:
        # A number out of a file may have hundreds of digits.
        shown = allowed.rounded(value) if abs(value) < 1e15 else "a number of too many digits"
        raise OutOfRange(f"{name} is {shown}; give {allowed.wanted('a number')}")


def _range(hint: Any) -> NumberRange | None:
    """Return the range that stands anywhere in an annotation."""
    if isinstance(hint, NumberRange):
        return hint
    inner = (*typing.get_args(hint), *getattr(hint, "__metadata__", ()))
    return next((found for one in inner if (found := _range(one)) is not None), None)


def _base(hint: Any) -> Any:
    """Return the plain type of an annotation, without range and without None."""
    if typing.get_origin(hint) is typing.Annotated:
        return _base(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        others = [one for one in typing.get_args(hint) if one is not type(None)]
        return _base(others[0]) if len(others) == 1 else hint
    return hint


def _needs_number(hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Annotated:
        return _needs_number(typing.get_args(hint)[0])
    return hint in (int, float)


Count = typing.Annotated[int, NumberRange(0, 1e9)]
"""Number of steps, images or ticks."""
Natural = typing.Annotated[int, NumberRange(1, 1e9)]
"""The same, at least one."""
Width = typing.Annotated[int, NumberRange(1, 4096)]
"""Number of channels or features of a layer."""
Layers = typing.Annotated[int, NumberRange(0, 32)]
"""Number of layers of a small network."""
Side = typing.Annotated[int, NumberRange(1, 2048)]
"""Pixels, rays or samples along one axis."""
Seed = typing.Annotated[int, NumberRange(0, 2**63 - 1)]
"""Seed of random numbers."""
Share = typing.Annotated[float, NumberRange(0, 1)]
"""Probability, share or decay."""
NotNegative = typing.Annotated[float, NumberRange(0, 1e9)]
"""Weight, duration or rate."""
