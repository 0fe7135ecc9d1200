"""Attributes by users' names: what is written is read again, and agrees with the numbers of people's records."""

from collections.abc import Iterator

import numpy as np
import pytest

from panohead.attributes import Vocabulary
from panohead.attributes.named import ChoiceAttribute, NumberAttribute, Value, attributes_of
from panohead.attributes.vocabulary import expression_names, identity_numbers
from panohead.errors import UsageError
from panohead.synthetic.people import HAIR_STYLES, sample_person

VOCABULARY = Vocabulary(expression_names(), np.zeros(0), np.zeros((0, 0)))
COLUMNS = {name: place for place, name in enumerate(VOCABULARY.names)}
KNOWN = attributes_of(VOCABULARY)
PEOPLE = [sample_person(8, index).to_json() for index in range(12)]
TOGETHER = (
    {"hair_style", "hair_length"},
    {"hair_color", "hair_melanin", "hair_red", "gray_hair"},
    {"smile", "mouthSmileLeft", "mouthSmileRight"},
    {"blink", "eyeBlinkLeft", "eyeBlinkRight"},
)
"""Attributes that are other names of the same numbers."""


def vector_of(record: dict, light: float = -0.7) -> np.ndarray:
    return VOCABULARY.vector(
        record, np.zeros(0), np.full(36, light), expression=record["expression"], gaze=record["gaze"]
    )


def values_of(name: str) -> list[Value]:
    attribute = KNOWN[name]
    if isinstance(attribute, ChoiceAttribute):
        return list(attribute.words)
    return list(np.linspace(attribute.limits.low, attribute.limits.high, 5))


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_written_is_read_and_nothing_else_changes(name: str) -> None:
    vector = vector_of(PEOPLE[0])
    alike = next((names for names in TOGETHER if name in names), {name})
    before = {other: KNOWN[other].get(vector, COLUMNS) for other in KNOWN if other not in alike}
    for value in values_of(name):
        KNOWN[name].put(vector, COLUMNS, value)
        assert KNOWN[name].get(vector, COLUMNS) == (value if isinstance(value, str) else pytest.approx(value, abs=1e-4))
        after = {other: KNOWN[other].get(vector, COLUMNS) for other in before}
        assert after == pytest.approx(before, abs=1e-5)


def named_values(record: dict) -> Iterator[tuple[str, Value]]:
    """Yield the attributes that a person's record states itself."""
    for name, key in {"skin_tone": "tone", "gray_hair": "grey", "eye_color": "iris"}.items():
        value = record[key]
        yield name, value.replace("grey", "gray") if isinstance(value, str) else value
    for name in ("age", "gender", "weight", "muscle", "hair_style", "beard", "glasses", "headwear", "clothes"):
        yield name, record[name]
    for name in ("hair_melanin", "hair_red", "freckles", "lipstick"):
        yield name, record[name]


@pytest.mark.parametrize("number", range(12))
def test_a_persons_own_values_give_the_persons_own_numbers(number: int) -> None:
    """The reference are the numbers that the vocabulary takes from a record."""
    record, vector = PEOPLE[number], vector_of(PEOPLE[(number + 1) % 12])
    for name, value in named_values(record):
        KNOWN[name].put(vector, COLUMNS, value)
        read = KNOWN[name].get(vector_of(record), COLUMNS)
        assert read == (value if isinstance(value, str) else pytest.approx(value, abs=1e-4)), name
    own = identity_numbers(record)
    set_here = [i for name, i in COLUMNS.items() if i < len(own) and not name.startswith(UNSET)]
    np.testing.assert_allclose(vector[set_here], own[set_here], atol=2e-3)


UNSET = ("haemoglobin", "ancestry", "dye", "clothes_", "headwear_")
"""Numbers without a name for users, and colors, which users give by names."""


def test_hair_grows_with_its_length() -> None:
    """A given length lies between the two styles next to it, and every style has one."""
    vector = vector_of(PEOPLE[0])
    length, style = KNOWN["hair_length"], KNOWN["hair_style"]
    found = []
    for value in np.linspace(0, 1, 13):
        length.put(vector, COLUMNS, float(value))
        found.append(style.get(vector, COLUMNS))
    assert list(dict.fromkeys(found)) == ["buzz", "short", "bob", "long"]
    for word in HAIR_STYLES:
        style.put(vector, COLUMNS, word)
        assert isinstance(length.get(vector, COLUMNS), float)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("age", 200, "age is 200; give a number from 5 to 85 years"),
        ("age", "old", "age is 'old'; give a number from 5 to 85"),
        ("age", float("nan"), "age is nan"),
        ("hair_style", "mullet", "hair_style is 'mullet'; give one of bald, buzz"),
        ("hair_style", 3, "hair_style is 3; give one of"),
        ("jawOpen", -0.1, "jawOpen is -0.1; give a number from 0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        KNOWN[name].checked(value)


def test_numbers_may_come_as_text() -> None:
    age = KNOWN["age"]
    assert isinstance(age, NumberAttribute)
    assert age.checked("60") == 60.0
