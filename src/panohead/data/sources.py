"""Files of a dataset, in a folder or in a zip archive, behind one small interface."""

import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from panohead.errors import PanoHeadError


class FileSource:
    """Named files below one root. Names are relative, with forward slashes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """All files in the order of their names, without hidden ones."""
        raise NotImplementedError

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """The content of one file. Raises PanoHeadError when it cannot be read."""
        raise NotImplementedError

    def describe(self, name: str) -> str:
        """What to call a file in a message."""
        return f"{self.path}/{name}"


class FolderSource(FileSource):
    """Files in a folder and its subfolders."""

    def names(self) -> list[str]:
        found = (
            Path(folder, file).relative_to(self.path).as_posix()
            for folder, _, files in os.walk(self.path)
            for file in files
        )
        return sorted(name for name in found if not _is_hidden(name))

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise PanoHeadError(f"cannot read {self.describe(name)} ({reason}); mend or restore the file") from error


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

    def read(self, name: str) -> bytes:
        try:
            return self._open().read(name)
        except (KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise PanoHeadError(
                f"cannot read {self.describe(name)} ({error}); the archive is damaged, write it anew"
            ) from error

    def _open(self) -> zipfile.ZipFile:
        # A forked process shares the parent's position in the file, so every process opens its own.
        if self._archive is None or self._owner != os.getpid():
            try:
                self._archive, self._owner = zipfile.ZipFile(self.path), os.getpid()
            except (OSError, zipfile.BadZipFile) as error:
                raise PanoHeadError(
                    f"cannot read {self.path} ({error}); give a folder or a whole zip archive"
                ) from error
        return self._archive

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None}


def open_source(path: Path) -> FileSource:
    """The files of a folder or a ``.zip``.

    Raises:
        PanoHeadError: when there is neither.
    """
    if path.is_dir():
        return FolderSource(path)
    if path.is_file() and path.suffix.lower() == ".zip":
        return ZipSource(path)
    problem = "is neither a folder nor a .zip archive" if path.exists() else "does not exist"
    raise PanoHeadError(f"{path} {problem}; give the folder or zip archive of the dataset's pictures")


def image_names(source: FileSource) -> list[str]:
    """Those files of a source that Pillow knows by their suffix."""
    known = Image.registered_extensions()
    return [name for name in source.names() if PurePosixPath(name).suffix.lower() in known]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
