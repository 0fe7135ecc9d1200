"""The ``panohead`` command: runs the subcommand and turns errors into one sentence and an exit code."""

import contextlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_type_hints

import tyro

from panohead import __version__
from panohead.cli.app import App
from panohead.cli.dataset import Dataset
from panohead.cli.demo import Demo
from panohead.cli.directions import FindDirections
from panohead.cli.evaluate import Evaluate
from panohead.cli.generate import Generate
from panohead.cli.import_official import ImportOfficial
from panohead.cli.looking import Doctor
from panohead.cli.marks import Sign, Verify
from panohead.cli.models import Models
from panohead.cli.prepare import Prepare
from panohead.cli.ranges import check_ranges
from panohead.cli.reconstruct import Reconstruct
from panohead.cli.running.common_options import CommonOptions
from panohead.cli.running.completion import Completion
from panohead.cli.running.config_file import with_config, write_config
from panohead.cli.running.failures import reason, unusable, with_option
from panohead.cli.running.messages import MessageStyle, answer, command_records, messages, tell
from panohead.cli.running.old_spellings import as_typed, with_new_spellings
from panohead.cli.running.parsing import check_common, is_given, parsed, with_command_first
from panohead.cli.running.terminal import Ended, discard_output, ending_signals, repair_streams, require_width
from panohead.cli.synthesize import Synthesize
from panohead.cli.train import Train
from panohead.cli.train_encoder import TrainEncoder
from panohead.cli.videos import Animate, Interpolate
from panohead.cli.view import View
from panohead.errors import PanoHeadError, UsageError
from panohead.files.new_folders import empty_folders_removed
from panohead.system.malloc import keep_large_buffers
from panohead.system.openmp import wait_without_spinning
from panohead.system.process_end import end_process
from panohead.system.text import printable, shortened

Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[App, tyro.conf.subcommand("app")]
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
    | Annotated[Models, tyro.conf.subcommand("models")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Sign, tyro.conf.subcommand("sign")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Completion, tyro.conf.subcommand("completion")]
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
    return code


def command_classes() -> dict[str, type]:
    """Return the class of every command by its name, those of ``dataset`` by both words."""
    found: dict[str, type] = {}
    for name, command in _subcommands(Command):
        if command is Dataset:
            hint = get_type_hints(Dataset, include_extras=True)["command"]
            found |= {f"{name} {part}": one for part, one in _subcommands(hint.__origin__)}
        else:
            found[name] = command
    return found


def _subcommands(union: Any) -> Iterator[tuple[str, type]]:
    for part in get_args(union):
        yield part.__metadata__[0].name, part.__origin__


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one sentence, without the place in the source and tracebacks that a library quotes in it."""
    text = " ".join(str(message).split()).partition(" Traceback (most recent call last)")[0]
    tell(text, "warning")


def _run(arguments: Sequence[str] | None) -> int:
    try:
        os.getcwd()
    except OSError as error:  # PyTorch's library of linear algebra ends the process there, with a riddle
        tell(f"cannot use the current folder ({error.strerror}); change to one that exists")
        return 1
    if arguments is None:
        # For this whole process and everything that libraries start from it (torch.compile, Ray).
        os.environ.setdefault("PYTHONSAFEPATH", "1")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"panohead {__version__}")
        return 0
    # Before the words are parsed: what is wrong with them is a message too.
    style = MessageStyle(log_json=is_given("--log-json", words))
    with warnings.catch_warnings(), messages(style), command_records(words) as record:
        warnings.showwarning = _show_warning
        try:
            record["exit_code"] = _run_command(words)
        except SystemExit as end:
            record["exit_code"] = end.code
            raise
        except Ended as end:
            record["exit_code"] = end.code
            tell("stopped by a signal; what was finished is kept")
        except BrokenPipeError:
            record["exit_code"] = 141
            raise
        return int(record["exit_code"])


def _run_command(typed: list[str]) -> int:
    wait_without_spinning()
    keep_large_buffers()
    if wrong := unusable(typed):
        tell(wrong)
        return 2
    try:
        words = with_new_spellings(with_config(with_command_first(typed, command_classes()), command_classes()))
        command: Any = parsed(Command, words)
    except PanoHeadError as error:  # config files, and settings that check themselves when they are made
        tell(with_option(shortened(printable(" ".join(str(error).split()))), typed))
        return 2
    options: CommonOptions = command.common
    with messages(options):
        began = time.monotonic()
        try:
            check_common(options)
            check_ranges(command)
            if options.write_config is not None:
                write_config(options.write_config, _name(command), _chosen(command))
                answer(f"wrote {options.write_config}; use it with: panohead {_name(command)} --config FILE")
                return 0
            with empty_folders_removed(_outputs(command)), _marking(command):
                command.run()
        except KeyboardInterrupt:
            tell("interrupted; what was finished is kept")
            return 130
        except BrokenPipeError:
            raise
        except Exception as error:
            if options.debug:
                traceback.print_exc()
            tell(as_typed(reason(error, command), typed))
            return 2 if isinstance(error, UsageError) else 1
        if options.verbose:
            tell(f"{time.monotonic() - began:.1f} s{_memory()}", "info")
    return 0


def _marking(command: Any) -> contextlib.AbstractContextManager[None]:
    """Return a context in which images get a watermark, if the command is asked for it."""
    if not getattr(command, "watermark", False):
        return contextlib.nullcontext()
    from panohead.media.watermark import watermarked

    return watermarked()


def _memory() -> str:
    if "torch" not in sys.modules:
        return ""
    import torch

    from panohead.system.peak_memory import peak_memory_gb

    return f", at most {peak_memory_gb(torch.device('cpu')):.2f} GB of memory"


def _chosen(command: Any) -> Any:
    """Return the command itself, or of ``dataset`` the chosen subcommand."""
    return command.command if isinstance(command, Dataset) else command


def _name(command: Any) -> str:
    return next(name for name, kind in command_classes().items() if kind is type(_chosen(command)))


def _outputs(command: Any) -> list[Path]:
    """Return the folders and files that a command writes: those of its options that name them."""
    chosen = _chosen(command)
    given = (getattr(chosen, name, None) for name in ("out", "picture"))
    return [path for path in given if isinstance(path, Path)]


def _output_failed(error: OSError) -> int:
    discard_output()
    tell(f"cannot write to the standard output ({error.strerror or error})")
    return 1


def run_process() -> NoReturn:
    """Run one command as this process."""
    try:
        code = main()
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise  # a message, which the interpreter prints
        code = end.code or 0
    end_process(code)


if __name__ == "__main__":
    run_process()
