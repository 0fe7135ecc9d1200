"""The ``panohead`` command: runs the subcommand and turns errors into one sentence and an exit code."""

import contextlib
import dataclasses
import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from panohead import __version__
from panohead.cli.dataset import Dataset
from panohead.cli.demo import Demo
from panohead.cli.directions import FindDirections
from panohead.cli.evaluate import Evaluate
from panohead.cli.generate import Generate
from panohead.cli.import_official import ImportOfficial
from panohead.cli.looking import Doctor, Verify
from panohead.cli.old_spellings import as_typed, with_new_spellings
from panohead.cli.prepare import Prepare
from panohead.cli.ranges import check_ranges
from panohead.cli.reconstruct import Reconstruct
from panohead.cli.synthesize import Synthesize
from panohead.cli.terminal import Ended, discard_output, ending_signals, repair_streams, require_width
from panohead.cli.train import Train
from panohead.cli.train_encoder import TrainEncoder
from panohead.cli.videos import Animate, Interpolate
from panohead.cli.view import View
from panohead.errors import PanoHeadError, UsageError
from panohead.files.new_folders import empty_folders_removed
from panohead.system.malloc import keep_large_buffers
from panohead.system.openmp import wait_without_spinning
from panohead.system.text import printable, shortened

_DESCRIPTION = (
    "Whole 3D human heads from a GAN: images, videos and meshes. 'panohead COMMAND --help' shows the options, "
    "'panohead --version' the version."
)

Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Animate, tyro.conf.subcommand("animate")]
    | Annotated[Interpolate, tyro.conf.subcommand("interpolate")]
    | Annotated[FindDirections, tyro.conf.subcommand("directions")]
    | Annotated[ImportOfficial, tyro.conf.subcommand("import-official")]
    | Annotated[Synthesize, tyro.conf.subcommand("synthesize")]
    | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Dataset, tyro.conf.subcommand("dataset")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[TrainEncoder, tyro.conf.subcommand("train-encoder")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Reconstruct, tyro.conf.subcommand("reconstruct")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0: done, 1: failed with a one-line reason, 2: wrong usage, 130: interrupted.

    On a closed pipe (``| head``) it ends without a message, like other programs (SIGPIPE): 141; at SIGTERM and SIGHUP
    it clears away workers and temporary files: 143 and 129.
    """
    repair_streams()
    require_width()
    try:
        with ending_signals():
            code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1
    except OSError as error:
        return _output_failed(error)
    except SystemExit:  # after --help, or for wrong usage
        try:
            sys.stdout.flush()
        except OSError as error:
            return _output_failed(error)
        raise
    except Ended as end:
        _tell("stopped by a signal; what was finished is kept")
        return end.code
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one sentence, without the place in the source and tracebacks that a library quotes in it."""
    text = " ".join(str(message).split()).partition(" Traceback (most recent call last)")[0]
    _tell(f"note: {text}")


def _run(arguments: Sequence[str] | None) -> int:
    try:
        os.getcwd()
    except OSError as error:  # PyTorch's library of linear algebra ends the process there, with a riddle
        _tell(f"cannot use the current folder ({error.strerror}); change to one that exists")
        return 1
    if arguments is None:
        # For this whole process and everything that libraries start from it (torch.compile, Ray).
        os.environ.setdefault("PYTHONSAFEPATH", "1")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run_command(arguments)


def _run_command(arguments: Sequence[str] | None) -> int:
    wait_without_spinning()
    keep_large_buffers()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"panohead {__version__}")
        return 0
    if unusable := _unusable(words):
        _tell(unusable)
        return 2
    try:
        command: Any = tyro.cli(Command, prog="panohead", description=_DESCRIPTION, args=with_new_spellings(words))
    except PanoHeadError as error:  # settings that check themselves when they are made
        _tell(_with_option(shortened(printable(" ".join(str(error).split()))), words))
        return 2
    try:
        check_ranges(command)
        with empty_folders_removed(_outputs(command)):
            command.run()
    except KeyboardInterrupt:
        _tell("interrupted; what was finished is kept")
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        if command.debug:
            traceback.print_exc()
        _tell(as_typed(_reason(error, command), words))
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _unusable(words: Sequence[str]) -> str | None:
    """Return what is wrong with arguments that no option can take; None when nothing is."""
    for number, word in enumerate(words, 1):
        option, equals, value = word.partition("=")
        if word == "" or (option.startswith("--") and equals and value == ""):
            # An unset variable of a shell, which as a path would be the current folder.
            return f"argument {number} is empty{f' ({option})' if option else ''}; give a value or leave it out"
        if "\0" in word:  # a shell cannot give one, a caller of main can
            return f"argument {number} holds a zero byte, which no name or number may; leave it out"
    return None


def _with_option(sentence: str, words: Sequence[str]) -> str:
    """Return a sentence that begins with a setting's name with the option, as it was typed, in the name's place."""
    name, _, rest = sentence.partition(" ")
    options = (word.partition("=")[0] for word in words if word.startswith("--"))
    # Options of a group have its name before theirs: --gates.min-coverage.
    dashed = name.replace("_", "-")
    found = next((option for option in options if option[2:].rpartition(".")[2] == dashed), name)
    return f"{found} {rest}"


def _outputs(command: Any) -> list[Path]:
    """Return the folders and files that a command writes: those of its options that name them."""
    chosen = command.command if isinstance(command, Dataset) else command
    given = (getattr(chosen, name, None) for name in ("out", "picture"))
    return [path for path in given if isinstance(path, Path)]


def _tell(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"panohead: {message}", file=sys.stderr, flush=True)


def _output_failed(error: OSError) -> int:
    discard_output()
    _tell(f"cannot write to the standard output ({error.strerror or error})")
    return 1


def _reason(error: Exception, command: Any) -> str:
    """Return the one sentence on an error."""
    text = shortened(printable(" ".join(str(error).split())))
    if isinstance(error, PanoHeadError):
        return text
    if _is_memory(error):
        return _memory_advice(command)
    if isinstance(error, OSError):
        name = error.filename
        if name is None and error.errno in (errno.ENOSPC, errno.EBADF, errno.EIO):
            return f"cannot write its output ({error.strerror}); check the standard output and the disk"
        what = "a file" if name is None else shortened(printable(os.fsdecode(name) if name != "" else "''"))
        return f"cannot use {what} ({error.strerror or error}); check the path and its permissions"
    return f"unexpected {type(error).__name__}: {text}; run again with --debug to see where"


_MEMORY_TEXTS = (
    "can't allocate memory",
    "Cannot allocate memory",
    "can't start new thread",
    "bad_alloc",
    "failed to map segment",
)
"""Parts of the messages of PyTorch, the system, Python, C++ and the loader of libraries, in this order."""


def _is_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError | ImportError) and any(text in str(error) for text in _MEMORY_TEXTS)


def _memory_advice(command: Any) -> str:
    """Return the sentence on a lack of memory; it names the options that were raised, if any was."""
    raised = [
        f"--{field.name.replace('_', '-')}"
        for field in dataclasses.fields(command)
        if field.name in _HUNGRY and _is_raised(getattr(command, field.name), field.default, _HUNGRY[field.name])
    ]
    return f"out of memory; lower {' or '.join(raised)}" if raised else "out of memory for this input on this machine"


_HUNGRY = {
    "resolution": 256,
    "rays": 64,
    "heads": 1,
    "mesh_resolution": 128,
    "texture": 512,
    "cell_size": 256,
    "batch": 4,
    "micro_batch": 4,
    "workers": 1,
}
"""Options that decide the memory, and numbers up to which they are never the reason where they have no default."""


def _is_raised(value: Any, default: Any, modest: int) -> bool:
    number = isinstance(value, int) and not isinstance(value, bool)
    return number and value > (default if isinstance(default, int) else modest)


if __name__ == "__main__":
    sys.exit(main())
