"""Files of a dataset, in a folder or in a zip archive, with one small interface."""

import os
import posixpath
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from panohead.data.names import match_names
from panohead.errors import PanoHeadError
from panohead.files.archive import open_zip, read_member
from panohead.files.regular import MAX_FILE_BYTES, MAX_TEXT_BYTES, read_regular


class FileSource:
    """Named files below one root. Names are relative paths with forward slashes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return all files in the order of their names, without hidden ones."""
        raise NotImplementedError

    def has(self, name: str) -> bool:
        """Return True if there is such a file."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """Return the content of one file. Raises PanoHeadError when it cannot be read."""
        raise NotImplementedError

    def size(self, name: str) -> int:
        """Return the number of bytes of one file that exists."""
        raise NotImplementedError

    def stamp(self, name: str) -> str:
        """Return a short text that changes with the content of one file: its size, and time of change or checksum."""
        raise NotImplementedError

    def describe(self, name: str) -> str:
        """Return the name of a file for messages."""
        return f"{self.path}/{name}"


class FolderSource(FileSource):
    """Files in a folder and its subfolders."""

    def names(self) -> list[str]:
        found: list[str] = []
        for folder, _, files in os.walk(self.path, onerror=_refuse_closed):
            # One path object per folder, not per file: datasets have millions of files.
            below = Path(folder).relative_to(self.path).as_posix()
            found += files if below == "." else [f"{below}/{file}" for file in files]
        return sorted(name for name in found if not _is_hidden(name))

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def stamp(self, name: str) -> str:
        facts = (self.path / name).stat()
        return f"{facts.st_size}-{facts.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        try:
            return read_regular(self.path / name, max_bytes_of(name))
        except OSError as error:
            reason = error.strerror or str(error)
            raise PanoHeadError(f"cannot read {self.describe(name)} ({reason}); repair or restore the file") from error


def _refuse_closed(error: OSError) -> None:
    """Refuse a folder that may not be listed: without it a dataset would be smaller in silence."""
    if isinstance(error, PermissionError):
        name = os.fsdecode(error.filename)
        raise PanoHeadError(f"cannot list the folder {name} ({error.strerror}); check its permissions") from error


class ZipSource(FileSource):
    """Files in a zip archive. Safe to copy to worker processes, forked or spawned."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._archive: zipfile.ZipFile | None = None
        self._owner = 0

    def names(self) -> list[str]:
        return sorted(name for name in self._open().namelist() if not name.endswith("/") and not _is_hidden(name))

    def has(self, name: str) -> bool:
        return name in self._open().NameToInfo

    def size(self, name: str) -> int:
        return self._open().getinfo(name).file_size

    def stamp(self, name: str) -> str:
        info = self._open().getinfo(name)
        return f"{info.file_size}-{info.CRC:08x}"

    def read(self, name: str) -> bytes:
        try:
            archive = self._open()
            return read_member(archive, archive.getinfo(name), max_bytes_of(name))
        except (KeyError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PanoHeadError(
                f"cannot read {self.describe(name)} ({reason}); the archive is damaged, write it again"
            ) from error

    def _open(self) -> zipfile.ZipFile:
        # A forked process shares the parent's position in the file, so every process opens its own.
        if self._archive is None or self._owner != os.getpid():
            try:
                self._archive, self._owner = open_zip(self.path), os.getpid()
            except OSError as error:
                raise PanoHeadError(
                    f"cannot read {self.path} ({error.strerror or error}); give a folder or a whole zip archive"
                ) from error
        return self._archive

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None}


def max_bytes_of(name: str) -> int:
    """Return the largest size of a file of a dataset: of a list of labels, or of an image."""
    return MAX_TEXT_BYTES if name.endswith(".json") else MAX_FILE_BYTES


def open_source(path: Path) -> FileSource:
    """Open the files of a folder or a ``.zip``.

    Raises:
        PanoHeadError: when there is neither.
    """
    if path.is_dir():
        return FolderSource(path)
    if path.is_file() and path.suffix.lower() == ".zip":
        return ZipSource(path)
    problem = "is neither a folder nor a .zip archive" if path.exists() else "does not exist"
    raise PanoHeadError(f"{path} {problem}; give the folder or zip archive of the dataset's images")


def image_names(source: FileSource) -> list[str]:
    """Return the files of a source that Pillow knows by their suffix."""
    known = Image.registered_extensions()
    return [name for name in source.names() if posixpath.splitext(name)[1].lower() in known]


def match_masks(names: Sequence[str], masks: FileSource) -> tuple[str, ...]:
    """Return the mask of each image, by :mod:`panohead.data.names`.

    Raises:
        PanoHeadError: when one is missing.
    """
    return tuple(match_names(names, image_names(masks), "mask", str(masks.path)))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
