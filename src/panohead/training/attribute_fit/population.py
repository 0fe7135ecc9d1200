"""Latent codes of a population: people who were never rendered, for the match of the mapping network.

Attributes are independent of each other where the dataset draws them independently: who somebody is (identity and
shape together: shape follows age and ancestry), the light, the expression, and what no attribute tells (the residual
code). So ``n`` people under ``m`` lights give n x m pairs and more.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from panohead.attributes import Vocabulary
from panohead.attributes.vocabulary import LIGHT_DIRECTIONS
from panohead.synthetic.renderer.lighting import fibonacci_sphere
from panohead.training.attribute_fit.fit import HeadModel
from panohead.training.attribute_fit.shots import Shots

_BATCH = 4096

_COLORED = 2.0
"""Brightness, in natural logarithms, that makes up for a cast of the same size."""


def well_lit(data: Shots, vocabulary: Vocabulary, share: float) -> Int[Tensor, " shot"]:
    """Return the ``share`` of the shots whose face is lit the brightest and the least colored, at least one.

    In half of a dataset's lights a face is dark or tinted: right for learning what light does, dull to look at.
    """
    light = data.attributes[:, slice(*vocabulary.sections["light"])].unflatten(1, (-1, 3))  # log irradiance, r g b
    # A face is seen where surfaces face the front (+z): weights from 0 behind to 1 in front.
    facing = torch.from_numpy(fibonacci_sphere(LIGHT_DIRECTIONS)[:, 2]).float().add(1) / 2
    mean = torch.einsum("sdc,d->sc", light, facing / facing.sum())  # shot 3
    score = mean.mean(dim=1) - _COLORED * (mean.amax(dim=1) - mean.amin(dim=1))
    return score.argsort(descending=True)[: max(1, round(share * data.count))]


def spread_well_lit(data: Shots, vocabulary: Vocabulary, share: float, count: int) -> Int[Tensor, " shot"]:
    """Return up to ``count`` of the :func:`well_lit` shots, evenly spread over the dataset."""
    lit = well_lit(data, vocabulary, share).sort().values
    return lit[torch.linspace(0, len(lit) - 1, min(count, len(lit))).long()]


def natural(data: Shots, vocabulary: Vocabulary) -> Int[Tensor, " shot"]:
    """Return the shots of people whose hair shows and is not dyed, and who wear no sunglasses.

    Truncation moves heads toward the mean of all: with these in it, everybody's hair tends to gray, and hats and dark
    glasses are shadows.
    """
    column = {name: number for number, name in enumerate(vocabulary.names)}
    plain = data.attributes[:, column["dyed"]] == 0
    plain &= data.attributes[:, column["headwear=none"]] == 1
    plain &= data.attributes[:, column["glasses=sunglasses"]] == 0
    return plain.nonzero()[:, 0]


@torch.no_grad()
def population_ws(
    model: HeadModel,
    data: Shots,
    vocabulary: Vocabulary,
    count: int,
    *,
    seed: int,
    people: Int[Tensor, " shot"] | None = None,
    lights: Int[Tensor, " shot"] | None = None,
    exposure: float = 1.0,
) -> Float[Tensor, "count w_dim"]:
    """Return w of ``count`` recombinations of the attributes of a dataset's shots.

    Args:
        people: the shots whose person may be drawn; None for all.
        lights: the shots whose light may be drawn; None for all.
        exposure: factor of all lights, above 0.
    """
    people = torch.arange(data.count) if people is None else people
    lights = torch.arange(data.count) if lights is None else lights
    rng = torch.Generator().manual_seed(seed)

    def draw(limit: int) -> Tensor:
        return torch.randint(limit, (count,), generator=rng)

    attributes = data.attributes[people[draw(len(people))]]  # identity and shape of one shot's person
    for section, shots in (("light", lights[draw(len(lights))]), ("expression", draw(data.count))):
        columns = slice(*vocabulary.sections[section])
        attributes[:, columns] = data.attributes[shots, columns]
    # Lights are logarithms of irradiance.
    attributes[:, slice(*vocabulary.sections["light"])] += math.log(exposure)
    person = data.person[draw(data.count)]  # whose residual code
    return torch.cat(
        [model.ws(a, p)[:, 0] for a, p in zip(attributes.split(_BATCH), person.split(_BATCH), strict=True)]
    )
