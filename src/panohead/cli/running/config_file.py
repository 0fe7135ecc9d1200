"""Config files: the options of one command as YAML, read by ``--config`` and written beside the results.

A file is read as text only (no YAML tags, no references), and its values become words of a command line, which are
checked as if they were typed.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import yaml

from panohead.cli.running.common_options import CommonOptions
from panohead.cli.running.option_fields import OptionField, given_options, option_fields
from panohead.errors import PanoHeadError, UsageError
from panohead.files.regular import read_text
from panohead.system.text import printable, shortened

CONFIG_FILE = "run.yaml"
"""Name of the config file beside results."""
_COMMAND_KEY = "command"
_MAX_BYTES = 100_000
_FIRST_LINE = "# Options of panohead "
"""Beginning of the files that this package writes; others are never replaced."""
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_NONE = ("", "null", "~", "none")
_COMMON_KEYS = tuple(field.name for field in fields(CommonOptions))


class _PlainLoader(yaml.BaseLoader):
    """YAML whose values all stay text; references and repeated keys are errors."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds a reference (*name); write the value itself")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in found:
                raise yaml.YAMLError(f"the key {shortened(printable(str(key)))} is no word or stands there twice")
            found.add(key)
        return super().construct_mapping(node, deep=True)


def with_config(words: Sequence[str], commands: Mapping[str, type]) -> list[str]:
    """Return a command line with the options of its ``--config`` put before those that are typed.

    Args:
        words: the command line, its command's name first, or ``--config`` alone: then the file says the command.
        commands: classes of the commands by name, such as "dataset convert".

    Raises:
        UsageError: for a file that cannot be read as such, is for another command, or has a key or a value that its
            command does not take.
    """
    words = list(words)
    path = _config_path(words)
    if path is None:
        return words
    content = read_config(path)
    written_for = content.pop(_COMMAND_KEY, None)
    name = _command_of(words, commands)
    if name is None:
        if words and not words[0].startswith("-"):
            return words  # no such command, as the parser will say
        if written_for not in commands:
            raise UsageError(f"{path} does not say which command it is for; put the command before --config")
        name, words = str(written_for), [*str(written_for).split(), *words]
    if written_for not in (None, name):
        raise UsageError(
            f"{path} is for 'panohead {shortened(printable(str(written_for)))}', not for 'panohead {name}'"
        )
    count = len(name.split())
    options = option_fields(commands[name])
    given = given_options(words[count:], [*options, *option_fields(CommonOptions)])
    positional, named = _as_words(content, options, path, given)
    # Words without a name directly after the command: options of many values take all words that follow.
    typed = words[count:]
    return [*words[:count], *positional, *typed[: _leading(typed)], *named, *typed[_leading(typed) :]]


def _leading(words: Sequence[str]) -> int:
    return next((place for place, word in enumerate(words) if word.startswith("-")), len(words))


def _config_path(words: Sequence[str]) -> Path | None:
    """Return the file after ``--config``; the last one counts. None where there is none."""
    found = None
    for place, word in enumerate(words):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name == "--config" and equals:
            found = Path(value)
        elif name == "--config" and place + 1 < len(words) and not words[place + 1].startswith("--"):
            found = Path(words[place + 1])
    return found


def _command_of(words: Sequence[str], commands: Mapping[str, type]) -> str | None:
    return next((name for count in (2, 1) if (name := " ".join(words[:count])) in commands), None)


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a config file: keys without dashes, of groups with their names and a dot before them.

    Raises:
        UsageError: when it cannot be read or is no mapping of options.
    """
    try:
        read = yaml.load(read_text(path, _MAX_BYTES), Loader=_PlainLoader)  # nosec B506: no tags, strings alone
    except (OSError, UnicodeDecodeError, PanoHeadError) as error:
        reason = getattr(error, "strerror", None) or ("it is no text" if isinstance(error, ValueError) else error)
        raise UsageError(f"--config {path} cannot be read ({reason}); give a YAML file with options") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        reason = getattr(error, "problem", None) or str(error)
        text = shortened(printable(" ".join(str(reason).split())))
        raise UsageError(
            f"--config {path} is not understood{where}: {text}; give lines such as 'seeds: 0-7'"
        ) from error
    if read is None or read == "":
        return {}
    if not isinstance(read, dict):
        raise UsageError(f"--config {path} holds no options; give lines such as 'seeds: 0-7'")
    flat: dict[str, Any] = {}
    for key, value in read.items():
        name = key.replace("-", "_")
        inner = (
            {f"{name}.{k.replace('-', '_')}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        )
        if twice := flat.keys() & inner.keys():
            raise UsageError(f"--config {path} gives {min(twice)} twice; give it once")
        flat |= inner
    return flat


def _as_words(
    content: Mapping[str, Any], options: Sequence[OptionField], path: Path, given: set[str]
) -> tuple[list[str], list[str]]:
    """Return the values of a file as words: those without an option's name, and the others."""
    known = {option.key: option for option in options}
    positional: list[str] = []
    named: list[str] = []
    for key, value in content.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            remedy = "give it on the command line" if key in _COMMON_KEYS else "remove it"
            hint = f"did you mean {near[0]}?" if near and key not in _COMMON_KEYS else remedy
            raise UsageError(f"{path}: there is no option {shortened(printable(key))}; {hint}")
        option = known[key]
        values = value if isinstance(value, list) else [value]
        if any(not isinstance(one, str) for one in values) or (isinstance(value, list) and not option.takes_many):
            raise UsageError(f"{path}: {key} takes {'values' if option.takes_many else 'one value'}, no nested ones")
        if key in given or (not isinstance(value, list) and value.lower() in _NONE):
            continue
        if option.is_positional:
            positional += values
        elif option.is_flag:
            named.append(_flag(option, values[0], path))
        elif option.takes_many:
            named += [option.option, *values]
        else:
            named.append(f"{option.option}={values[0]}")
    return positional, named


def _flag(option: OptionField, value: str, path: Path) -> str:
    if value.lower() not in (*_TRUE, *_FALSE):
        raise UsageError(f"{path}: {option.key} is {shortened(printable(value))}; give true or false")
    return option.flag(value.lower() in _TRUE)


def config_text(name: str, command: Any) -> str:
    """Return a config file with all options of a command, also those that have their default values.

    Args:
        name: name of the command.
        command: dataclass of its options.
    """
    from panohead import __version__

    values: dict[str, Any] = {_COMMAND_KEY: name}
    for option in option_fields(type(command)):
        value = option.value(command)
        if value is None or (value == () and option.default is MISSING):
            continue
        values[option.key] = [_plain(one) for one in value] if isinstance(value, tuple) else _plain(value)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000)
    return f"{_FIRST_LINE}{name} ({__version__}); use them again with: panohead {name} --config FILE\n{text}"


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)


def write_config(path: Path, name: str, command: Any, *, beside_results: bool = False) -> None:
    """Write a config file.

    Args:
        beside_results: one of an earlier command is replaced, and one that somebody else has written stays.

    Raises:
        PanoHeadError: when it cannot be written, or (but beside results) there is such a file.
    """
    from panohead.system.atomic_write import write_bytes

    if path.exists() and not beside_results:
        raise PanoHeadError(f"{path} exists, and may have been edited; choose another name, or delete it")
    if path.exists() and not _is_ours(path):
        return
    write_bytes(path, config_text(name, command).encode())


def _is_ours(path: Path) -> bool:
    try:
        return read_text(path, _MAX_BYTES).startswith(_FIRST_LINE)
    except (OSError, UnicodeDecodeError, PanoHeadError):
        return False
