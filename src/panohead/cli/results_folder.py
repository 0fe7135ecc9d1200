"""The folder of a command's results: one custom for ``--out``, and a ``settings.json`` beside the files.

A new folder is made. One that holds results of the same command is written to again: files of the same names are
replaced, others stay. One that holds anything else that this package has written is refused, unless ``--overwrite``.
Files of the user's own do not matter; none is ever removed.
"""

import json
import shlex
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panohead.errors import PanoHeadError

if TYPE_CHECKING:
    from panohead.predictor import Predictor

SETTINGS_FILE = "settings.json"
_OTHERS = {
    "stats.jsonl": "a training run",
    "synthesis.json": "a synthetic dataset",
    "prepare.json": "a prepared dataset",
    "dataset.json": "a dataset",
    "images": "a dataset",
    "images.zip": "a dataset",
}
"""Files by which results of commands without a settings.json are recognized."""


def open_results(path: Path, name: str, *, overwrite: bool) -> Path:
    """Make the folder of the results, or check the one that is there.

    Args:
        path: the folder.
        name: name of the command.
        overwrite: write into it whatever it holds.

    Raises:
        PanoHeadError: when it holds other results, or cannot be made.
    """
    from panohead.cli.common import output_folder

    held = None if overwrite else _held(path, name)
    if held is not None:
        raise PanoHeadError(f"{path} holds {held}; choose another --out, or give --overwrite to write into it")
    return output_folder(path)


def _held(path: Path, name: str) -> str | None:
    """Return what a folder holds that the command must not mix with its own, None for nothing."""
    if (path / SETTINGS_FILE).is_file():
        other = _command_of(path / SETTINGS_FILE)
        return None if other == name else f"results of panohead {other}" if other else f"another {SETTINGS_FILE}"
    return next((what for file, what in _OTHERS.items() if (path / file).exists()), None)


def _command_of(file: Path) -> str | None:
    from panohead.files.read_json import read_json

    try:
        words = shlex.split(str(read_json(file, dict[str, Any]).get("command", "")))
    except (ValueError, PanoHeadError):
        return None
    return words[1] if words[:1] == ["panohead"] and len(words) > 1 else None


def write_settings(
    out: Path, name: str, command: Any, predictor: "Predictor | None" = None, seeds: list[int] | None = None
) -> None:
    """Write ``settings.json``: by what these files were made, enough to make them again.

    Args:
        out: folder of the results.
        name: name of the command.
        command: dataclass of its options.
        predictor: generator that was used.
        seeds: seeds of the heads, spelled out.

    Raises:
        PanoHeadError: when it cannot be written.
    """
    from panohead import __version__
    from panohead.system.atomic_write import write_bytes

    options = {field.name: getattr(command, field.name) for field in fields(command) if field.name != "debug"}
    settings: dict[str, Any] = {"command": typed(name, command), "version": __version__}
    if seeds is not None:
        settings["seeds"] = seeds
    if "truncation_psi" in options:
        settings["truncation_psi"] = options["truncation_psi"]
    if predictor is not None:
        settings["checkpoint_sha256"] = predictor.sha256
    settings["options"] = options
    write_bytes(out / SETTINGS_FILE, (json.dumps(settings, indent=1, default=_plain) + "\n").encode())


def typed(name: str, command: Any) -> str:
    """Return a command line that gives these options: those that differ from their defaults, quoted for a shell."""
    words = ["panohead", *name.split()]
    for field in fields(command):
        value, default = getattr(command, field.name), field.default
        if value == default or field.name == "debug" or is_dataclass(value) or value == ():
            continue
        option = f"--{field.name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        elif isinstance(value, tuple):
            words += [option, *map(str, value)]
        elif value is not None:
            words += [option, str(value)]
    return shlex.join(words)


def _plain(value: object) -> object:
    return vars(value) if is_dataclass(value) else str(value)
