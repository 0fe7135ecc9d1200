"""Reading of JSON that others wrote: bounded, validated against a form (by msgspec), with errors that name the place.

A form is a type: a frozen dataclass for configurations, a ``TypedDict``, ``list[...]`` or ``dict[...]`` for files.
"""

import dataclasses
import json
import math
import re
import types
import typing
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from panohead.errors import PanoHeadError
from panohead.files.regular import MAX_TEXT_BYTES, read_regular, reason_of

MAX_DEPTH = 64
"""Maximum nesting of lists and objects."""
MAX_INTEGER = 2**64
"""Bound of integers; those of a file become 64-bit numbers somewhere."""
MAX_CONTAINERS, MAX_ENTRIES = 2_000_000, 10_000_000
"""Maximum number of lists and objects, and of their entries, in one JSON text: they decide the memory."""
REMEDY = "restore the file or write it again"
_SHOWN = 300

_Form = TypeVar("_Form")
if TYPE_CHECKING:
    from builtins import type as _FormType
else:
    _FormType = defaultdict(lambda: Any)  # a form such as dict[str, int] is no class at run time


def read_json(path: Path, form: _FormType[_Form], *, remedy: str = REMEDY) -> _Form:
    """Read one JSON value from a file.

    Args:
        path: a regular file, UTF-8.
        form: type of the value, see :func:`from_plain`.
        remedy: end of the sentence of an error.

    Raises:
        PanoHeadError: naming the file, the place in it and what is expected there.
    """
    return parse_json(_content(path, remedy), form, str(path), remedy=remedy)


def read_json_lines(path: Path, form: _FormType[_Form], *, remedy: str = REMEDY) -> Iterator[_Form]:
    """Yield the values of a file with one JSON value per line; empty lines are left out.

    Raises:
        PanoHeadError: naming the file and the line.
    """
    for number, line in enumerate(_content(path, remedy).split(b"\n"), 1):
        if line.strip():
            yield parse_json(line, form, f"{path}, line {number}", remedy=remedy)


def parse_json(content: bytes | str, form: _FormType[_Form], where: str, *, remedy: str = REMEDY) -> _Form:
    """Return the value of a JSON text.

    Args:
        where: name of the text's origin, with which the error begins.

    Raises:
        PanoHeadError: as for :func:`read_json`.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    try:
        _check_size(content)
        return from_plain(form, json.loads(content, parse_constant=_no_constant))
    except PanoHeadError as error:  # of a configuration, about its own values
        reason = str(error)
    except RecursionError:
        reason = f"it is nested deeper than {MAX_DEPTH} levels"
    except json.JSONDecodeError as error:
        reason = f"no JSON: {error}"
    except UnicodeDecodeError:
        reason = "no JSON: not in UTF-8"
    except ValueError as error:
        # Python's own sentence on a long number advises to change the interpreter.
        reason = "a number has thousands of digits" if "int_max_str_digits" in str(error) else str(error)
    raise PanoHeadError(f"{where} is not of the form that it must have ({reason[:_SHOWN]}); {remedy}")


def from_plain(form: _FormType[_Form], plain: Any) -> _Form:
    """Convert a JSON value to a form.

    Missing fields of dataclasses take their defaults, so that old files stay readable; unknown ones are refused.

    Returns:
        An instance of a dataclass; for every other form the value itself, with keys that the form does not name.

    Raises:
        ValueError: naming the place and what is expected there; also for numbers that are not finite or too large, for
            values nested too deep, and for what is no value of JSON (a tensor in a file of PyTorch).
    """
    _check_bounds(plain)
    try:
        converted = msgspec.convert(plain, form)
    except msgspec.ValidationError as error:
        raise ValueError(_readable(error, form)) from error
    if not dataclasses.is_dataclass(form):
        return plain
    unknown = _unknown(plain, dataclasses.asdict(converted))  # type: ignore[call-overload]
    if unknown:
        raise ValueError(f"{form.__name__} has no setting {unknown!r}")
    return converted


def _content(path: Path, remedy: str) -> bytes:
    try:
        return read_regular(path, MAX_TEXT_BYTES)
    except OSError as error:
        if isinstance(error, PermissionError):  # nothing is wrong with what the file says
            remedy = "check its permissions and those of its folder"
        raise PanoHeadError(f"cannot read {path} ({reason_of(error)}); {remedy}") from error


def _check_size(content: bytes) -> None:
    containers = content.count(b"[") + content.count(b"{")
    if len(content) > MAX_TEXT_BYTES or containers > MAX_CONTAINERS or content.count(b",") > MAX_ENTRIES:
        raise ValueError(
            f"it is larger than any such file: {len(content) / 1e6:.0f} MB, {containers} lists and objects"
        )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check_bounds(plain: Any) -> None:
    """Check depth and numbers, level by level rather than by recursion."""
    level: list[_Container] = [("", [plain], None)]
    for _ in range(MAX_DEPTH + 1):
        below: list[_Container] = []
        for container in level:
            _, value, _ = container
            for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
                kind = type(entry)
                if kind is float and not math.isfinite(entry):
                    raise ValueError(f"{_place(container, key)} is {entry}; expected a finite number")
                if kind is int and abs(entry) > MAX_INTEGER:
                    raise ValueError(f"{_place(container, key)} is a number beyond {MAX_INTEGER:.3g}")
                if kind is dict or kind is list or kind is tuple:
                    below.append((key, entry, container))
                elif kind not in _SCALARS:
                    raise ValueError(f"{_place(container, key)} is of type {kind.__name__}; expected a value of JSON")
        if not below:
            return
        level = below
    raise ValueError(f"{_place(level[0], '')[:60]} is nested deeper than {MAX_DEPTH} levels")


_SCALARS = (float, int, str, bool, type(None))
"""Other types that a value consists of. msgspec would ask a tensor (of a state of a run) for its entries."""
_Container = tuple[Any, Any, Any]
"""Key of a list or object in the one that holds it, the list or object, and the container of that one."""


def _place(container: _Container | None, key: Any) -> str:
    """Return the place of an entry as text; the outermost container only holds the whole value."""
    keys = [key]
    while container is not None and container[2] is not None:
        keys.append(container[0])
        container = container[2]
    return _named("".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in reversed(keys[:-1])))


def _unknown(plain: Any, known: Any, place: str = "") -> str | None:
    """Return the place of the first key that a converted configuration does not have; None without one."""
    if isinstance(plain, dict) and isinstance(known, dict):
        for key, value in plain.items():
            found = f"{place}{key}" if key not in known else _unknown(value, known[key], f"{place}{key}.")
            if found:
                return found
    return None


def _readable(error: msgspec.ValidationError, form: Any) -> str:
    """Return msgspec's message with the place first: "labels[3][1]: expected float, got str"."""
    what, _, place = str(error).partition(" - at `$")
    place, what = place.removesuffix("`"), what.replace("`", "")
    if what.startswith("Invalid enum value"):
        allowed = _allowed(form, re.findall(r"\.(\w+)", place))
        what += f", not one of {', '.join(map(repr, allowed))}" if allowed else ""
    if what.startswith(("Expected", "Object", "Invalid")):
        what = what[0].lower() + what[1:]
    # A configuration names its own settings.
    return f"{_named(place)}: {what}" if place or what.startswith(("expected", "object")) else what


def _allowed(form: Any, keys: list[str]) -> tuple[Any, ...]:
    """Return the values of the Literal at the end of a path of keys in a form; none where there is no Literal."""
    for option in typing.get_args(form) if typing.get_origin(form) in (typing.Union, types.UnionType) else (form,):
        if not keys and typing.get_origin(option) is typing.Literal:
            return typing.get_args(option)
        if keys and (dataclasses.is_dataclass(option) or typing.is_typeddict(option)):
            found = _allowed(typing.get_type_hints(option).get(keys[0]), keys[1:])
            if found:
                return found
    return ()


def _named(place: str) -> str:
    return place.removeprefix(".") or "the whole"
