"""Removal of a command's earlier results from its folder, when the user asks for ``--overwrite``.

Datasets and training runs are many files that a new one would not replace by name, so the old ones are removed first:
those that the command itself writes, in a folder that is known to be its own, and nothing else.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from panohead.errors import PanoHeadError
from panohead.files.read_json import read_json
from panohead.system.atomic_write import unwritable

SETTINGS_FILE = "settings.json"
"""File beside the results of a command that says how they were made."""
_COMMAND = re.compile(r"panohead ((?:dataset )?[a-z][a-z-]{1,30})(?: |$)")


def command_of(folder: Path) -> str | None:
    """Return the command that made the results in a folder, such as "generate" or "dataset convert", by its settings;
    None where there are none that can be read."""
    try:
        typed = str(read_json(folder / SETTINGS_FILE, dict[str, Any]).get("command", ""))
    except (OSError, ValueError, PanoHeadError):
        return None
    # Not shlex, which takes a minute for a word of a million letters.
    match = _COMMAND.match(typed)
    return match[1] if match else None


def remove_earlier_results(folder: Path, names: Sequence[str], inputs: Sequence[Path] = ()) -> None:
    """Remove files and folders of earlier results by name; links themselves, never what they point to.

    Args:
        folder: folder of the results.
        names: names in it; not the file by which the folder is recognized, which is replaced afterwards, so that an
            interrupted removal can be repeated.
        inputs: files and folders that the new results are made from.

    Raises:
        PanoHeadError: when an input lies among what would be removed, or something cannot be removed; nothing is
            removed in the first case.
    """
    refuse_own_inputs(folder, names, inputs)
    for name in names:
        path = folder / name
        try:
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path)
        except OSError as error:
            raise unwritable(path, error, "remove it, or choose another folder") from error


def refuse_own_inputs(folder: Path, names: Sequence[str], inputs: Sequence[Path]) -> None:
    """Refuse inputs that would be removed before they are read.

    Raises:
        PanoHeadError: naming the input.
    """
    for path in inputs:
        real = Path(os.path.realpath(path))
        for name in names:
            removed = Path(os.path.realpath(folder / name))
            if real.is_relative_to(removed):
                raise PanoHeadError(f"{path} is among what --overwrite would remove; choose another --out")
