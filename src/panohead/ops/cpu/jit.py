"""numba where it is installed: one decorator for the compiler-free CPU kernels.

Nothing here is needed for correctness: without numba ``available()`` is False and callers take plain PyTorch.
"""

import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

_KERNEL_FOLDERS = ("ops/cpu", "rendering", "synthetic")
"""Folders of the package with kernels, and with the constants that are compiled into them."""


@functools.cache
def available() -> bool:
    """Return True when compiled kernels can be used (numba installed, not switched off by PANOHEAD_NO_NUMBA=1)."""
    return os.environ.get("PANOHEAD_NO_NUMBA", "") != "1" and importlib.util.find_spec("numba") is not None


@functools.cache
def load_failure(module: str) -> str | None:
    """Return why the kernels in ``module`` cannot be loaded (after a warning), None if they can; nothing is compiled.

    numba refuses, for example, where no folder for its cache can be written to.
    """
    try:
        importlib.import_module(module)
    except Exception as error:
        reason = f"the compiled kernels {module} cannot be loaded ({' '.join(str(error).split())})"
        warnings.warn(f"{reason}; plain PyTorch is used", RuntimeWarning, stacklevel=2)
        return reason
    return None


@functools.cache
def sources_digest() -> str:
    """Return eight hexadecimal digits of a hash over all files that kernels are compiled from."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[2]
    for folder in _KERNEL_FOLDERS:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def jit(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return ``numba.njit`` with an on-disk cache as a decorator; the function unchanged where numba is missing.

    The runtime shape checker of the tests wraps functions at import; numba needs the function itself, so unwrap first.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        plain = inspect.unwrap(function)
        if not available():
            return plain
        import numba

        if "NUMBA_CACHE_DIR" not in os.environ:
            # A .numba_config.yaml in the current folder may name another place, whose kernels would be run.
            numba.config.CACHE_DIR = ""  # type: ignore[attr-defined]

        # numba finds a cached kernel by its qualified name and the date of its own file alone, not by those of the
        # kernels that were compiled into it: after a change elsewhere it would use the old ones in silence.
        plain.__qualname__ = f"{plain.__qualname__}_{sources_digest()}"
        try:
            return numba.njit(cache=True, **options)(plain)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            _warn_uncached()
            return numba.njit(**options)(plain)

    return decorate


@functools.cache
def _warn_uncached() -> None:
    """Warn once in a process."""
    warnings.warn(
        "no folder for compiled kernels can be written, so every process compiles them anew (seconds to minutes); set "
        "NUMBA_CACHE_DIR to a folder",
        RuntimeWarning,
        stacklevel=2,
    )
