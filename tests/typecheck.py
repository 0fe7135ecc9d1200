"""The run-time type checker of the tests: beartype, with the rule of PEP 484 that an int is a float.

``pytest --jaxtyping-packages=panohead,...`` puts ``@jaxtyping.jaxtyped`` on every function of the package. That
decorator checks the parameters twice in every call and makes two checked functions for each one, which cost the tests a
third of their time. :func:`jaxtyped` checks the same once: a function with arrays in its signature keeps jaxtyping's
scope for the names of axes, one without has none to keep.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
_original = jaxtyping.jaxtyped
_scope = functools.partial(_original, "context")


def install() -> None:
    """Let jaxtyping's import hook use this decorator; before anything of panohead is imported."""
    jaxtyping.jaxtyped = jaxtyped  # type: ignore[assignment]


def jaxtyped(target: Any = None, *, typechecker: Any = None) -> Any:
    """Decorate as ``jaxtyping.jaxtyped`` does, with one check of parameters and result in a call."""
    if target is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if isinstance(target, str):  # the context manager
        return _original(target)
    if inspect.isclass(target):
        own = target.__dict__.get("__init__")
        if dataclasses.is_dataclass(target) and inspect.isfunction(own) and not hasattr(own, "__wrapped__"):
            target.__init__ = _function(own)  # type: ignore[misc]
        return target
    if isinstance(target, classmethod | staticmethod):
        return type(target)(jaxtyped(target.__func__))
    if isinstance(target, property):
        return property(*(None if part is None else jaxtyped(part) for part in (target.fget, target.fset, target.fdel)))
    return _function(target)


def _function(function: Callable[..., Any]) -> Callable[..., Any]:
    stated = function.__annotations__
    known = {name: _resolved(hint, function.__globals__) for name, hint in stated.items()}
    function.__annotations__ = known
    try:
        result = checked(function)
    finally:
        function.__annotations__ = stated
    if not any(_mentions(hint, _is_array) for hint in known.values()):
        return result
    if inspect.isgeneratorfunction(function):  # what it yields is checked outside of any scope
        return _original(result, typechecker=None)

    @functools.wraps(function)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        with _scope():
            return result(*args, **kwargs)

    return scoped


def _is_array(hint: Any) -> bool:
    return inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray)


def _is_name(hint: Any) -> bool:
    return isinstance(hint, str | typing.ForwardRef)


def _mentions(hint: Any, kind: Callable[[Any], bool]) -> bool:
    """Return whether a hint or a part of it is of a kind."""
    if isinstance(hint, list):  # the parameters of a Callable
        return any(_mentions(part, kind) for part in hint)
    return kind(hint) or any(_mentions(part, kind) for part in typing.get_args(hint))


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """Return a hint with the names in it looked up; Any where one is known to type checkers alone."""
    if not _mentions(hint, _is_name):
        return hint

    def holder(value: Any) -> None: ...

    holder.__annotations__ = {"value": hint}
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:
        return Any
