"""States from which a training run resumes exactly: ``RUN/states/state-000000123456.pt``, images shown in the name.

A file is one line of ASCII, ``panohead-state-1 SHA256``, followed by the output of :func:`torch.save`; the hash is that
of all bytes after the line. Writing is atomic, and a kill at any time leaves the previous state: a file is written
under a temporary name in the same folder, flushed to the disk and renamed, and only then are older ones removed.
"""

import contextlib
import errno
import hashlib
import io
import os
import pickle
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.files.regular import MAX_WEIGHTS_BYTES, open_regular
from panohead.system.atomic_write import prepare_folder, temporary_name, unwritable

KEPT_STATES = 2
"""Number of complete states that remain on the disk."""

_MAGIC = b"panohead-state-1 "
_HEADER_BYTES = len(_MAGIC) + 64 + 1
_NAME = re.compile(r"state-(\d{12,})\.pt")
_TEMPORARY = ".state-*.tmp.pt"
_CHUNK_BYTES = 1 << 20
_PLAIN = (str, int, float, bool, type(None), Tensor, nn.Parameter)


@dataclass(frozen=True)
class LoadedState:
    """A complete state.

    Attributes:
        nimg: images shown when it was saved.
        state: the argument of :func:`save_state`.
        file: the file that it was read from.
        skipped: one sentence for every newer file that was skipped because it is damaged, newest first.
    """

    nimg: int
    state: dict[str, Any]
    file: Path
    skipped: list[str] = field(default_factory=list)


def save_state(run: Path, nimg: int, state: dict[str, Any]) -> Path:
    """Write the state of a run after ``nimg`` images; needs no memory beyond one tensor's copy on the CPU.

    One process of a run calls this. Keeps the newest :data:`KEPT_STATES` complete states and removes all others.

    Args:
        run: the run's folder; created if missing.
        nimg: images shown so far.
        state: nested dicts, lists and tuples of tensors, strings, numbers, bools and None, all of which
            ``torch.load(weights_only=True)`` reads.

    Returns:
        The file.

    Raises:
        TypeError: naming the entry, for a state that could not be loaded again.
        PanoHeadError: when the file cannot be written or the folder holds a complete state of more images; existing
            files are untouched then.
    """
    _check_plain(state, "state")
    file = _folder(run) / f"state-{nimg:012d}.pt"
    prepare_folder(file)
    later = next((other for other in _state_files(run) if _nimg(other) > nimg and _is_whole(other)), None)
    if later is not None:
        raise PanoHeadError(f"{later} is a later state of this run; resume from it with --resume or use another folder")
    temporary = temporary_name(file)
    try:
        with open(temporary, "w+b", buffering=0) as opened:
            _write(opened, {"nimg": nimg, "state": state})
        os.replace(temporary, file)
        _make_names_durable(file.parent)
        _make_names_durable(run)
    except OSError as error:
        raise unwritable(file, error) from error
    finally:
        # If the disk itself fails, this fails too; the next save tries again.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _remove_superseded(run, file)
    return file


def load_latest_state(run: Path, *, map_location: str | torch.device = "cpu") -> LoadedState | None:
    """Load the newest state of a run whose hash is right; changes nothing on the disk and executes nothing of the file.

    Args:
        run: the run's folder.
        map_location: device of the tensors.

    Returns:
        The state, with the damaged newer files in ``skipped``. None when the run has no state file at all.

    Raises:
        PanoHeadError: naming the folder when there are state files but none is complete; naming the file when the
            installed torch cannot read a complete one.
    """
    skipped: list[str] = []
    for file in _state_files(run):
        try:
            with open_regular(file, MAX_WEIGHTS_BYTES) as opened:
                reason = _damage(opened)
                if reason is None:
                    saved = _read(file, opened, map_location)
                    if saved["nimg"] == _nimg(file):
                        return LoadedState(saved["nimg"], saved["state"], file, skipped)
                    reason = f"was renamed: it is the state after {saved['nimg']} images"
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
        skipped.append(f"{file} {reason}; it was skipped")
    if skipped:
        raise PanoHeadError(
            f"no state in {_folder(run)} is complete ({skipped[0]}); start again in a new folder, from a "
            "snapshot if there is one"
        )
    return None


def _folder(run: Path) -> Path:
    return run / "states"


def _state_files(run: Path) -> list[Path]:
    """Return the state files, newest first, without temporary files."""
    folder = _folder(run)
    if not folder.is_dir():
        return []
    return sorted((file for file in folder.iterdir() if _NAME.fullmatch(file.name)), key=_nimg, reverse=True)


def _nimg(file: Path) -> int:
    match = _NAME.fullmatch(file.name)
    assert match is not None
    return int(match[1])


def _check_plain(value: object, where: str) -> None:
    # Exact types: a numpy float is a float too, but cannot be loaded again.
    if type(value) in (dict, OrderedDict):
        assert isinstance(value, dict)
        for key, entry in value.items():
            if type(key) not in (str, int):
                raise TypeError(f"{where} has the key {key!r}; keys are strings or integers")
            _check_plain(entry, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        assert isinstance(value, list | tuple)
        for index, entry in enumerate(value):
            _check_plain(entry, f"{where}[{index}]")
    elif type(value) not in _PLAIN:
        raise TypeError(f"{where} is a {type(value).__name__}, which could not be loaded again")


class _HashingWriter:
    """A file for ``torch.save`` that hashes its bytes and holds the first error until :meth:`close`.

    An exception inside of torch's own writer would leave it half closed; so after an error the rest is discarded.
    """

    def __init__(self, file: BinaryIO | io.FileIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write bytes or any buffer; return its whole length, also after an error."""
        view = memoryview(data).cast("B")
        try:
            if self._error is None:
                self._digest.update(view)
                _write_all(self._file, view)
        except OSError as error:
            self._error = error
        return len(view)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def close(self) -> str:
        """Return the SHA-256, or raise the first error of the writing."""
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()


def _write_all(file: BinaryIO | io.FileIO, view: memoryview) -> None:
    while len(view):
        view = view[file.write(view) :]


def _write(file: BinaryIO | io.FileIO, saved: dict[str, Any]) -> None:
    """Write a placeholder of the header, the payload, then the header; wait for the disk."""
    file.write(b" " * _HEADER_BYTES)
    writer = _HashingWriter(file)
    torch.save(saved, writer)  # type: ignore[arg-type]
    digest = writer.close()
    file.seek(0)
    _write_all(file, memoryview(_MAGIC + digest.encode() + b"\n"))
    os.fsync(file.fileno())


def _make_names_durable(folder: Path) -> None:
    """Wait until the folder's entries are on the disk, on systems that can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _remove_superseded(run: Path, new: Path) -> None:
    """Remove older states; files that cannot be removed now are removed at the next save."""
    kept = 0
    for file in _state_files(run):
        if kept < KEPT_STATES and (file == new or _is_whole(file)):
            kept += 1
            continue
        with contextlib.suppress(OSError):
            file.unlink()
    for stale in _folder(run).glob(_TEMPORARY):
        with contextlib.suppress(OSError):
            stale.unlink()


def _is_whole(file: Path) -> bool:
    try:
        with open_regular(file, MAX_WEIGHTS_BYTES) as opened:
            return _damage(opened) is None
    except OSError:
        return False


def _damage(file: BinaryIO | io.FileIO) -> str | None:
    """Return the damage of an opened file, as the end of a sentence; None when its hash is right."""
    file.seek(0)
    header = file.read(_HEADER_BYTES) or b""
    if not header:
        return "is empty"
    if not header.startswith(_MAGIC):
        return "is not a state of a training run"
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    stored = header[len(_MAGIC) : -1]
    return None if digest.hexdigest().encode() == stored else "is damaged: its hash does not match"


class _Payload(io.RawIOBase):
    """The part of a file after the header, as a file for ``torch.load``."""

    def __init__(self, file: BinaryIO | io.FileIO) -> None:
        self._file = file
        file.seek(_HEADER_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer) or 0  # type: ignore[union-attr]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset + (_HEADER_BYTES if whence == os.SEEK_SET else 0), whence) - _HEADER_BYTES

    def tell(self) -> int:
        return self._file.tell() - _HEADER_BYTES


def _read(file: Path, opened: BinaryIO | io.FileIO, map_location: str | torch.device) -> dict[str, Any]:
    try:
        saved = torch.load(_Payload(opened), map_location=map_location, weights_only=True)  # type: ignore[arg-type]
    except pickle.UnpicklingError as error:
        raise PanoHeadError(
            f"{file} is complete but torch {torch.__version__} cannot read it; use the version that wrote it"
        ) from error
    except OSError:
        raise
    except Exception as error:  # what is no torch file makes torch's reader raise nearly anything
        raise PanoHeadError(f"{file} holds no state of a training run; remove it") from error
    if not isinstance(saved, dict) or type(saved.get("nimg")) is not int or not isinstance(saved.get("state"), dict):
        raise PanoHeadError(f"{file} holds no state of a training run; remove it")
    return saved
