"""Ranges of options: every number has one, and what is out of it is wrong usage."""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panohead.cli import main as main_module
from panohead.cli.main import main
from panohead.cli.mesh_options import MeshOptions
from panohead.cli.ranges import _ranges

CHECKED_ELSEWHERE = {
    *(field.name for field in dataclasses.fields(MeshOptions)),  # by the settings of a mesh
    "edition", "people_edition",  # Literals
}  # fmt: skip


def commands() -> Iterator[Any]:
    """Yield the classes of all commands, subcommands included."""
    for option in typing.get_args(main_module.Command):
        command = typing.get_args(option)[0]
        inner = typing.get_type_hints(command).get("command")
        yield from typing.get_args(inner) if inner is not None else (command,)


def numeric_fields(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(settings, include_extras=True)
    for field in dataclasses.fields(settings):
        plain = typing.get_type_hints(settings)[field.name]
        if dataclasses.is_dataclass(plain):
            yield from numeric_fields(plain, f"{prefix}{field.name}.")
        elif {int, float} & {plain, *typing.get_args(plain)}:
            yield f"{settings.__name__}.{prefix}{field.name}", hints[field.name]


def test_every_number_has_a_range() -> None:
    missing = [
        name
        for command in commands()
        for name, hint in numeric_fields(command)
        if not list(_ranges(hint)) and name.rpartition(".")[2] not in CHECKED_ELSEWHERE
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--yaws", "0", "nan"], "--yaws is nan; give a number from"),
        (["generate", "--fps", "inf"], "--fps is inf"),
        (["generate", "--frames", "0"], "--frames is 0; give a whole number from 1"),
        (["generate", "--cell-size", "1000000000"], "--cell-size is 1000000000"),
        (["generate", "--truncation-cutoff=-1"], "--truncation-cutoff is -1"),
        (["generate", "--seeds", "0-90000"], "the number of --seeds is 90001"),
        (["interpolate", "--count", "99999999999999999999"], "--count is 99999999999999999999"),
        (["interpolate", "--seeds", "4"], "at least two --seeds"),
        (["demo", "--seeds", "0"], "--seeds is 0"),
        (["prepare", "x", "--gates.min-coverage", "5"], "--gates.min-coverage is 5; give a number from 0 to 1"),
        (["prepare", "x", "--gates.max-residual=-1"], "--gates.max-residual is -1"),
        (["synthesize", "--people", "0"], "--people is 0"),
        (["synthesize", "--people", "1", "--workers", "-3"], "--workers is -3"),
        (["synthesize", "--people", "1", "--focal", "1e400"], "--focal is inf"),
        (["evaluate", "--num", "1"], "--num is 1"),
        (["evaluate", "--batch", "0"], "--batch is 0"),
        (["reconstruct", "a.png", "--steps", "0"], "--steps is 0"),
        (["reconstruct", "a.png", "--unseen-weight", "nan"], "--unseen-weight is nan"),
        (["dataset", "convert", "x", "--to", "shards", "--shard-mb", "nan"], "--shard-mb is nan"),
        (["train", "--kimg", "nan"], "--kimg is nan"),
        (["train", "--batch", "0"], "--batch is 0"),
        (["train", "--seed", "-1"], "--seed is -1"),
    ],
)
def test_out_of_range_is_wrong_usage(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("setting", "code", "words"),
    [
        ("loss.r1_gamma=nan", 2, "no value that can be used"),
        ("loss.r1_gamma=1e400", 2, "expected a finite number"),
        ("loss.r1_gamma=" + "[" * 5000, 2, "nested deeper"),
        ("loss.r1_gamma=" + "9" * 5000, 2, "thousands of digits"),
        ("loss.r1_gamma=much", 2, "loss.r1_gamma: expected float, got str"),
        ("data.cache=disk", 2, "data.cache: invalid enum value 'disk', not one of 'auto', 'device', 'memory', 'none'"),
        ("generator.channel_base=0", 2, "channel_base is 0"),
        ("batch=3", 2, "cannot be shared"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(
    setting: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--preset", "tiny", "--dry-run", "--set", setting]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert len(captured.err) < 1000


def test_a_dry_run_looks_for_the_files_it_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--data", "--init"):
        assert main(["train", "--preset", "tiny", "--dry-run", option, str(tmp_path / "gone")]) == 1
        assert f"{option} {tmp_path / 'gone'} does not exist" in capsys.readouterr().err
