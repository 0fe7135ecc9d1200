"""Files of JSON lines that survive a killed process: ``stats.jsonl`` (a record per tick) and ``notes.jsonl``."""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, SupportsFloat

from panohead.errors import PanoHeadError
from panohead.files.read_json import parse_json
from panohead.files.regular import MAX_TEXT_BYTES, open_to_append, read_regular
from panohead.system.atomic_write import atomic_path, prepare_folder, unwritable

STATS_NAME = "stats.jsonl"
NOTES_NAME = "notes.jsonl"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of a file of JSON lines, without lines that are no JSON object (incomplete or damaged).

    A missing file has no records.

    Raises:
        PanoHeadError: when the file exists and cannot be read.
    """
    return [record for _, record in _lines(path)]


def repair_records(path: Path, *, last_nimg: float | None = None) -> int:
    """Rewrite the file, atomically, without damaged lines and without records of images after ``last_nimg``.

    The remaining lines are not altered; a file with nothing to repair is not written. The position of a record is its
    ``nimg``, else its ``kimg``; a record with neither remains.

    Returns:
        Number of removed lines.
    """
    lines = _lines(path)
    kept = [line for line, record in lines if last_nimg is None or (nimg_of(record) or 0) <= last_nimg]
    wanted = b"".join(line + b"\n" for line in kept)
    before = read_regular(path, MAX_TEXT_BYTES) if path.is_file() else b""
    if wanted != before:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            file.write(wanted)
            file.flush()
            os.fsync(file.fileno())
    return sum(1 for line in before.split(b"\n") if line.strip()) - len(kept)


def nimg_of(record: Mapping[str, Any]) -> float | None:
    """Return the images shown at a record: its ``nimg``, else a thousand times its ``kimg``, else None."""
    nimg, kimg = number(record.get("nimg")), number(record.get("kimg"))
    return nimg if nimg is not None else None if kimg is None else kimg * 1000


def number(value: object) -> float | None:
    """Convert a JSON value to a finite float; None for anything else (true and false are no numbers)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) else None


def plain(value: SupportsFloat | str | None) -> float | int | str | None:
    """Convert a value for strict JSON: numbers that are not finite become None, 0-d arrays become floats."""
    if value is None or isinstance(value, str | int):
        return value
    converted = float(value)
    return converted if math.isfinite(converted) else None


class RecordWriter:
    """Writer that appends records to a file of JSON lines; each is on the disk when :meth:`write` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        prepare_folder(path)
        try:
            self._file = open_to_append(path)
        except OSError as error:
            raise unwritable(path, error, "put a file in its place, remove it, or free the disk") from error

    def write(self, record: dict[str, Any]) -> None:
        """Append one record.

        Raises:
            PanoHeadError: when the file cannot be written (full disk).
        """
        line = json.dumps(record, allow_nan=False) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        self._file.close()


def check_logs(run: Path) -> None:
    """Raise PanoHeadError when a log that a run's folder holds cannot be continued; for before the work."""
    for path in (run / STATS_NAME, run / NOTES_NAME):
        if os.path.lexists(path):
            RecordWriter(path).close()


def _lines(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    if not path.is_file():
        return []
    try:
        content = read_regular(path, MAX_TEXT_BYTES)
    except OSError as error:
        raise PanoHeadError(f"cannot read {path} ({error.strerror}); check its permissions") from error
    found: list[tuple[bytes, dict[str, Any]]] = []
    for line in content.split(b"\n"):
        with contextlib.suppress(PanoHeadError):
            found.append((line, parse_json(line, dict[str, Any], str(path))))
    return found
