"""Latent codes of a population: people who were never rendered, whom the mapping network is to give.

Attributes are independent of each other where the dataset draws them independently: who somebody is (identity and
shape together: shape follows age and ancestry), the light, the expression, and what no attribute tells (the residual
code). So ``n`` people under ``m`` lights give n x m pairs and more.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from panohead.attributes import Vocabulary
from panohead.attributes.vocabulary import EXPRESSION_SCALE, GAZE_SCALE, LIGHT_DIRECTIONS
from panohead.synthetic.renderer.lighting import fibonacci_sphere
from panohead.training.attribute_fit.fit import HeadModel
from panohead.training.attribute_fit.shots import Shots

_BATCH = 4096

_COLORED = 2.0
"""Brightness, in natural logarithms, that makes up for a cast of the same size."""


_FACING = np.array([0.0, -0.3, 1.0]) / math.hypot(0.3, 1.0)
"""Direction of the surfaces of a face that count: the front, and a little down, where light from above leaves eyes in
the shadow of the brows."""

_GRAYING = 0.3
"""Share of gray in hair from which it looks gray."""

_CALM = {
    "eyeBlinkLeft": 0.1, "eyeBlinkRight": 0.1, "eyeSquintLeft": 0.25, "eyeSquintRight": 0.25, "gaze_x": 0.15,
    "gaze_y": 0.12, "jawOpen": 0.2, "tongueOut": 0.05, "mouthPucker": 0.2, "mouthFunnel": 0.2, "browDownLeft": 0.2,
    "browDownRight": 0.2, "mouthFrownLeft": 0.15, "mouthFrownRight": 0.15,
}  # fmt: skip
"""Largest ARKit weights, and gaze (radians), of a calm face."""


def well_lit(data: Shots, vocabulary: Vocabulary, share: float) -> Int[Tensor, " shot"]:
    """Return the ``share`` of the shots whose face is lit the brightest and the least colored, at least one.

    In half of a dataset's lights a face is dark or tinted: right for learning what light does, dull to look at.
    """
    light = data.attributes[:, slice(*vocabulary.sections["light"])].unflatten(1, (-1, 3))  # log irradiance, r g b
    facing = torch.from_numpy(fibonacci_sphere(LIGHT_DIRECTIONS) @ _FACING).float().clamp_min(0).square()
    mean = torch.einsum("sdc,d->sc", light, facing / facing.sum())  # shot 3
    score = mean.mean(dim=1) - _COLORED * (mean.amax(dim=1) - mean.amin(dim=1))
    return score.argsort(descending=True)[: max(1, round(share * data.count))]


def spread_well_lit(data: Shots, vocabulary: Vocabulary, share: float, count: int) -> Int[Tensor, " shot"]:
    """Return up to ``count`` of the :func:`well_lit` shots, evenly spread over the dataset."""
    lit = well_lit(data, vocabulary, share).sort().values
    return lit[torch.linspace(0, len(lit) - 1, min(count, len(lit))).long()]


def natural(data: Shots, vocabulary: Vocabulary, *, gray: float = 1.0) -> Int[Tensor, " shot"]:
    """Return the shots of people whose hair shows and is not dyed, and who wear no glasses.

    Truncation moves heads toward the mean of all: with these in it, everybody's hair tends to gray, hats are shadows,
    and what is left of glasses hangs in the air.

    Args:
        gray: maximum share of people with gray or graying hair. Datasets have all ages alike, and so a third of these;
            too many are left out evenly.
    """
    column = {name: number for number, name in enumerate(vocabulary.names)}
    plain = data.attributes[:, column["dyed"]] == 0
    plain &= data.attributes[:, column["headwear=none"]] == 1
    plain &= data.attributes[:, column["glasses=none"]] == 1
    graying = plain & (data.attributes[:, column["grey"]] > _GRAYING)
    colored = plain & ~graying
    old = graying.nonzero()[:, 0]
    kept = len(old)
    if gray < 1:
        kept = min(kept, round(gray / (1 - gray) * int(colored.sum())))
    some = old[torch.linspace(0, len(old) - 1, kept).long()] if kept else old[:0]
    return torch.cat([colored.nonzero()[:, 0], some]).sort().values


def calm_faces(data: Shots, vocabulary: Vocabulary) -> Int[Tensor, " shot"]:
    """Return the shots whose eyes are open and look ahead, whose mouth is nearly closed, and who do not frown.

    With all expressions, the mean head has eyes that are half closed, and so have all heads near it.
    """
    columns = {name: number for number, name in enumerate(vocabulary.names)}
    fits = torch.ones(data.count, dtype=torch.bool)
    for name, limit in _CALM.items():
        scale = GAZE_SCALE if name.startswith("gaze") else EXPRESSION_SCALE
        fits &= (data.attributes[:, columns[name]] / scale).abs() <= limit
    return fits.nonzero()[:, 0]


@dataclass(frozen=True)
class Population:
    """Who may be drawn.

    Attributes:
        people: the shots whose person may be drawn; None for all.
        lights: the shots whose light may be drawn; None for all.
        expressions: the shots whose expression may be drawn; None for all.
        exposure: factor of all lights, above 0.
    """

    people: Int[Tensor, " shot"] | None = None
    lights: Int[Tensor, " shot"] | None = None
    expressions: Int[Tensor, " shot"] | None = None
    exposure: float = 1.0

    def sections(self, data: Shots, vocabulary: Vocabulary) -> dict[str, Float[Tensor, "shot attribute"]]:
        """Return the attributes that may be drawn of each independent section: person, light, expression."""
        ends = {name: end for name, (_, end) in vocabulary.sections.items()}
        columns = {
            "person": slice(0, ends["shape"]),  # identity and shape
            "light": slice(ends["shape"], ends["light"]),
            "expression": slice(ends["light"], ends["expression"]),
        }
        chosen = {"person": self.people, "light": self.lights, "expression": self.expressions}
        found = {}
        for name, shots in chosen.items():
            attributes = data.attributes if shots is None else data.attributes[shots]
            found[name] = attributes[:, columns[name]]
        # Lights are logarithms of irradiance.
        found["light"] = found["light"] + math.log(self.exposure)
        return found


@torch.no_grad()
def population_ws(
    model: HeadModel,
    data: Shots,
    vocabulary: Vocabulary,
    count: int,
    *,
    seed: int,
    population: Population | None = None,
) -> Float[Tensor, "count w_dim"]:
    """Return w of ``count`` recombinations of the attributes of a dataset's shots.

    Args:
        population: who may be drawn; None for everybody in all lights and expressions.
    """
    population = Population() if population is None else population
    rng = torch.Generator().manual_seed(seed)

    def draw(limit: int) -> Tensor:
        return torch.randint(limit, (count,), generator=rng)

    drawn = [section[draw(len(section))] for section in population.sections(data, vocabulary).values()]
    attributes, person = torch.cat(drawn, dim=1), data.person[draw(data.count)]  # whose residual code
    return torch.cat(
        [model.ws(a, p)[:, 0] for a, p in zip(attributes.split(_BATCH), person.split(_BATCH), strict=True)]
    )
