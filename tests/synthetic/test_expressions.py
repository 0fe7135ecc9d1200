"""Shots: every unit of ARKit occurs, a share is strong, and no face does what no face can."""

import collections
import json

import numpy as np
import pytest

from panohead.synthetic.basis import head_basis
from panohead.synthetic.expressions import EXPRESSION_UNITS, STRONG_SHARE, Shot, sample_shots
from panohead.synthetic.people import Person, sample_person, stream

PEOPLE = 700


@pytest.fixture(scope="module")
def crowd() -> list[tuple[Person, list[Shot]]]:
    people = [sample_person(3, index) for index in range(PEOPLE)]
    return [(person, sample_shots(person, 2)) for person in people]


@pytest.fixture(scope="module")
def shots(crowd: list[tuple[Person, list[Shot]]]) -> list[Shot]:
    return [shot for _, both in crowd for shot in both]


def test_the_units_are_those_of_the_basis() -> None:
    assert len(EXPRESSION_UNITS) == 52
    assert {f"expression/{name}" for name in EXPRESSION_UNITS} <= set(head_basis().target_index)


def test_every_unit_occurs_and_strongly_where_a_face_can(shots: list[Shot]) -> None:
    largest: dict[str, float] = collections.defaultdict(float)
    for shot in shots:
        for name, value in shot.expression.items():
            largest[name] = max(largest[name], value)
    assert set(largest) == set(EXPRESSION_UNITS)
    # The lids follow a gaze of at most .4 down and .32 up; lips close over a jaw that is open by .4 at most.
    limits = {"eyeLookUpLeft": 0.4, "eyeLookUpRight": 0.4, "mouthClose": 0.3}
    for name, value in largest.items():
        assert value > limits.get(name, 0.5), name


def test_weights_and_gaze_stay_in_range(shots: list[Shot]) -> None:
    for shot in shots:
        assert all(0 <= value <= 1 for value in shot.expression.values())
        assert abs(shot.gaze[0]) <= 0.6
        assert -0.4 <= shot.gaze[1] <= 0.32


def strength(shot: Shot) -> float:
    """Sum of the weights without the eyes' turning and ordinary blinking."""
    return sum(
        v for k, v in shot.expression.items() if not k.startswith("eyeLook") and (k[:8] != "eyeBlink" or v > 0.2)
    )


def test_the_strong_share_is_strong_and_looks_wider(shots: list[Shot]) -> None:
    strong, calm = [s for s in shots if s.strong], [s for s in shots if not s.strong]
    assert len(strong) / len(shots) == pytest.approx(STRONG_SHARE, abs=0.04)
    assert np.median([strength(s) for s in strong]) > 2.5 * max(np.median([strength(s) for s in calm]), 0.3)
    assert np.std([s.gaze[0] for s in strong]) > 1.5 * np.std([s.gaze[0] for s in calm])


def test_most_eyes_stay_open_and_some_wink(shots: list[Shot]) -> None:
    lids = np.array([[s.expression.get(f"eyeBlink{side}", 0.0) for side in ("Left", "Right")] for s in shots])
    assert 0.01 < (lids.min(1) > 0.8).mean() < 0.08
    assert 0.01 < (np.abs(lids[:, 0] - lids[:, 1]) > 0.6).mean() < 0.1


def test_no_face_does_what_no_face_can(shots: list[Shot]) -> None:
    for weights in (shot.expression for shot in shots if shot.strong):
        get = collections.defaultdict(float, weights)
        assert min(get["jawLeft"], get["jawRight"]) == 0
        assert min(get["mouthLeft"], get["mouthRight"]) == 0
        assert get["mouthClose"] <= get["jawOpen"] + 1e-9
        if get["tongueOut"] > 0:
            assert get["jawOpen"] >= 0.25
            assert get["mouthClose"] == get["mouthPressLeft"] == get["mouthRollLower"] == 0
        for side in ("Left", "Right"):
            assert get[f"eyeBlink{side}"] <= 0.3 or get[f"eyeWide{side}"] == 0


def test_lids_turn_with_the_gaze(shots: list[Shot]) -> None:
    """A positive gaze is to the person's left: the left eye turns out, the right one in."""
    for shot in (s for s in shots if s.strong):
        across, up = shot.gaze
        out, turned_in = ("Left", "Right") if across > 0 else ("Right", "Left")
        wanted = min(1.5 * abs(across), 1.0)
        assert shot.expression[f"eyeLookOut{out}"] == pytest.approx(wanted)
        assert shot.expression[f"eyeLookIn{turned_in}"] == pytest.approx(wanted)
        assert f"eyeLookOut{turned_in}" not in shot.expression
        assert shot.expression[f"eyeLook{'Up' if up > 0 else 'Down'}Left"] == pytest.approx(1.5 * abs(up))


def test_more_shots_leave_the_first_ones_as_they_are() -> None:
    person = sample_person(3, 8)
    assert sample_shots(person, 4)[:2] == sample_shots(person, 2)
    drawn = [json.dumps(shot.to_json()) for shot in sample_shots(person, 4)]
    assert len(set(drawn)) == 4


def test_shots_take_nothing_from_other_streams() -> None:
    person = sample_person(3, 8)
    before = stream(3, 8, "hair").random(4)
    sample_shots(person, 3)
    np.testing.assert_array_equal(stream(3, 8, "hair").random(4), before)
    assert sample_person(3, 8) == person


def test_expressions_do_not_depend_on_who_shows_them(crowd: list[tuple[Person, list[Shot]]]) -> None:
    rate = len([s for _, both in crowd for s in both if s.strong]) / (2 * PEOPLE)
    for group in (lambda p: p.is_male, lambda p: p.age > 45, lambda p: p.tone > 0.5, lambda p: p.beard != "none"):
        strong = [s.strong for person, both in crowd if group(person) for s in both]
        deviation = np.sqrt(rate * (1 - rate) / len(strong))
        assert abs(np.mean(strong) - rate) < 4 * deviation
