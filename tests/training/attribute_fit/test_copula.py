"""Attributes drawn by z, and the mapping network that learns them."""

import numpy as np
import torch
from torch import Tensor

from panohead.attributes.vocabulary import CHOICES, Vocabulary, expression_names
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.training.attribute_fit.copula import AttributeCopula, Copula
from panohead.training.attribute_fit.population import Population, calm_faces, natural
from panohead.training.attribute_fit.prior import PriorConfig, fit_mapping
from panohead.training.attribute_fit.shots import Shots


def vocabulary() -> Vocabulary:
    return Vocabulary(tuple(expression_names()), np.zeros(6), np.zeros((2, 6)))


def shots(attributes: Tensor) -> Shots:
    """Return shots without views."""
    return Shots(
        images=torch.zeros(0, 3, 8, 8, dtype=torch.uint8),
        masks=torch.zeros(0, 8, 8, dtype=torch.uint8),
        depth=torch.zeros(0, 8, 8, dtype=torch.float16),
        labels=torch.zeros(0, 25),
        view_of=torch.zeros(len(attributes), 1, dtype=torch.long),
        attributes=attributes,
        person=torch.arange(len(attributes)),
    )


def people(count: int) -> Tensor:
    """Return attributes of people who get gray with age, one half of them with a beard."""
    names, rng = vocabulary().names, torch.Generator().manual_seed(4)
    found = 0.3 * torch.randn(count, len(names), generator=rng)
    age = torch.rand(count, generator=rng)
    found[:, names.index("age")] = age
    found[:, names.index("grey")] = (age - 0.6).clamp_min(0)
    found[:, names.index("dyed")] = 0
    for key, values in CHOICES.items():
        columns = [names.index(f"{key}={value}") for value in values]
        found[:, columns] = 0
        kind = (torch.arange(count) % 2) * 3 if key == "beard" else torch.zeros(count, dtype=torch.long)
        found[torch.arange(count), torch.tensor(columns)[kind]] = 1
    return found


def test_every_number_is_distributed_as_in_the_population_and_depends_as_there() -> None:
    rng = torch.Generator().manual_seed(0)
    first = torch.rand(2000, generator=rng)
    samples = torch.stack([first, first.square() + 0.1 * torch.rand(2000, generator=rng), (first > 0.7).float()], 1)
    drawn = Copula.of_samples(samples, 3)(torch.randn(4000, 3, generator=rng))
    quantiles = torch.linspace(0.05, 0.95, 19)
    for k in (0, 1):
        assert (drawn[:, k].quantile(quantiles) - samples[:, k].quantile(quantiles)).abs().max() < 0.03
    assert set(drawn[:, 2].tolist()) == {0.0, 1.0}
    assert abs(float(drawn[:, 2].mean()) - 0.3) < 0.03
    assert torch.corrcoef(drawn.T)[0, 1] > 0.9
    independent = torch.rand(2000, 2, generator=rng)
    drawn = Copula.of_samples(independent, 2)(torch.randn(4000, 2, generator=rng))
    assert abs(float(torch.corrcoef(drawn.T)[0, 1])) < 0.06


def test_fewer_latents_than_numbers_keep_the_principal_ones() -> None:
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(3000, 2, generator=rng)
    samples = hidden @ torch.randn(2, 12, generator=rng)
    copula = Copula.of_samples(samples, 2)
    assert copula.latents == 2
    drawn = copula(torch.randn(3000, 2, generator=rng))
    assert (torch.corrcoef(drawn.T) - torch.corrcoef(samples.T)).abs().max() < 0.12


def test_drawn_people_have_one_kind_of_everything() -> None:
    words, data = vocabulary(), shots(people(600))
    copula = AttributeCopula(words, Population().sections(data, words), 128)
    assert copula.latents <= 128
    drawn = copula(torch.randn(1000, 128, generator=torch.Generator().manual_seed(1)))
    assert drawn.shape == (1000, words.size)
    for key, values in CHOICES.items():
        group = drawn[:, [words.names.index(f"{key}={value}") for value in values]]
        assert torch.equal(group.sum(dim=1), torch.ones(1000))
        assert set(group.unique().tolist()) <= {0.0, 1.0}
    full = drawn[:, words.names.index(f"beard={CHOICES['beard'][3]}")]
    assert abs(float(full.mean()) - 0.5) < 0.06
    age, gray = (drawn[:, words.names.index(name)] for name in ("age", "grey"))
    assert gray[age > 0.8].mean() > 0.15
    assert gray[age < 0.5].mean() < 0.05


def test_gray_hair_is_thinned_out_evenly_to_its_share() -> None:
    words, attributes = vocabulary(), people(600)
    attributes[:, words.names.index("grey")] = (torch.arange(600) % 3 == 0).float()
    data = shots(attributes)
    assert len(natural(data, words)) == 600
    some = natural(data, words, gray=0.2)
    gray = attributes[some, words.names.index("grey")]
    assert len(some) == 500
    assert float(gray.sum()) == 100
    assert len(natural(data, words, gray=0.0)) == 400
    assert float(gray[: len(gray) // 2].sum()) in (49, 50, 51)


def test_calm_faces_have_open_eyes_that_look_ahead() -> None:
    words, attributes = vocabulary(), people(5)
    attributes[:, slice(*words.sections["expression"])] = 0
    for shot, name in ((1, "eyeBlinkLeft"), (2, "gaze_x"), (4, "mouthFrownRight")):
        attributes[shot, words.names.index(name)] = 1.0
    attributes[3, words.names.index("mouthSmileLeft")] = 1.0
    assert calm_faces(shots(attributes), words).tolist() == [0, 3]


def test_mapping_network_gives_the_head_of_every_z() -> None:
    torch.manual_seed(0)
    sizes = {"trigrid_resolution": 16, "channel_base": 256, "channel_max": 16, "neural_rendering_resolution": 16}
    superresolution = SuperResolutionConfig(kind="2x", from_resolution=16, half_precision=False, channels=(8, 8))
    config = GeneratorConfig(z_dim=8, w_dim=16, conditioning_scale=0.0, superresolution=superresolution, **sizes)
    generator = Generator(config)
    rng = torch.Generator().manual_seed(1)
    directions, kinds = torch.randn(8, 16, generator=rng), 3 * torch.randn(2, 16, generator=rng)

    def teacher(z: Tensor) -> Tensor:
        return z @ directions + kinds[(z[:, 0] > 0.5).long()] + 2

    left = fit_mapping(generator, teacher, PriorConfig(steps=1000, batch=128, measured=2000))
    assert left < 0.15
    z = torch.randn(2000, 8, generator=rng)
    found = generator.mapping(z, torch.zeros(2000, 25))[:, 0]
    expected = teacher(z / z.square().mean(1, keepdim=True).sqrt())
    assert (found - expected).square().sum() < 0.17 * (expected - expected.mean(0)).square().sum()
    assert (generator.mapping_network.w_avg - expected.mean(0)).norm() < 0.15 * expected.std(0).norm()
