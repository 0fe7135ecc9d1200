"""Ranges of numbers: what passes, what is refused, and sentences that differ from their limit."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from panohead import limits
from panohead.errors import UsageError
from panohead.limits import NumberRange

RANGES = {name: value for name, value in vars(limits).items() if isinstance(value, NumberRange)}
PERCENT = NumberRange(0, 100, "percent")


@pytest.mark.parametrize("value", [0, 100, 12.5, np.float32(3), np.int64(7), torch.tensor(2.5), Fraction(1, 3)])
def test_numbers_of_every_kind_pass(value: object) -> None:
    assert PERCENT.real(value, "share") == float(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, 100, np.int64(7), np.uint8(9), torch.tensor(5)])
def test_whole_numbers_of_every_kind_pass(value: object) -> None:
    number = PERCENT.whole(value, "share")
    assert type(number) is int
    assert number == value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), -float("inf"), -1, 101, 10**400, "5", b"5", True, None, [1], (), {}, 1j,
        np.array([1.0, 2.0]), torch.zeros(3), object,
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["real", "whole"])
def test_everything_else_is_refused_in_one_sentence(value: object, kind: str) -> None:
    with pytest.raises(UsageError, match=r"^share is .*; give (a|one|a whole) number from 0 to 100 percent$"):
        getattr(PERCENT, kind)(value, "share")


@pytest.mark.parametrize("value", [1.0, 2.5, np.float64(3), torch.tensor(2.0)])
def test_whole_numbers_have_no_fraction(value: object) -> None:
    with pytest.raises(UsageError, match="give a whole number"):
        PERCENT.whole(value, "share")


@pytest.mark.parametrize("name", RANGES)
def test_every_range_holds_its_ends_and_nothing_beyond(name: str) -> None:
    found = RANGES[name]
    for end in (found.low, found.high):
        assert found.real(end, name) == end
        assert end in found
    for beyond in (found.low - max(1e-6, abs(found.low) * 1e-6), found.high * (1 + 1e-6) + 1e-6):
        assert beyond not in found
        with pytest.raises(UsageError, match=name):
            found.real(beyond, name)


def test_a_refused_number_reads_otherwise_than_its_limit() -> None:
    """127.9999 rounded to 128 beside "from 128" would contradict itself."""
    for number in (127.9999, 128 - 1e-13):
        with pytest.raises(UsageError, match=rf"side is {number!r}; give a number from 128 to"):
            NumberRange(128, 4096).real(number, "side")
