"""Attribute vectors of synthetic people: their names, their sections and the way back to a person."""

from pathlib import Path

import numpy as np
import pytest
import torch

from panohead.attributes import AttributeEncoder, Vocabulary
from panohead.attributes.vocabulary import (
    CHOICES,
    expression_names,
    fit_shape_basis,
    identity_numbers,
    light_numbers,
    person_of_record,
    shape_coordinates,
)
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.synthetic.people import sample_person
from panohead.synthetic.renderer.lighting import Lighting, sample_lighting

PEOPLE = [sample_person(5, index) for index in range(6)]
RECORDS = [person.to_json() for person in PEOPLE]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    shapes = np.stack([shape_coordinates(record) for record in RECORDS])
    return Vocabulary(expression_names(), *fit_shape_basis(shapes, 3))


def vector(vocabulary: Vocabulary, number: int, **expression: float) -> np.ndarray:
    record = RECORDS[number]
    light = light_numbers(sample_lighting(np.random.default_rng(0)).to_json())
    shape = shape_coordinates(record)
    return vocabulary.vector(record, shape, light, expression=expression, gaze=(0.1, -0.05))


def test_every_number_has_one_name(vocabulary: Vocabulary) -> None:
    assert len(vocabulary.names) == len(set(vocabulary.names)) == vocabulary.size
    assert vector(vocabulary, 0).shape == (vocabulary.size,)


def test_expression_moves_its_own_number_only(vocabulary: Vocabulary) -> None:
    moved = vector(vocabulary, 0, jawOpen=0.5) - vector(vocabulary, 0)
    assert [vocabulary.names[i] for i in np.nonzero(moved)[0]] == ["jawOpen"]


def test_one_choice_of_each_kind_is_one() -> None:
    for record in RECORDS:
        assert identity_numbers(record)[-sum(map(len, CHOICES.values())) :].sum() == len(CHOICES)


def test_record_gives_the_person_back() -> None:
    assert person_of_record({**RECORDS[1], "person": 1, "views": []}).to_json() == RECORDS[1]


def test_shape_section_is_white(vocabulary: Vocabulary) -> None:
    start, end = vocabulary.sections["shape"]
    numbers = np.stack([vector(vocabulary, i)[start:end] for i in range(len(RECORDS))])
    np.testing.assert_allclose(np.cov(numbers.T), np.eye(3), atol=1e-3)


def test_shape_does_not_depend_on_the_expression() -> None:
    smiling = {**RECORDS[0], "expression": {"jawOpen": 1.0}}
    np.testing.assert_array_equal(shape_coordinates(smiling), shape_coordinates(RECORDS[0]))


def test_even_light_of_radiance_one_is_irradiance_one() -> None:
    one = (1.0, 1.0, 1.0)
    even = Lighting(one, one, np.array([[0.0, 1.0, 0.0]]), np.array([0.3]), np.zeros((1, 3)), 1.0)
    np.testing.assert_allclose(np.exp(light_numbers(even.to_json())) - 0.02, 1.0, atol=0.01)


def test_encoder_carries_its_vocabulary(vocabulary: Vocabulary) -> None:
    encoder = AttributeEncoder.of_vocabulary(vocabulary, w_dim=8, hidden=16)
    assert encoder.vocabulary.names == vocabulary.names
    np.testing.assert_array_equal(encoder.vocabulary.shape_components, vocabulary.shape_components)


def test_encoder_comes_back_from_a_checkpoint(vocabulary: Vocabulary, tmp_path: Path) -> None:
    encoder = AttributeEncoder.of_vocabulary(vocabulary, w_dim=8, hidden=16).eval()
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, {"attributes": encoder})
    found = load_checkpoint(path).attribute_encoder()
    assert found is not None
    attributes = torch.randn(2, vocabulary.size)
    torch.testing.assert_close(found(attributes), encoder(attributes))
