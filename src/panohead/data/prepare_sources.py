"""Which files are photos to prepare: folders, globs, zip archives and single files, listed in one fixed order.

Nothing is unpacked to disk and no link is followed, so no name can lead out of where the user pointed.
"""

import glob
import hashlib
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from panohead.data.prepare_photo import LARGEST_FILE_BYTES
from panohead.errors import PanoHeadError

_NOT_PHOTOS = {".json", ".jsonl", ".csv", ".txt", ".md", ".html", ".xml", ".yaml", ".yml", ".npz", ".npy", ".pkl"}
"""Companions of photos in data sets, left out without a word."""


@dataclass(frozen=True)
class PhotoRef:
    """Attributes:
    name: how reports call the photo; unique in a run.
    path: the file, or the zip archive that holds it.
    member: its index in the archive; None for a file.
    stamp: size and time of change, by which a rerun knows it.
    problem: why it is not even tried; empty if it is.
    """

    name: str
    path: Path
    member: int | None = None
    stamp: str = ""
    problem: str = ""

    @property
    def key(self) -> str:
        """20 hexadecimal digits that stand for the name."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()[:20]

    def read(self) -> bytes:
        """The content.

        Raises:
            PanoHeadError: when it cannot be read.
        """
        try:
            if self.member is None:
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(archive.infolist()[self.member])
        except Exception as error:  # a damaged archive makes zipfile raise nearly anything
            raise PanoHeadError(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from error


def list_photos(arguments: Sequence[str]) -> list[PhotoRef]:
    """All candidates below the arguments, sorted by name.

    Raises:
        PanoHeadError: when an argument is or matches nothing.
    """
    found: list[PhotoRef] = []
    for argument in arguments:
        paths = [Path(argument)] if os.path.lexists(argument) else [Path(p) for p in sorted(glob.glob(argument))]
        if not paths:
            raise PanoHeadError(f"{argument} is neither a file nor a folder and matches none; give photos")
        for path in paths:
            found.extend(_below(path))
    return sorted(_unique(found), key=lambda ref: ref.name.encode("utf-8", "surrogateescape"))


def _below(path: Path) -> Iterator[PhotoRef]:
    if path.is_dir():
        yield from _in_folder(path)
    elif path.suffix.lower() == ".zip":
        yield from _in_archive(path, path.name)
    else:
        # A file that the user names is read even through a link.
        yield _file(path, path.name, follow=True)


def _in_folder(root: Path) -> Iterator[PhotoRef]:
    top = root.resolve().name
    for folder, folders, files in os.walk(root, followlinks=False):
        for name in sorted(folders):
            path = Path(folder, name)
            if path.is_symlink():
                yield PhotoRef(_label(top, path, root), path, problem="it is a link to a folder, which is not followed")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() in _NOT_PHOTOS:
                continue
            if path.suffix.lower() == ".zip" and not path.is_symlink():
                yield from _in_archive(path, _label(top, path, root))
            else:
                yield _file(path, _label(top, path, root), follow=False)


def _file(path: Path, name: str, *, follow: bool) -> PhotoRef:
    try:
        facts = path.stat() if follow else path.lstat()
    except OSError as error:
        return PhotoRef(name, path, problem=f"it cannot be read ({error.strerror})")
    if stat.S_ISLNK(facts.st_mode):
        return PhotoRef(name, path, problem="it is a link, which is not followed; give the file itself")
    if not stat.S_ISREG(facts.st_mode):
        return PhotoRef(name, path, problem="it is not a regular file")
    if facts.st_size > LARGEST_FILE_BYTES:
        return PhotoRef(name, path, problem=f"it has {facts.st_size / 1e6:.0f} MB, more than any photo")
    return PhotoRef(name, path, stamp=f"{facts.st_size}-{facts.st_mtime_ns}")


def _in_archive(path: Path, label: str) -> Iterator[PhotoRef]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        yield PhotoRef(label, path, problem=f"it is not a readable zip archive ({error})")
        return
    for index, info in enumerate(members):
        parts = Path(info.filename).parts
        hidden = any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)
        if info.is_dir() or hidden or Path(info.filename).suffix.lower() in _NOT_PHOTOS:
            continue
        problem = ""
        if info.flag_bits & 1:
            problem = "it is encrypted"
        elif info.file_size > LARGEST_FILE_BYTES:
            problem = f"it unpacks to {info.file_size / 1e6:.0f} MB, more than any photo"
        stamp = f"{info.file_size}-{info.CRC:08x}"
        yield PhotoRef(f"{label}/{info.filename}", path, index, stamp, problem)


def _unique(found: Iterable[PhotoRef]) -> Iterator[PhotoRef]:
    """The same file once; different files of one name told apart by a number."""
    seen: dict[str, int] = {}
    places: set[tuple[str, int | None]] = set()
    for ref in found:
        place = (os.path.abspath(ref.path), ref.member)
        if place in places:
            continue
        places.add(place)
        count = seen.get(ref.name, 0)
        seen[ref.name] = count + 1
        yield ref if count == 0 else replace(ref, name=f"{ref.name} ({count + 1})")


def _label(top: str, path: Path, root: Path) -> str:
    return f"{top}/{path.relative_to(root).as_posix()}"


def printable(name: str) -> str:
    """A name that can be shown and written anywhere: line breaks and broken characters spelled out."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
