"""Ranges of options: ``Annotated[int, SEED]`` in a command's class is checked here before the command runs."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

from panohead.limits import NumberRange

T = TypeVar("T")

MAX_HEADS = 10_000
"""Maximum number of heads that one command makes."""
HEADS = NumberRange(1, MAX_HEADS)
SHEET_SEEDS = NumberRange(1, 100)
"""Rows of the contact sheet of ``panohead demo``."""
KIMG = NumberRange(1e-6, 1e9, "thousand images")
SHARD_MB = NumberRange(1e-3, 100_000, "million bytes")
DATASET_PEOPLE = NumberRange(1, 999_999)
VIEWS = NumberRange(1, 99)
SYNTHETIC_SIDE = NumberRange(16, 2048, "pixels")
FOCAL = NumberRange(1, 50, "image widths")
PITCH_STD_DEG = NumberRange(0, 45, "degrees")


def check_ranges(command: Any) -> None:
    """Check every option of a command, and of the settings in it, whose type is annotated with a range.

    Raises:
        UsageError: naming the first option out of its range, and the range.
    """
    for name, value, limits in _limited(command):
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, int):
            limits.whole(value, option)
        elif isinstance(value, float):
            limits.real(value, option)


def _limited(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any, NumberRange]]:
    """Yield name, number and range of every annotated field; of each number of a tuple."""
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            # tyro.conf.OmitArgPrefixes is an annotation; without it the options have the field's name before them.
            flat = typing.get_origin(hints[field.name]) is typing.Annotated
            yield from _limited(value, prefix if flat else f"{prefix}{field.name}.")
            continue
        for limits in _ranges(hints[field.name]):
            for number in value if isinstance(value, tuple) else (value,):
                yield f"{prefix}{field.name}", number, limits


def _ranges(hint: Any) -> Iterator[NumberRange]:
    if typing.get_origin(hint) is typing.Annotated:
        yield from (part for part in hint.__metadata__ if isinstance(part, NumberRange))
        yield from _ranges(hint.__origin__)
    elif typing.get_origin(hint) in (tuple, typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from _ranges(part)


def check_count(numbers: list[T], what: str) -> list[T]:
    """Return the seeds, or whatever stands for a head each, if there are not too many to make.

    Raises:
        UsageError: when there are more than MAX_HEADS.
    """
    HEADS.whole(len(numbers), f"the number of {what}")
    return numbers
