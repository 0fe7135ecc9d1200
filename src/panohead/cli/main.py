"""The ``panohead`` command: runs the subcommand and turns errors into one sentence and an exit code."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from panohead.cli.dataset import Dataset
from panohead.cli.demo import Demo
from panohead.cli.doctor import Doctor
from panohead.cli.evaluate import Evaluate
from panohead.cli.generate import Generate
from panohead.cli.import_official import ImportOfficial
from panohead.cli.interpolate import Interpolate
from panohead.cli.old_spellings import with_new_spellings
from panohead.cli.prepare import Prepare
from panohead.cli.reconstruct import Reconstruct
from panohead.cli.synthesize import Synthesize
from panohead.cli.train import Train
from panohead.errors import PanoHeadError, UsageError
from panohead.system.malloc import keep_large_buffers
from panohead.system.openmp import wait_without_spinning

_DESCRIPTION = (
    "Whole 3D human heads from a GAN: images, videos and meshes. 'panohead COMMAND --help' shows the options."
)

Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Interpolate, tyro.conf.subcommand("interpolate")]
    | Annotated[ImportOfficial, tyro.conf.subcommand("import-official")]
    | Annotated[Synthesize, tyro.conf.subcommand("synthesize")]
    | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Dataset, tyro.conf.subcommand("dataset")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Reconstruct, tyro.conf.subcommand("reconstruct")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0: done, 1: failed with a one-line reason, 2: wrong usage, 130: interrupted.

    On a closed pipe (``| head``) it ends without a message, like other programs (SIGPIPE): 141.
    """
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer is written when Python ends; it must not complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one sentence, without the place in the source."""
    print(f"panohead: note: {' '.join(str(message).split())}", file=sys.stderr)


def _run(arguments: Sequence[str] | None) -> int:
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run_command(arguments)


def _run_command(arguments: Sequence[str] | None) -> int:
    wait_without_spinning()
    keep_large_buffers()
    arguments = with_new_spellings(sys.argv[1:] if arguments is None else arguments)
    command: Any = tyro.cli(Command, prog="panohead", description=_DESCRIPTION, args=arguments)
    try:
        command.run()
    except KeyboardInterrupt:
        print("panohead: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        if command.debug:
            traceback.print_exc()
        print(f"panohead: {_reason(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _reason(error: Exception) -> str:
    if isinstance(error, PanoHeadError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "out of memory; try a smaller --resolution or --mesh-resolution"
    text = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {text}; run again with --debug to see where"


if __name__ == "__main__":
    sys.exit(main())
