"""The one sentence that a command ends with when it fails, and words of a command line that no option takes."""

import dataclasses
import errno
import os
from collections.abc import Sequence
from typing import Any

from panohead.errors import PanoHeadError
from panohead.system.text import printable, shortened


def unusable(words: Sequence[str]) -> str | None:
    """Return what is wrong with arguments that no option can take; None when nothing is."""
    for number, word in enumerate(words, 1):
        option, equals, value = word.partition("=")
        if word == "" or (option.startswith("--") and equals and value == ""):
            # An unset variable of a shell, which as a path would be the current folder.
            return f"argument {number} is empty{f' ({option})' if option else ''}; give a value or leave it out"
        if "\0" in word:  # a shell cannot give one, a caller of main can
            return f"argument {number} holds a zero byte, which no name or number may; leave it out"
    return None


def with_option(sentence: str, words: Sequence[str]) -> str:
    """Return a sentence that begins with a setting's name with the option, as it was typed, in the name's place."""
    name, _, rest = sentence.partition(" ")
    options = (word.partition("=")[0] for word in words if word.startswith("--"))
    # Options of a group have its name before theirs: --gates.min-coverage.
    dashed = name.replace("_", "-")
    found = next((option for option in options if option[2:].rpartition(".")[2] == dashed), name)
    return f"{found} {rest}"


def reason(error: Exception, command: Any) -> str:
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
