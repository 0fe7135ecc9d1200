"""Opening of regular files of bounded size; everything else is refused at once.

Opening a named pipe waits for its other end, a device has no end, and a sparse file of some bytes on the disk reads as
terabytes. So every file that others may have made is opened here. The errors are OSErrors whose ``strerror`` says
what the path is, for callers to name the file and the remedy.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from panohead.errors import UsageError

MAX_FILE_BYTES = 200_000_000
"""Bytes above which a photo, an image, a mask or an archive's member is refused (decoding keeps a few copies)."""
MAX_TEXT_BYTES = 500_000_000
"""Bytes above which a file of text (labels, records, JSON) is refused: ``dataset.json`` has about 400 a photo."""
MAX_WEIGHTS_BYTES = 16_000_000_000
"""Bytes above which a file of weights or states is refused; they are mapped into memory rather than read."""
_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "it is a folder"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a named pipe, not a regular file"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a socket, not a regular file"),
    (stat.S_ISCHR, errno.EINVAL, "it is a device, not a regular file"),
    (stat.S_ISBLK, errno.EINVAL, "it is a device, not a regular file"),
)


class NotRegular(OSError):
    """Error for a path that is no regular file, or a too large one; ``strerror`` is a clause that begins with "it"."""


def path_of(given: object) -> Path:
    """Return the path that a caller of the Python API gave.

    Raises:
        UsageError: for what is no path.
    """
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"a file is named by a path, not by a value of type {type(given).__name__}; give one")
    return Path(given)


def check_regular(path: str | Path, max_bytes: int | None = None) -> os.stat_result:
    """Refuse everything but a regular file, without opening it; links are followed.

    Args:
        path: file that will be read, perhaps by a library that opens it itself.
        max_bytes: largest size; None for any.

    Returns:
        The facts of the file.

    Raises:
        NotRegular: for a folder, pipe, socket or device, or a larger file.
        OSError: when there is no such file, or it cannot be looked at.
    """
    try:
        facts = os.stat(path)
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.ENOENT, "No such file", str(path)) from error
    _check(facts, path, max_bytes)
    return facts


def open_regular(path: str | Path, max_bytes: int | None = None) -> BinaryIO:
    """Open a regular file for reading bytes; never waits.

    Raises:
        NotRegular, OSError: as :func:`check_regular`.
    """
    check_regular(path, max_bytes)  # before opening: for a device even that may have an effect
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        # Again: another file may have taken its place.
        _check(os.fstat(descriptor), path, max_bytes)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a regular file of at most ``max_bytes`` bytes.

    Raises:
        NotRegular, OSError: as :func:`check_regular`; also for a file that grows beyond the bound meanwhile.
    """
    with open_regular(path, max_bytes) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise NotRegular(errno.EFBIG, too_large(len(content), max_bytes), str(path))
    return content


def read_text(path: str | Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the UTF-8 text of a regular file; a byte order mark at its beginning is dropped.

    Raises:
        NotRegular, OSError: as :func:`read_regular`.
        UnicodeDecodeError: a ValueError, when it is no UTF-8.
    """
    return read_regular(path, max_bytes).decode("utf-8-sig")


def open_to_append(path: str | Path) -> BinaryIO:
    """Open a log to add to its end, or to cut it; made if it is missing. Never waits, and never follows a link.

    Other files are replaced as a whole, so that a link or a pipe under their name is only replaced; a log is changed
    where it lies, which for a link in somebody's folder may be anywhere.

    Raises:
        NotRegular: for a link, folder, pipe, socket or device.
        OSError: when it cannot be written.
    """
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        pass
    else:
        if stat.S_ISLNK(facts.st_mode):
            raise NotRegular(errno.ELOOP, "it is a link, through which another file would be changed", str(path))
        _check(facts, path, None)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        _check(os.fstat(descriptor), path, None)
        return open(descriptor, "ab")
    except BaseException:
        os.close(descriptor)
        raise


def reason_of(error: Exception) -> str:
    """Return why a file cannot be used, for a sentence: without the number and the path that OSError puts around it."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def too_large(size: int, max_bytes: int) -> str:
    """Return the clause that refuses a file or an archive's member of ``size`` bytes."""
    return f"it has {size / 1e6:,.0f} MB, more than the {max_bytes / 1e6:,.0f} MB that are read"


def _check(facts: os.stat_result, path: str | Path, max_bytes: int | None) -> None:
    for matches, number, reason in _KINDS:
        if matches(facts.st_mode):
            raise NotRegular(number, reason, str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise NotRegular(errno.EINVAL, "it is not a regular file", str(path))
    if max_bytes is not None and facts.st_size > max_bytes:
        raise NotRegular(errno.EFBIG, too_large(facts.st_size, max_bytes), str(path))
