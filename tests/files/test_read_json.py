"""Reading of JSON: bounds, forms, and sentences that name file, place and expectation."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest
import torch

from panohead.errors import PanoHeadError
from panohead.files import read_json as module
from panohead.files.read_json import from_plain, parse_json, read_json, read_json_lines


class Labels(TypedDict):
    labels: list[tuple[str, list[float]]]
    coarse: NotRequired[list[str]]


@dataclass(frozen=True)
class Inner:
    size: int = 3
    kind: Literal["a", "b"] = "a"
    pair: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    other: Inner | None = None
    rate: float | None = 0.5

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate < 0:
            raise ValueError("rate is negative; give 0 or more")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[]", "the whole: expected object, got array"),
        ("{}", "missing required field labels"),
        ('{"labels": null}', "labels: expected array, got null"),
        ('{"labels": [["a"]]}', r"labels\[0\]: expected array of length 2, got 1"),
        ('{"labels": [["a", [1, "x"]]]}', r"labels\[0\]\[1\]\[1\]: expected float, got str"),
        ('{"labels": [["a", [1, true]]]}', r"labels\[0\]\[1\]\[1\]: expected float, got bool"),
        ('{"labels": [["a", [NaN]]]}', "NaN is no number of JSON"),
        ('{"labels": [["a", [-Infinity]]]}', "-Infinity is no number of JSON"),
        ('{"labels": [["a", [2, 1e999]]]}', r"labels\[0\]\[1\]\[1\] is inf; expected a finite number"),
        ('{"labels": [["a", [' + "9" * 400 + "]]]}", r"labels\[0\]\[1\]\[0\] is a number beyond 1.84e\+19"),
        ('{"labels": [["a", [' + "9" * 5000 + "]]]}", "a number has thousands of digits"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"labels": ' + "[" * 900 + "]" * 900 + "}", "nested deeper than 64 levels"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "nested deeper than 64 levels"),
        (b"\xff\xfe\xfd", "not in UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str | bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PanoHeadError, match=words) as caught:
        read_json(file, Labels, remedy="write it again")
    sentence = str(caught.value)
    assert sentence.startswith(f"{file} is not of the form")
    assert sentence.endswith("; write it again")
    assert len(sentence) < 1000


def test_values_keep_keys_that_the_form_does_not_name() -> None:
    value = {"labels": [["\udcff", [1, 2.5]]], "fnames": [1]}
    assert parse_json(json.dumps(value), Labels, "here") == value


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (torch.zeros(3), "the whole is of type Tensor"),
        ({"rate": torch.zeros(3)}, "rate is of type Tensor"),
        ({"inner": {"size": [{"a": object()}]}}, r"inner.size\[0\].a is of type object"),
        ({"rate": b"1"}, "rate is of type bytes"),
    ],
)
def test_what_is_no_value_of_json_is_refused(value: Any, place: str) -> None:
    with pytest.raises(ValueError, match=f"{place}; expected a value of JSON"):
        from_plain(Outer, value)


def test_a_depth_of_64_is_read_and_65_is_not() -> None:
    whole: Any = Any
    for depth, fits in ((module.MAX_DEPTH, True), (module.MAX_DEPTH + 1, False)):
        text = "[" * depth + "]" * depth
        if fits:
            assert parse_json(text, whole, "here") == json.loads(text)
        else:
            with pytest.raises(PanoHeadError, match="deeper"):
                parse_json(text, whole, "here")


def test_configurations_take_defaults_and_refuse_what_they_do_not_know() -> None:
    assert from_plain(Outer, {"inner": {"size": 4, "pair": [1, 2]}}) == Outer(Inner(4, pair=(1.0, 2.0)))
    assert from_plain(Outer, {"other": {"kind": "b"}, "rate": None}) == Outer(other=Inner(kind="b"), rate=None)
    for plain, words in (
        ({"inner": {"magic": 1}}, "Outer has no setting 'inner.magic'"),
        ({"magic": 1}, "no setting 'magic'"),
        ({"inner": {"size": 1.5}}, "inner.size: expected int, got float"),
        ({"inner": {"kind": "c"}}, "inner.kind: invalid enum value 'c', not one of 'a', 'b'"),
        ({"other": {"kind": 3}}, "other.kind: expected str, got int"),
        ({"inner": {"pair": [1, 2, 3]}}, "inner.pair: expected array of length 2, got 3"),
        ({"rate": -1}, "rate is negative"),
        ({"rate": math.nan}, "rate is nan; expected a finite number"),
        ({"rate": math.inf}, "rate is inf"),
        ({"inner": {"size": 10**30}}, "inner.size is a number beyond"),
        ([], "expected object"),
    ):
        with pytest.raises(ValueError, match=words):
            from_plain(Outer, plain)


def test_lines_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b'{"labels": []}\n\n{"labels": [["a", [1]]]}\n{"labels": 3}\n')
    lines = read_json_lines(file, Labels)
    assert [next(lines), next(lines)] == [{"labels": []}, {"labels": [["a", [1]]]}]
    with pytest.raises(PanoHeadError, match=r"lines.jsonl, line 4 .*labels: expected array, got int"):
        next(lines)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_loop(path: Path) -> None:
    path.symlink_to(path)


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


@pytest.mark.parametrize("make", [make_folder, make_pipe, make_device, make_loop, make_huge, None])
def test_only_regular_files_of_a_size_are_read(make: Callable[[Path], None] | None, tmp_path: Path) -> None:
    """At once: the test would hang otherwise."""
    path = tmp_path / "it.json"
    if make is not None:
        make(path)
    with pytest.raises(PanoHeadError, match=r"it\.json"):
        read_json(path, dict[str, int])


def test_a_closed_file_needs_rights_and_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path, *_: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module, "read_regular", closed)
    with pytest.raises(PanoHeadError, match=r"config\.json \(Permission denied\); check its permissions"):
        read_json(tmp_path / "config.json", Labels, remedy="start a new run")


def test_the_number_of_lists_is_bounded() -> None:
    text = "[" + "[]," * module.MAX_CONTAINERS + "[]]"
    with pytest.raises(PanoHeadError, match="larger than any such file"):
        parse_json(text, list[Any], "here")
