"""Old spellings of options: they keep working, and help does not show them."""

import re
from collections.abc import Sequence

OLD_SPELLINGS: dict[str, dict[str, str]] = {
    "generate": {"--resolution": "--rays", "--turntable-format": "--video-format"},
    "interpolate": {"--count": "--frames", "--film-format": "--video-format"},
    "demo": {"--seeds": "--heads"},
    "prepare": {"--size": "--resolution"},
    "dataset convert": {"--size": "--resolution"},
}
"""New names by command and old name."""


def with_new_spellings(arguments: Sequence[str]) -> list[str]:
    """Return a command line with old names of options replaced; values, also those after "=", stay.

    Words after a lone ``--`` are no options.
    """
    words = list(arguments)
    known = _known(words)
    end = words.index("--") if "--" in words else len(words)
    for i in range(end):
        name, equals, value = words[i].partition("=")
        if name.replace("_", "-") in known:
            words[i] = known[name.replace("_", "-")] + equals + value
    return words


def as_typed(sentence: str, arguments: Sequence[str]) -> str:
    """Return a sentence with the options named as this command line names them."""
    for old, new in _known(arguments).items():
        if any(word.partition("=")[0].replace("_", "-") == old for word in arguments):
            sentence = re.sub(rf"{new}(?![\w-])", old, sentence)
    return sentence


def _known(words: Sequence[str]) -> dict[str, str]:
    """Return the old and new names of the options of the command that these words begin with."""
    return OLD_SPELLINGS.get(" ".join(words[: 2 if list(words[:1]) == ["dataset"] else 1]), {})
