"""Listing of the photos to prepare: folders, globs, zip archives and single files, in one fixed order.

Nothing is unpacked to disk and no link is followed, so no name can lead out of where the user pointed.
"""

import functools
import glob
import hashlib
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from panohead.alignment.read_photo import TemporarilyUnreadable
from panohead.errors import PanoHeadError, UsageError
from panohead.files.archive import BrokenArchive, open_zip, read_member
from panohead.files.regular import MAX_FILE_BYTES, read_regular, reason_of

_NOT_PHOTOS = {".json", ".jsonl", ".csv", ".txt", ".md", ".html", ".xml", ".yaml", ".yml", ".npz", ".npy", ".pkl"}
"""Suffixes of files that accompany photos in datasets; they are left out without a message."""


@dataclass(frozen=True)
class PhotoRef:
    """One photo that is to be prepared.

    Attributes:
        name: name of the photo in reports; unique in a run.
        path: the file, or the zip archive that holds it.
        member: its index in the archive; None for a file.
        stamp: size and time of change, by which a rerun recognizes it.
        problem: reason for not even trying it; empty otherwise.
    """

    name: str
    path: Path
    member: int | None = None
    stamp: str = ""
    problem: str = ""

    @property
    def key(self) -> str:
        """First 20 hexadecimal digits of the name's SHA-256."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()[:20]

    def read(self) -> bytes:
        """Read the content of the file or member.

        Raises:
            TemporarilyUnreadable: when the file cannot be read.
            PanoHeadError: when the archive is damaged.
        """
        try:
            if self.member is None:
                return read_regular(self.path)
            archive = _opened(self.path, self.path.stat().st_mtime_ns)
            return read_member(archive, archive.infolist()[self.member])
        except BrokenArchive as error:
            raise PanoHeadError(f"it cannot be read ({error.strerror})") from error
        except OSError as error:
            raise TemporarilyUnreadable(f"it cannot be read ({error.strerror or error})") from error
        except IndexError as error:
            raise TemporarilyUnreadable("it cannot be read (the archive has changed)") from error


def _argument(value: object) -> str:
    if not isinstance(value, str | Path):
        raise UsageError(f"photos are named by paths, not by a value of type {type(value).__name__}; give paths")
    return str(value)


def list_photos(arguments: str | Path | Sequence[str | Path], *, leave_out: Path | None = None) -> list[PhotoRef]:
    """List all candidates below the arguments (files, folders, globs, zip archives), sorted by name.

    Args:
        arguments: one or several.
        leave_out: folder whose files are none, wherever it lies: that of the results.

    Raises:
        UsageError: when one is no path.
        PanoHeadError: when an argument is or matches nothing.
    """
    found: list[PhotoRef] = []
    given: Iterable[object] = [arguments]
    if isinstance(arguments, Iterable) and not isinstance(arguments, str | Path):
        given = arguments
    for argument in map(_argument, given):
        paths = [Path(argument)] if os.path.lexists(argument) else [Path(p) for p in sorted(glob.glob(argument))]
        if not paths:
            raise PanoHeadError(f"{argument} is neither a file nor a folder and matches none; give photos")
        for path in paths:
            found.extend(_below(path, None if leave_out is None else os.path.realpath(leave_out)))
    return sorted(_unique(found), key=lambda ref: ref.name.encode("utf-8", "surrogateescape"))


def _below(path: Path, leave_out: str | None) -> Iterator[PhotoRef]:
    if path.is_dir():
        yield from _in_folder(path, leave_out)
    elif path.suffix.lower() == ".zip":
        yield from _in_archive(path, path.name)
    else:
        # A file that the user names is read even through a link.
        yield _file(path, path.name, follow=True)


def _in_folder(root: Path, leave_out: str | None) -> Iterator[PhotoRef]:
    if os.path.realpath(root) == leave_out:
        return
    top = root.resolve().name
    closed: list[OSError] = []
    for folder, folders, files in os.walk(root, followlinks=False, onerror=closed.append):
        for name in sorted(folders):
            path = Path(folder, name)
            if path.is_symlink():
                yield PhotoRef(_label(top, path, root), path, problem="it is a link to a folder, which is not followed")
        inner = [name for name in folders if os.path.realpath(os.path.join(folder, name)) != leave_out]
        folders[:] = sorted(name for name in inner if not _is_hidden(name))
        for name in sorted(files):
            path = Path(folder, name)
            if _is_hidden(name) or path.suffix.lower() in _NOT_PHOTOS:
                continue
            if path.suffix.lower() == ".zip" and not path.is_symlink():
                yield from _in_archive(path, _label(top, path, root))
            else:
                yield _file(path, _label(top, path, root), follow=False)
    for error in closed:
        path = Path(os.fsdecode(error.filename))
        yield PhotoRef(_label(top, path, root), path, problem=f"the folder cannot be read ({error.strerror})")


def _file(path: Path, name: str, *, follow: bool) -> PhotoRef:
    try:
        facts = path.stat() if follow else path.lstat()
    except OSError as error:
        return PhotoRef(name, path, problem=f"it cannot be read ({error.strerror})")
    if stat.S_ISLNK(facts.st_mode):
        return PhotoRef(name, path, problem="it is a link, which is not followed; give the file itself")
    if not stat.S_ISREG(facts.st_mode):
        return PhotoRef(name, path, problem="it is not a regular file")
    if facts.st_size > MAX_FILE_BYTES:
        return PhotoRef(name, path, problem=f"it has {facts.st_size / 1e6:.0f} MB, more than any photo")
    return PhotoRef(name, path, stamp=f"{facts.st_size}-{facts.st_mtime_ns}")


def _in_archive(path: Path, label: str) -> Iterator[PhotoRef]:
    try:
        with open_zip(path) as archive:
            members = archive.infolist()
    except OSError as error:
        reason = error.strerror or error
        yield PhotoRef(label, path, problem=f"it is not a readable zip archive ({reason})")
        return
    if all(info.filename.endswith("/") for info in members):
        yield PhotoRef(label, path, problem="the archive holds no files")
    for index, info in enumerate(members):
        try:
            ref = _member(path, label, index, info)
        except Exception as error:  # one entry with an odd name or date costs itself
            ref = PhotoRef(f"{label}/entry {index}", path, index, problem=f"its entry is damaged ({reason_of(error)})")
        if ref is not None:
            yield ref


def _member(path: Path, label: str, index: int, info: zipfile.ZipInfo) -> PhotoRef | None:
    """Return the photo that one entry of an archive may be; None for folders, hidden files and companions."""
    name = info.filename or f"entry {index} without a name"
    suffix = Path(name).suffix.lower()
    hidden = any(_is_hidden(part) or part == "__MACOSX" for part in Path(name).parts)
    if name.endswith("/") or hidden or suffix in _NOT_PHOTOS:
        return None
    problem = ""
    if info.flag_bits & 1:
        problem = "it is encrypted"
    elif info.file_size > MAX_FILE_BYTES:
        problem = f"it unpacks to {info.file_size / 1e6:.0f} MB, more than any photo"
    elif suffix == ".zip":
        problem = "it is an archive within an archive, which is not opened"
    return PhotoRef(f"{label}/{name}", path, index, f"{info.file_size}-{info.CRC:08x}", problem)


@functools.lru_cache(maxsize=1)
def _opened(path: Path, changed_ns: int) -> zipfile.ZipFile:
    """Open an archive; the last one stays open, since the index of 70,000 photos takes a second and a half to read.

    Args:
        changed_ns: time of change, so that an archive that has changed is opened again.
    """
    return open_zip(path)


def _unique(found: Iterable[PhotoRef]) -> Iterator[PhotoRef]:
    """Yield every file once; different files of one name are numbered."""
    uses: dict[str, int] = {}
    places: set[tuple[str, int | None]] = set()
    for ref in found:
        place = (os.path.abspath(ref.path), ref.member)
        if place in places:
            continue
        places.add(place)
        count = uses.get(ref.name, 0)
        uses[ref.name] = count + 1
        yield ref if count == 0 else replace(ref, name=f"{ref.name} ({count + 1})")


def _is_hidden(name: str) -> bool:
    # Two dots are the way out of a folder, which a hostile archive may spell; it is shown.
    return name.startswith(".") and not name.startswith("..")


def _label(top: str, path: Path, root: Path) -> str:
    return f"{top}/{path.relative_to(root).as_posix()}"
