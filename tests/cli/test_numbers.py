"""Lists of numbers in options."""

import pytest

from panohead.cli.common import parse_numbers
from panohead.errors import UsageError


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1 2 3", [1, 2, 3]),
        ("0-3,8", [0, 1, 2, 3, 8]),
        (" 1 - 3 ; 7 ", [1, 2, 3, 7]),
        ("1, 2\t3", [1, 2, 3]),
        ("12", [12]),
    ],
)
def test_numbers_are_separated_by_commas_semicolons_and_spaces(text: str, numbers: list[int]) -> None:
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "1,,2", "1;", "a", "1 -", "3-1", "1.5", "-1"])
def test_other_lists_of_numbers_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="seeds"):
        parse_numbers(text)
