"""Latent codes of a population: people who were never rendered, for the match of the mapping network.

Attributes are independent of each other where the dataset draws them independently: who somebody is (identity and
shape together: shape follows age and ancestry), the light, the expression, and what no attribute tells (the residual
code). So ``n`` people under ``m`` lights give n x m pairs and more.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.attributes import Vocabulary
from panohead.training.attribute_fit.fit import HeadModel
from panohead.training.attribute_fit.shots import Shots

_BATCH = 4096


@torch.no_grad()
def population_ws(
    model: HeadModel, data: Shots, vocabulary: Vocabulary, count: int, *, seed: int
) -> Float[Tensor, "count w_dim"]:
    """Return w of ``count`` recombinations of the attributes of a dataset's shots."""
    rng = torch.Generator().manual_seed(seed)

    def draw(limit: int) -> Tensor:
        return torch.randint(limit, (count,), generator=rng)

    attributes = data.attributes[draw(data.count)]  # identity and shape of one shot's person
    for section in ("light", "expression"):
        columns = slice(*vocabulary.sections[section])
        attributes[:, columns] = data.attributes[draw(data.count), columns]
    person = data.person[draw(data.count)]  # whose residual code
    return torch.cat(
        [model.ws(a, p)[:, 0] for a, p in zip(attributes.split(_BATCH), person.split(_BATCH), strict=True)]
    )
