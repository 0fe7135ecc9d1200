"""People of the dataset: documented shares, and no attribute that teaches another."""

import collections
import itertools
import json

import numpy as np
import pytest

from panohead.synthetic.basis import head_basis
from panohead.synthetic.color import hair_albedo, lightness, skin_albedo
from panohead.synthetic.people import (
    BEARDS,
    CLOTHES,
    GLASSES,
    HAIR_COLORS,
    HAIR_STYLES,
    HEADWEAR,
    IRISES,
    Person,
    sample_person,
    stream,
)
from panohead.synthetic.shape import head_vertices

COUNT = 2000


@pytest.fixture(scope="module")
def crowd() -> list[Person]:
    return [sample_person(5, index) for index in range(COUNT)]


def shares(values: list[str]) -> dict[str, float]:
    return {key: n / len(values) for key, n in collections.Counter(values).items()}


@pytest.mark.parametrize(
    ("attribute", "wanted", "tolerance"),
    [("hair_style", HAIR_STYLES, 0.012), ("hair_colour", HAIR_COLORS, 0.012), ("glasses", GLASSES, 0.012),
     ("iris", IRISES, 0.03), ("clothes", CLOTHES, 0.03)],
)  # fmt: skip
def test_shares_are_the_documented_ones(
    crowd: list[Person], attribute: str, wanted: dict[str, float], tolerance: float
) -> None:
    found = shares([getattr(person, attribute) for person in crowd])
    total = sum(wanted.values())
    for key, share in wanted.items():
        assert found.get(key, 0) == pytest.approx(share / total, abs=tolerance), key


def test_gender_age_and_tone_are_uniform(crowd: list[Person]) -> None:
    assert np.mean([p.is_male for p in crowd]) == pytest.approx(0.5, abs=0.01)
    for values, low, high in (([p.age for p in crowd], 5, 85), ([p.tone for p in crowd], 0, 1)):
        counts, _ = np.histogram(values, 10, (low, high))
        np.testing.assert_allclose(counts / COUNT, 0.1, atol=0.01)


def dependence(a: list[object], b: list[object]) -> float:
    """Pearson's chi-squared of the table of two attributes, in standard deviations from the value of independence."""
    _, rows = np.unique([str(x) for x in a], return_inverse=True)
    _, columns = np.unique([str(x) for x in b], return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float((((table - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


def test_no_named_attribute_predicts_another(crowd: list[Person]) -> None:
    # A receding hairline waits for adulthood, and a headscarf becomes a wrap on men: their share is left out or joined.
    attributes = {
        "gender": [p.is_male for p in crowd],
        "age": [int(p.age // 16.01) for p in crowd],
        "tone": [int(p.tone * 5) for p in crowd],
        "style": [p.hair_style.replace("receding", "short") for p in crowd],
        "colour": [p.hair_colour for p in crowd],
        "glasses": [p.glasses != "none" for p in crowd],
        "headwear": [p.headwear != "none" for p in crowd],
        "ancestry": [int(np.argmax(p.ancestry)) for p in crowd],
    }
    for (first, a), (second, b) in itertools.combinations(attributes.items(), 2):
        assert dependence(a, b) < 3.0, (first, second)


def test_the_measure_of_dependence_can_fail() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(5, size=COUNT)
    leaning = np.where(rng.random(COUNT) < 0.1, a, rng.integers(5, size=COUNT))
    assert dependence(list(a), list(leaning)) > 7


def test_sixteen_people_already_cover_all_ages_tones_and_both_genders() -> None:
    few = [sample_person(11, index) for index in range(16)]
    assert 5 <= sum(p.is_male for p in few) <= 11
    assert len({int(p.tone * 4) for p in few}) == 4
    assert len({int((p.age - 5) // 20.01) for p in few}) == 4


def test_biological_exceptions(crowd: list[Person]) -> None:
    for person in crowd:
        assert person.beard == "none" or (person.is_male and person.age >= 18)
        assert person.hair_style != "receding" or person.age >= 18
        assert person.grey == 0 or person.age > 35
        assert person.headwear != "headscarf" or not person.is_male
    men = [p for p in crowd if p.is_male and p.age >= 18]
    assert shares([p.beard for p in men])["full"] == pytest.approx(BEARDS["full"], abs=0.03)
    assert np.mean([p.headwear != "none" for p in crowd]) == pytest.approx(1 - HEADWEAR["none"], abs=0.01)


def test_equal_steps_of_tone_are_equal_steps_of_lightness() -> None:
    people = sorted((sample_person(1, i) for i in range(200)), key=lambda p: p.tone)
    tone = np.array([p.tone for p in people])
    melanin = np.array([p.melanin for p in people])
    light = lightness(skin_albedo(melanin, np.full(len(melanin), 0.6)))
    fit = np.polyfit(tone, light, 1)
    np.testing.assert_allclose(np.polyval(fit, tone), light, atol=0.2)
    assert fit[0] < -30


def test_pigment_darkens() -> None:
    melanin = np.linspace(0, 1.2, 9)
    assert (np.diff(hair_albedo(melanin, np.zeros(9)), axis=0) < 0).all()
    assert (np.diff(skin_albedo(melanin, np.full(9, 0.5)), axis=0) < 0).all()
    black = hair_albedo(np.array([1.1]), np.array([0.1]))
    assert black.max() < 0.03


def test_a_person_is_decided_by_seed_and_number_alone() -> None:
    assert sample_person(3, 41) == sample_person(3, 41)
    assert sample_person(3, 41) != sample_person(3, 42)
    assert sample_person(3, 41) != sample_person(4, 41)
    line = json.dumps(sample_person(3, 41).to_json())
    assert json.loads(line)["hair_style"] in HAIR_STYLES


def test_streams_of_different_purposes_differ() -> None:
    draws = {float(stream(0, person, name).random()) for person in (0, 1) for name in ("hair", "skin")}
    assert len(draws) == 4


def test_faces_share_one_frame_whatever_the_person(crowd: list[Person]) -> None:
    """Eye height and chin move by identity, the mean face does not: framing needs one set of constants for all."""
    basis = head_basis()
    base = basis.vertices[: basis.body_count]
    region = (base[:, 2] > 0.95) & (np.abs(base[:, 0]) < 0.75) & (base[:, 1] > 6.3) & (base[:, 1] < 7.9)
    for person in crowd[:24]:
        face = head_vertices(person)[: basis.body_count][region]
        assert np.abs(face.mean(0) - base[region].mean(0)).max() < 0.05  # decimeters; the expression alone moves it
