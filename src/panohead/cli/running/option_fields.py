"""The options of a command's class, by their keys in config files."""

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any

import tyro

from panohead.cli.running.common_options import COMMON


@dataclass(frozen=True)
class OptionField:
    """One option.

    Attributes:
        key: name in a config file: seeds, gates.min_coverage.
        option: as it is typed: --seeds, --gates.min-coverage; of a positional one the key.
        path: names of the fields that lead to it.
        is_flag: it takes no value.
        takes_many: it takes any number of values.
        is_positional: its values have no name before them.
        default: value if it is not given; MISSING where it must be.
    """

    key: str
    option: str
    path: tuple[str, ...]
    is_flag: bool
    takes_many: bool
    is_positional: bool
    default: Any

    def value(self, command: Any) -> Any:
        """Return the value that a command has."""
        for name in self.path:
            command = getattr(command, name)
        return command

    def flag(self, value: bool) -> str:
        """Return the word that sets a flag to a value."""
        if value:
            return self.option
        group, dot, last = self.option[2:].rpartition(".")
        return f"--{group}{dot}no-{last}"


def option_fields(command: type) -> list[OptionField]:
    """Return all options of a command's class but the common ones, in the order of their fields."""
    return list(_fields(command, "", ()))


def _fields(holder: type, prefix: str, path: tuple[str, ...]) -> Iterator[OptionField]:
    hints = typing.get_type_hints(holder, include_extras=True)
    for field in fields(holder):
        if field.name == COMMON:
            continue
        kind, marks = _unwrapped(hints[field.name])
        place = (*path, field.name)
        if isinstance(kind, type) and is_dataclass(kind):
            flat = any(mark is tyro.conf.OmitArgPrefixes for mark in marks)
            yield from _fields(kind, prefix if flat else f"{prefix}{field.name}.", place)
            continue
        positional = any(mark is tyro.conf.Positional for mark in marks)
        key = f"{prefix}{field.name}"
        option = key if positional else f"--{key}".replace("_", "-")
        many = typing.get_origin(kind) is tuple
        yield OptionField(key, option, place, kind is bool, many, positional, _default(field))


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without its annotations and without None, and the annotations."""
    marks: tuple[Any, ...] = ()
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            marks += hint.__metadata__
            hint = hint.__origin__
            continue
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        if typing.get_origin(hint) in (typing.Union, types.UnionType) and len(parts) == 1:
            hint = parts[0]
            continue
        return hint, marks


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def given_options(words: Sequence[str], options: Sequence[OptionField]) -> set[str]:
    """Return the keys of the options that words of a command line set; positional ones that find a word included.

    Args:
        words: the words after the command's name.
    """
    by_name = {option.option: option for option in options if not option.is_positional}
    positional = next((option.key for option in options if option.is_positional), None)
    given: set[str] = set()
    left: float = 0  # values that the option before may still take
    for place, word in enumerate(words):
        if word == "--":
            return given | ({positional} if positional and words[place + 1 :] else set())
        if not word.startswith("--"):
            if left <= 0 and positional is not None:
                given.add(positional)
            left -= 1
            continue
        name, equals, _ = word.partition("=")
        found = by_name.get(name.replace("_", "-"))
        if found is None:
            found = by_name.get("--" + name.replace("_", "-").removeprefix("--no-"))
        if found is not None:
            given.add(found.key)
        takes = 0.0 if found is None or found.is_flag else float("inf") if found.takes_many else 1.0
        left = 0 if equals else takes
    return given
