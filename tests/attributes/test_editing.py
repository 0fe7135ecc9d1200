"""Attributes of heads of which only w is known, and heads that move with them."""

import numpy as np
import pytest
import torch

import tiny
from panohead.attributes import AttributeEncoder, Vocabulary
from panohead.attributes import estimate as estimate_module
from panohead.attributes.editing import HeadAttributes, mean_shape
from panohead.attributes.estimate import nearest_attributes
from panohead.attributes.vocabulary import fit_shape_basis, light_numbers, shape_coordinates
from panohead.checkpoint import Checkpoint
from panohead.errors import UsageError
from panohead.predictor import Predictor
from panohead.synthetic.people import sample_person, stream
from panohead.synthetic.renderer.lighting import sample_lighting

EXPRESSIONS = ("jawOpen", "mouthSmileLeft", "mouthSmileRight")


def encoder(w_dim: int, vocabulary: Vocabulary) -> AttributeEncoder:
    torch.manual_seed(3)
    made = AttributeEncoder.of_vocabulary(vocabulary, w_dim=w_dim, residual=4, hidden=192)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def plain() -> AttributeEncoder:
    """An encoder whose vocabulary has no shapes; w is wide enough to tell all attributes."""
    return encoder(192, Vocabulary(EXPRESSIONS, np.zeros(0), np.zeros((0, 0))))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The tiny generator, with an encoder of four shapes."""
    shapes = np.stack([shape_coordinates(sample_person(2, index).to_json()) for index in range(5)])
    vocabulary = Vocabulary(EXPRESSIONS, *fit_shape_basis(shapes, 4))
    generator = tiny.generator()
    networks = {"G_ema": generator, "attributes": encoder(generator.config.w_dim, vocabulary)}
    return Predictor(generator, Checkpoint(networks))


def person_vector(vocabulary: Vocabulary, index: int) -> np.ndarray:
    person = sample_person(77, index).to_json()
    light = light_numbers(sample_lighting(stream(77, index, "light")).to_json())
    expression = {name: person["expression"].get(name, 0.0) for name in EXPRESSIONS}
    return vocabulary.vector(person, np.zeros(0), light, expression=expression, gaze=person["gaze"])


@pytest.mark.parametrize("index", range(4))
def test_a_persons_attributes_are_found_from_w(plain: AttributeEncoder, index: int) -> None:
    vector = person_vector(plain.vocabulary, index)
    truth = HeadAttributes(plain, vector, np.zeros(4, np.float32)).values()
    found = HeadAttributes.of_w(plain, plain(torch.from_numpy(vector)[None])[0]).values()
    assert found["age"] == pytest.approx(truth["age"], abs=6)
    for name in ("skin_tone", "gender", "weight", "muscle"):
        assert found[name] == pytest.approx(truth[name], abs=0.15), name
    for name in ("hair_style", "beard", "glasses", "headwear", "clothes"):
        assert found[name] == truth[name], name


def test_the_attributes_found_are_the_most_probable(plain: AttributeEncoder) -> None:
    """Their probability, by automatic differentiation, falls in every direction."""
    rng = torch.Generator().manual_seed(0)
    vector = torch.from_numpy(person_vector(plain.vocabulary, 9))[None]
    w = plain(vector)[0] + 0.05 * torch.randn(192, generator=rng)
    mean, covariance = (torch.from_numpy(x) for x in estimate_module.prior(plain.vocabulary))

    def cost(point: torch.Tensor) -> torch.Tensor:
        network = AttributeEncoder(plain.config).double()
        network.load_state_dict(plain.state_dict())
        a, r = point[:-4], point[-4:]
        start = torch.cat([mean, torch.zeros(4, dtype=torch.float64)])
        rows = torch.autograd.functional.jacobian(lambda x: network(x[None, :-4], x[None, -4:])[0], start)[:, :-4]
        spread = ((rows @ covariance) * rows).sum(1).mean().sqrt() * estimate_module._W_ERROR
        error = (network(a[None], r[None])[0] - w) / spread
        away = a - mean
        prior = away @ torch.linalg.solve(covariance, away) + r.square().sum() / estimate_module._RESIDUAL_VARIANCE
        return (error.square().sum() + prior).detach()

    found = torch.from_numpy(np.concatenate(nearest_attributes(plain, w))).double()
    best = float(cost(found))
    directions = torch.nn.functional.normalize(torch.randn(24, len(found), generator=rng, dtype=torch.float64))
    assert min(float(cost(found + 0.05 * d)) for d in directions) > best
    assert float(cost(torch.cat([vector[0].double(), torch.zeros(4, dtype=torch.float64)]))) > best - 1e-6


def test_heads_move_by_the_difference_of_the_attributes(predictor: Predictor) -> None:
    head = predictor.sample(0)
    old = head.with_attributes(age=70, hair_style="bob", smile=0.5)
    attributes = old.attributes()
    assert (attributes["hair_style"], attributes["smile"]) == ("bob", pytest.approx(0.5))
    assert attributes["age"] == pytest.approx(70, abs=1e-3)
    assert not torch.equal(old.ws, head.ws)
    assert torch.equal(old.ws - head.ws, (old.ws - head.ws)[:, :1].expand_as(head.ws)), "all rows move together"
    one_by_one = head.with_attributes(smile=0.5).with_attributes(hair_style="bob").with_attributes(age=70)
    torch.testing.assert_close(one_by_one.ws, old.ws, rtol=0, atol=1e-4)
    back = old.with_attributes(age=30).with_attributes(age=70)
    torch.testing.assert_close(back.ws, old.ws, rtol=0, atol=1e-4)
    assert torch.equal(head.with_attributes().ws, head.ws)


def test_shape_follows_age_and_weight_and_nothing_else(predictor: Predictor) -> None:
    """The shape section moves as the mean shape of people does, by the plain formula of the vocabulary."""
    network = predictor.attribute_encoder
    assert network is not None
    vocabulary = network.vocabulary
    start, end = vocabulary.sections["shape"]
    person = sample_person(5, 1).to_json()
    vector = vocabulary.vector(person, shape_coordinates(person), np.zeros(36), expression={}, gaze=(0, 0))
    head = HeadAttributes(network, vector, np.zeros(4, np.float32))
    for name, value in (("skin_tone", 0.1), ("hair_length", 1.0), ("jawOpen", 0.4)):
        assert np.array_equal(head.changed({name: value}).vector[start:end], vector[start:end]), name
    light = head.changed({"weight": 0.0}).vector[start:end]
    heavy = head.changed({"weight": 1.0}).vector[start:end]
    ancestry = tuple(np.array(person["ancestry"]) / sum(person["ancestry"]))
    macro = [person["gender"], person["age"], person["muscle"]]
    shapes = [mean_shape((*macro, weight, ancestry)) for weight in (0.0, 1.0)]
    np.testing.assert_allclose(heavy - light, vocabulary.shape_components @ (shapes[1] - shapes[0]), atol=1e-2)
    assert np.abs(heavy - light).max() > 0.05


def test_models_without_an_encoder_have_no_attributes() -> None:
    bare = Predictor(tiny.generator())
    assert bare.attributes == {}
    for act in (lambda: bare.sample(0).attributes(), lambda: bare.sample(0).with_attributes(age=3)):
        with pytest.raises(UsageError, match="has no attribute encoder"):
            act()


def test_a_wrong_name_is_told_with_the_nearest_ones(predictor: Predictor) -> None:
    head = predictor.sample(0)
    with pytest.raises(UsageError, match="no attribute 'haircolour'; did you mean hair_color"):
        head.with_attributes(haircolour="red")
    with pytest.raises(UsageError, match="give one such as age"):
        head.with_attributes(xyz=1)
    with pytest.raises(UsageError, match="age is 300"):
        head.with_attributes(age=300)


def test_heads_of_every_source_have_attributes(predictor: Predictor) -> None:
    a, b = predictor.sample(0), predictor.sample(1)
    heads = [a, predictor.mean_head(), predictor.from_w(a.ws), predictor.interpolate(a, b, 0.5)]
    heads.append(predictor.mix(a, b, [0]))
    for head in heads:
        assert set(head.attributes()) == set(predictor.attributes)
