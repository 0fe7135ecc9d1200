"""The parser of the command line: tyro's, with words before the command, ``NO_COLOR``, and errors as records."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Collection, Sequence
from typing import Any

import tyro

from panohead.cli.running.common_options import CommonOptions
from panohead.cli.running.messages import JsonLines, tell
from panohead.cli.running.option_fields import option_fields
from panohead.errors import UsageError

PROGRAM = "panohead"
DESCRIPTION = (
    "Whole 3D human heads from a GAN: images, videos and meshes. 'panohead COMMAND --help' shows the options, "
    "'panohead --version' the version, 'panohead completion SHELL' completes them with the tabulator key."
)
_FRAME = re.compile(r"[\u2500-\u257f]+")
"""Lines and corners of the boxes around messages."""
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def is_given(option: str, words: Sequence[str]) -> bool:
    """Return True if a flag is among the words of a command line that may be options."""
    end = list(words).index("--") if "--" in words else len(words)
    return option in (word.replace("_", "-") for word in words[:end] if word.startswith("--"))


def with_command_first(words: Sequence[str], commands: Collection[str]) -> list[str]:
    """Return a command line whose common options stand behind the command, where they stood before it."""
    flags = {field.option for field in option_fields(CommonOptions) if field.is_flag}
    paths = {field.option for field in option_fields(CommonOptions) if not field.is_flag}
    words, place = list(words), 0
    while place < len(words):
        name, equals, _ = words[place].partition("=")
        if name.replace("_", "-") in flags or (name.replace("_", "-") in paths and equals):
            place += 1
        elif name.replace("_", "-") in paths:
            place += 2
        else:
            break
    if place == 0 or place >= len(words) or words[place].startswith("-"):
        return words
    count = 2 if " ".join(words[place : place + 2]) in commands else 1
    # Values without a name stay directly behind the command.
    return [*words[place : place + count], *words[:place], *words[place + count :]]


def check_common(options: CommonOptions) -> None:
    """Refuse common options that contradict each other.

    Raises:
        UsageError: naming them.
    """
    if options.quiet and options.verbose:
        raise UsageError("--quiet and --verbose exclude each other; choose one")


def parsed(command: Any, words: Sequence[str]) -> Any:
    """Return the command that words of a command line ask for.

    Raises:
        SystemExit: after --help, or for wrong usage, which has been said.
    """
    if not isinstance(sys.stderr, JsonLines):
        with _plain_help():
            return tyro.cli(command, prog=PROGRAM, description=DESCRIPTION, args=words)
    text = io.StringIO()
    try:
        with contextlib.redirect_stderr(text), _plain_help():
            return tyro.cli(command, prog=PROGRAM, description=DESCRIPTION, args=words)
    except SystemExit:
        said = " ".join(_FRAME.sub(" ", _ESCAPE.sub("", text.getvalue())).split())
        if said:
            tell(said)
        raise


@contextlib.contextmanager
def _plain_help() -> Any:
    """Keep colors out of help and errors where NO_COLOR is set (https://no-color.org), which tyro does not look at."""
    if not os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        yield
        return
    before = os.environ.get("TERM")
    os.environ["TERM"] = "dumb"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TERM"]
        else:
            os.environ["TERM"] = before


def completion_script(command: Any, shell: str) -> str:
    """Return the script by which a shell ("bash", "zsh", "fish") completes the commands of a type."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        tyro.cli(command, prog=PROGRAM, description=DESCRIPTION, args=["--tyro-print-completion", shell])
    return text.getvalue()
