"""Nothing of the current folder is run: neither by this process nor by those that it starts.

Python puts the current folder first on its search path for ``python -m`` and ``python -c``, and multiprocessing starts
its processes by the latter. Then a folder of photos that holds a ``torch.py`` is a program.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_SETTING = "PYTHONSAFEPATH"
_RUN = "import importlib, sys; sys.path.append(sys.argv[1]); importlib.import_module(sys.argv[2]).main()"


def leave_current_folder() -> None:
    """Take the current folder off the front of the search path, where ``python -m`` has put it."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", _current_folder()):
        del sys.path[0]


def _current_folder() -> str:
    """Return the current folder; nothing when it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


@contextlib.contextmanager
def safe_children() -> Iterator[None]:
    """Make Python processes that are started in this block not search the current folder for modules."""
    before = os.environ.get(_SETTING)
    os.environ[_SETTING] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SETTING]
        else:
            os.environ[_SETTING] = before


def module_command(module: str) -> list[str]:
    """Return the command that calls ``main()`` of a module of this package in a Python process of its own."""
    # The package's own folder comes last: it is needed only where this process found it by a changed search path.
    return [sys.executable, "-P", "-c", _RUN, str(Path(__file__).parents[2]), module]
