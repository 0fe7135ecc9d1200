"""Names out of files, joined to a folder that they cannot leave.

Datasets, logs, lists of people and archives hold the names of files. Whoever edits one may write ``../victim.png``,
an absolute path or a drive; so every such name goes through :func:`inside`.
"""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from panohead.errors import PanoHeadError

_MAX_NAME = 4096


class OutsideFolder(PanoHeadError, ValueError):
    """Error for a name that is no relative path within a folder; a clause that begins with the name."""


def relative_name(name: Any) -> PurePosixPath:
    """Return the name as a relative path with forward slashes, without parts that lead out of a folder.

    Raises:
        OutsideFolder: when it is no text, empty, absolute, with ``..``, or no name to a file system.
    """
    if not isinstance(name, str):
        raise OutsideFolder(f"a {type(name).__name__} is no name of a file")
    path = PurePosixPath(name)
    # As Windows reads it too, where a backslash separates and a colon ends the name of a drive.
    words = name.replace("\\", "/").split("/")
    if not path.parts or len(name) > _MAX_NAME or "\0" in name:
        raise OutsideFolder(f"{name[:80]!r} is no name of a file")
    if path.is_absolute() or ".." in words or words[0] == "" or words[0][1:2] == ":":
        raise OutsideFolder(f"{name[:80]!r} would lead out of the folder")
    return path


def inside(folder: Path, name: Any) -> Path:
    """Return ``folder / name``, which lies in the folder whatever the name is and whatever links are in the folder.

    The folder itself may be a link, and the file too; the folders between them may not lead out.

    Raises:
        OutsideFolder: as :func:`relative_name`; also for a folder on the way that is a link to the outside.
    """
    path = folder / relative_name(name)
    if path.parent != folder and not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(folder)):
        raise OutsideFolder(f"{name[:80]!r} would lead out of the folder by a link")
    return path


def refuse_linked_folders(folder: Path, names: Sequence[str]) -> None:
    """Refuse links in the place of folders that files are written to, moved in or removed from, and of folders in them.

    Through a link, which a dataset or a run of somebody else may hold, that would happen elsewhere. ``folder`` itself
    may be a link: it was named by the user.

    Raises:
        PanoHeadError: naming the link.
    """
    for name in names:
        path = folder / name
        found = [path] if path.is_symlink() else []
        if path.is_dir() and not found:
            with os.scandir(path) as entries:
                found = [Path(entry.path) for entry in entries if entry.is_symlink() and entry.is_dir()]
        if found:
            raise PanoHeadError(
                f"{min(found)} is a link, through which files elsewhere would be changed; put a folder in its place"
            )
