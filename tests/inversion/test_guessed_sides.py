"""The report's words for sides that no photo shows."""

import pytest

from panohead.inversion.report import guessed_sides


@pytest.mark.parametrize(
    ("yaws", "expected"),
    [
        ([10.0], "The profile and the back are guesses"),
        ([60.0], "The face from the front, the other profile and the back are guesses"),
        ([0.0, 90.0, -90.0], "The back is a guess"),
        ([0.0, 130.0, -130.0], ""),
        ([-175.0], "The face from the front and the profile are guesses"),
    ],
)
def test_sides_without_a_photo_are_named(yaws: list[float], expected: str) -> None:
    found = guessed_sides(yaws)
    assert found.startswith(expected)
    assert bool(found) == bool(expected)
