"""Conversion of configurations from plain JSON values, checked against their dataclass."""

import dataclasses
import reprlib
import types
import typing
from typing import Any, TypeVar

_Config = TypeVar("_Config")


def from_plain(cls: type[_Config], plain: dict[str, Any]) -> _Config:
    """Return an instance of the dataclass ``cls`` from the JSON form of :func:`dataclasses.asdict`.

    Missing fields take their defaults, so that old files stay readable.

    Raises:
        ValueError: naming an unknown field, or a value that is not allowed.
    """
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = sorted(set(plain) - names)
    if unknown:
        raise ValueError(f"{cls.__name__} has no setting {unknown[0]!r}")
    return cls(**{name: _convert(hints[name], value, name) for name, value in plain.items()})


def _convert(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise ValueError(f"{name} is {_shown(value)}, not one of {typing.get_args(hint)}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, name)
    if origin is tuple:
        inner = typing.get_args(hint)
        inner = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
        if len(inner) != len(value):
            raise ValueError(f"{name} needs {len(inner)} values, not {len(value)}")
        return tuple(_convert(h, v, name) for h, v in zip(inner, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 2**63:
            raise ValueError(f"{name} is a number of too many digits")
        return float(value)
    if isinstance(hint, type) and not isinstance(value, hint):
        raise ValueError(f"{name} is {_shown(value)}, not a {hint.__name__}")
    return value


def _shown(value: Any) -> str:
    """Return a value out of a file for a sentence, shortened."""
    if isinstance(value, int) and abs(value) > 2**63:
        return "a number of too many digits"
    return reprlib.repr(value)


def _convert_union(options: tuple[Any, ...], value: Any, name: str) -> Any:
    for option in options:
        try:
            return None if option is type(None) and value is None else _convert(option, value, name)
        except (ValueError, TypeError):
            continue
    raise ValueError(f"{name} is {_shown(value)}, which is none of {options}")
