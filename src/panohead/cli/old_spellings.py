"""Old spellings of options: they keep working, and help does not show them."""

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
    command = " ".join(words[: 2 if words[:1] == ["dataset"] else 1])
    known = OLD_SPELLINGS.get(command, {})
    end = words.index("--") if "--" in words else len(words)
    for i in range(end):
        name, equals, value = words[i].partition("=")
        if name.replace("_", "-") in known:
            words[i] = known[name.replace("_", "-")] + equals + value
    return words
