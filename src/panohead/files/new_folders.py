"""Folders that a failed command has made and left empty."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def empty_folders_removed(paths: Sequence[Path]) -> Iterator[None]:
    """Remove what is left empty of these folders and of their parents, when the block ends in an exception.

    Only folders that were missing before are removed, and none that holds a file: what was finished stays.

    Args:
        paths: folders (or files, whose folders are meant) that the block may make.
    """
    tops = [top for path in paths if (top := _first_missing(path)) is not None]
    try:
        yield
    except BaseException:
        for top in tops:
            _remove_empty(top)
        raise


def _first_missing(path: Path) -> Path | None:
    """Return the uppermost folder of a path that does not exist; None when all of it does."""
    missing = [place for place in (path, *path.parents) if not os.path.lexists(place)]
    return missing[-1] if missing else None


def _remove_empty(top: Path) -> None:
    """Remove a folder with all that is in it, if that is nothing but folders."""
    if top.is_symlink() or not top.is_dir():
        return
    found = [(Path(folder), names) for folder, _, names in os.walk(top, topdown=False)]
    if any(names for _, names in found):
        return
    for folder, _ in found:
        # A folder that another process writes to by now is not empty, and stays.
        with contextlib.suppress(OSError):
            folder.rmdir()
