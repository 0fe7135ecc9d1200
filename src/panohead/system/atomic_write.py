"""Atomic file writing: files are written under a hidden temporary name beside the target, then renamed."""

import contextlib
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panohead.errors import PanoHeadError
from panohead.system.text import printable

_log = logging.getLogger(__name__)

REMEDY = "free the disk or choose another place"
LEFTOVERS = ".*.tmp*"
"""Pattern of the temporary names, to find files that a kill left half written."""


def temporary_name(path: Path) -> Path:
    """Return a new hidden name in the folder of ``path``, with its suffix (encoders choose the format by it)."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")


def prepare_folder(path: Path, *, is_folder: bool = False) -> None:
    """Make the folder that will hold the file ``path``. Raise PanoHeadError where either of them is impossible.

    Args:
        is_folder: ``path`` will be a folder of files, and may be one already.
    """
    if "\0" in str(path):
        raise PanoHeadError(f"cannot write {printable(str(path))} (no name may hold a zero byte); choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PanoHeadError(f"cannot make the folder {path.parent} ({_reason(error)}); choose another place") from error
    if not os.access(path.parent, os.W_OK):
        raise PanoHeadError(f"cannot write in the folder {path.parent} (no permission); choose another place")
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode) and not is_folder:
            raise PanoHeadError(f"cannot write {path} (it is a folder); choose another name")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise PanoHeadError(f"cannot write {path} ({_reason(error)}); choose another name") from error


def unwritable(path: Path, error: OSError, remedy: str = REMEDY) -> PanoHeadError:
    """Return the one-line error for a failed write."""
    if isinstance(error, PermissionError) and remedy == REMEDY:
        remedy = "check the permissions of it and its folder, or choose another place"
    return PanoHeadError(f"cannot write {path} ({_reason(error)}); {remedy}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


@contextlib.contextmanager
def atomic_path(path: str | Path, remedy: str = REMEDY) -> Iterator[Path]:
    """Yield a temporary path, which is renamed to ``path`` on success and removed on any exception.

    Missing parent folders are made. An OSError inside, e.g. a full disk, becomes a PanoHeadError that names ``path``
    and the remedy.
    """
    path = Path(path)
    prepare_folder(path)
    temporary = temporary_name(path)
    try:
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        # Some writers (safetensors) make files that only their owner may read; all results have the umask's rights.
        if stat.S_IMODE(temporary.stat().st_mode) != mode:
            temporary.chmod(mode)
        os.replace(temporary, path)
        _log.info("wrote %s", path)
    except OSError as error:
        raise unwritable(path, error, remedy) from error
    finally:
        temporary.unlink(missing_ok=True)


def wait_for_disk(path: Path) -> None:
    """Wait until a file that a library has written is on the disk."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes, *, remedy: str = REMEDY) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        PanoHeadError: when it cannot be written; ends with the remedy.
    """
    with atomic_path(path, remedy) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any, *, remedy: str = REMEDY) -> None:
    """Write one JSON value and a newline with :func:`write_bytes`."""
    write_bytes(path, (json.dumps(value) + "\n").encode(), remedy=remedy)
