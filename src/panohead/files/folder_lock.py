"""Advisory locks of output folders: two processes that write into one folder would spoil each other's work.

The lock is held on ``FOLDER/.lock``, which says who holds it and since when. The system releases it when its owner
ends in whatever way; where file systems know no locks, the process that the file names is looked for.
"""

import contextlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panohead.errors import PanoHeadError
from panohead.system.atomic_write import unwritable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".lock"
"""Name of the file in the folder; it is there while a process works in it, and after a kill."""
_MAX_OWNER_BYTES = 4096
_TRIES = 10
_OLD_S = 7 * 86400.0
"""Age in seconds of an owner on another machine from which it is taken for dead, where the system has no locks."""


class FolderInUse(PanoHeadError):
    """Error for a folder that another process works in."""


@contextlib.contextmanager
def locked_folder(folder: Path, doing: str) -> Iterator[None]:
    """Hold the lock of a folder; make the folder if it is missing.

    Args:
        folder: the folder that is written to.
        doing: what this process does there, such as "trains", for the sentence that another one prints.

    Raises:
        FolderInUse: when another process (or another part of this one) holds it.
        PanoHeadError: when the folder cannot be written to.
    """
    path = folder / LOCK_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(path)
    except OSError as error:
        raise unwritable(path, error, "choose another folder") from error
    try:
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps(_owner(doing)).encode())
        yield
    finally:
        # Removed while it is held, so that it is never another's.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path) -> int:
    """Return the descriptor of the locked file."""
    for _ in range(_TRIES):
        descriptor = _open(path)
        try:
            if not _lock(descriptor):
                raise _in_use(path, _read_owner(descriptor))
            if _is_current(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its owner has removed it between our opening and our locking.
        os.close(descriptor)
    raise FolderInUse(f"other processes start in {path.parent} all the time; choose another folder")


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PanoHeadError(f"{path} is not a regular file; remove it")
    return descriptor


def _lock(descriptor: int) -> bool:
    """Lock an open file; return False when another process holds it."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return not _is_alive(_read_owner(descriptor))


def _is_current(path: Path, descriptor: int) -> bool:
    """Return True when the path still leads to the opened file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owner(doing: str) -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time(), "doing": doing}


def _read_owner(descriptor: int) -> dict[str, Any]:
    """Return the owner that a lock file names; empty when it names none."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        owner = json.loads(os.read(descriptor, _MAX_OWNER_BYTES))
        known = {"pid": int(owner["pid"]), "since": float(owner["since"])}
        return {**known, "host": str(owner["host"])[:80], "doing": str(owner["doing"])[:80]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _is_alive(owner: dict[str, Any]) -> bool:
    """Return True when the owner may still work; for systems without locks."""
    if not owner:
        return False
    if owner["host"] != socket.gethostname():
        return time.time() - owner["since"] < _OLD_S
    try:
        os.kill(owner["pid"], 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except OSError:
        return True
    return True


def _in_use(path: Path, owner: dict[str, Any]) -> FolderInUse:
    if not owner:
        return FolderInUse(f"another process works in {path.parent}; wait until it ends or choose another folder")
    minutes = max(0.0, time.time() - owner["since"]) / 60
    age = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    where = "" if owner["host"] == socket.gethostname() else f" on {owner['host']}"
    return FolderInUse(
        f"another process {owner['doing']} in {path.parent} (process {owner['pid']}{where}, since {age}); "
        "wait until it ends or choose another folder"
    )
