"""The folder of a command's results: one custom for ``--out``, with ``settings.json`` and ``run.yaml``.

A new folder is made. One that holds results of the same command is written to again: files of the same names are
replaced, others stay; datasets and runs, which are many files, are continued or else refused, and ``--overwrite``
removes them first. One that holds anything else that this package has written is refused, unless ``--overwrite``; a
dataset has a folder to itself. Files of the user's own are never removed.
"""

import json
import shlex
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panohead.cli.running.common_options import COMMON
from panohead.cli.running.config_file import CONFIG_FILE, write_config
from panohead.cli.running.option_fields import option_fields
from panohead.errors import PanoHeadError
from panohead.files.earlier_results import SETTINGS_FILE, command_of

if TYPE_CHECKING:
    from panohead.predictor import Predictor

_MARKERS = {
    "stats.jsonl": ("train", "a training run"),
    "encoder.json": ("train-encoder", "the training of a photo encoder"),
    "synthesis.json": ("synthesize", "a synthetic dataset"),
    "prepare.json": ("prepare", "a prepared dataset"),
    "dataset.json": ("", "a dataset"),
    "images": ("", "a dataset"),
    "images.zip": ("", "a dataset"),
}
"""Files by which results without a settings.json are recognized, each with its command and what they are."""


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


def refuse_others(path: Path, name: str) -> None:
    """Refuse the folder of a new dataset where it holds other results: a dataset has a folder to itself.

    Raises:
        PanoHeadError: naming what it holds.
    """
    held = _held(path, name)
    if held is not None:
        raise PanoHeadError(f"{path} holds {held}; choose another --out: a dataset has a folder to itself")


def _held(path: Path, name: str) -> str | None:
    """Return what a folder holds that the command must not mix with its own, None for nothing."""
    found = {command: what for file, (command, what) in reversed(_MARKERS.items()) if (path / file).exists()}
    if name in found:
        return None
    if (path / SETTINGS_FILE).is_file():
        other = command_of(path)
        return None if other == name else f"results of panohead {other}" if other else f"another {SETTINGS_FILE}"
    return next(reversed(found.values()), None)


def write_settings(
    out: Path, name: str, command: Any, predictor: "Predictor | None" = None, seeds: list[int] | None = None
) -> None:
    """Write ``settings.json``: by what these files were made, enough to make them again; and ``run.yaml``, its options
    as ``--config`` takes them, unless there is a file of that name by somebody else.

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

    options = {field.name: getattr(command, field.name) for field in fields(command) if field.name != COMMON}
    settings: dict[str, Any] = {"command": typed(name, command), "version": __version__}
    if seeds is not None:
        settings["seeds"] = seeds
    if "truncation_psi" in options:
        settings["truncation_psi"] = options["truncation_psi"]
    if predictor is not None:
        settings["checkpoint_sha256"] = predictor.sha256
    settings["options"] = options
    write_bytes(out / SETTINGS_FILE, (json.dumps(settings, indent=1, default=plain) + "\n").encode())
    write_config(out / CONFIG_FILE, name, command, beside_results=True)


def typed(name: str, command: Any) -> str:
    """Return a command line that gives these options: those that differ from their defaults, quoted for a shell."""
    positional: list[str] = []
    options: list[str] = []
    for field in option_fields(type(command)):
        value = field.value(command)
        if value == field.default or value is None or value == ():
            continue
        if field.is_positional:
            positional += map(str, value if isinstance(value, tuple) else [value])
        elif isinstance(value, bool):
            options.append(field.flag(value))
        elif isinstance(value, tuple):
            options += [field.option, *map(str, value)]
        else:
            options += [field.option, str(value)]
    # First what has no name: options of several values take all words that follow.
    return shlex.join(["panohead", *name.split(), *positional, *options])


def plain(value: object) -> object:
    """Return a value that JSON does not know as one that it does."""
    return vars(value) if is_dataclass(value) else str(value)
