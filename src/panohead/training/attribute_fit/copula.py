"""Attributes of people as a function of z ~ N(0, 1): what a mapping network is taught after a fit.

A Gaussian copula: every attribute is a monotone function of one normal number, so that its distribution is exactly the
population's, kinds included (nobody has half a beard), and the correlations of these numbers are the population's (gray
hair comes with age). Sections that are independent of each other (:mod:`population`) have their own part of z.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.attributes import Vocabulary
from panohead.attributes.vocabulary import CHOICES, LIGHT_DIRECTIONS


@dataclass(frozen=True)
class Copula:
    """Joint distribution of several numbers.

    Attributes:
        quantiles: sorted samples of every number.
        loadings: what the normal number of each is made of, rows of length 1.
    """

    quantiles: Float[Tensor, "number sample"]
    loadings: Float[Tensor, "number latent"]

    @classmethod
    def of_samples(cls, samples: Float[Tensor, "sample number"], latents: int, *, seed: int = 0) -> "Copula":
        """Return the copula of samples.

        Args:
            latents: normal numbers that all depend on: the principal ones, if there are fewer than numbers.
            seed: seed of the order of equal samples.
        """
        count = len(samples)
        rng = torch.Generator().manual_seed(seed)
        # Equal samples take their ranks in random order, of every number apart.
        shuffled = torch.argsort(torch.rand(samples.shape, generator=rng), dim=0)
        order = samples.gather(0, shuffled).argsort(dim=0, stable=True)
        ranks = torch.empty_like(samples).scatter_(
            0, shuffled.gather(0, order), torch.arange(count).float()[:, None].expand_as(samples)
        )
        scores = torch.special.ndtri((ranks + 0.5) / count).double()  # sample number
        values, vectors = torch.linalg.eigh(scores.T @ scores / count)
        kept = slice(-min(latents, len(values)), None)
        loadings = vectors[:, kept] * values[kept].clamp_min(0).sqrt()
        loadings = loadings / loadings.norm(dim=1, keepdim=True).clamp_min(1e-6)
        return cls(samples.sort(dim=0).values.T.contiguous(), loadings.float())

    @property
    def latents(self) -> int:
        """Number of normal numbers that all depend on."""
        return self.loadings.shape[1]

    def __call__(self, z: Float[Tensor, "head latent"]) -> Float[Tensor, "head number"]:
        """Return the numbers of normal ``z``: samples of the population, number by number."""
        share = torch.special.ndtr(z @ self.loadings.T)  # head number, uniform
        count = self.quantiles.shape[1]
        return self.quantiles.gather(1, (share * count).long().clamp(0, count - 1).T).T


class AttributeCopula:
    """Attribute vectors as a function of z.

    Args:
        sections: attributes that may be drawn of each independent section, in the order of the vector and the person
            first; see :meth:`panohead.training.attribute_fit.population.Population.sections`.
        z_dim: numbers of z. All that a person has take what they need; light and expression share the rest.
    """

    def __init__(self, vocabulary: Vocabulary, sections: Mapping[str, Float[Tensor, "_ _"]], z_dim: int) -> None:
        first = vocabulary.names.index(next(f"{key}={values[0]}" for key, values in CHOICES.items()))
        self.kinds = slice(first, first + sum(len(values) for values in CHOICES.values()))
        person, *others = sections.values()
        person = self._with_indices(person)
        widths = [min(person.shape[1], z_dim - 2 * len(others))]
        left = z_dim - widths[0]
        # Light has few degrees of freedom: twelve directions hardly differ.
        widths += [min(others[0].shape[1], LIGHT_DIRECTIONS, left // 2)]
        widths += [left - widths[1]]
        self.copulas = [
            Copula.of_samples(samples, width) for samples, width in zip((person, *others), widths, strict=True)
        ]

    @property
    def latents(self) -> int:
        """Least width of z."""
        return sum(copula.latents for copula in self.copulas)

    def __call__(self, z: Float[Tensor, "head z_dim"]) -> Float[Tensor, "head attribute"]:
        """Return the attributes of heads; what z has more than :attr:`latents` numbers does nothing."""
        ends = accumulate((copula.latents for copula in self.copulas), initial=0)
        first, *others = (
            copula(z[:, start:end]) for copula, (start, end) in zip(self.copulas, pairwise(ends), strict=True)
        )
        return torch.cat([self._with_one_hot(first), *others], dim=1)

    def _with_indices(self, attributes: Tensor) -> Tensor:
        """Put one number, the index of the kind, in the place of each one-hot group."""
        groups = attributes[:, self.kinds].split([len(values) for values in CHOICES.values()], dim=1)
        indices = [group.argmax(dim=1, keepdim=True).float() for group in groups]
        return torch.cat([attributes[:, : self.kinds.start], *indices, attributes[:, self.kinds.stop :]], dim=1)

    def _with_one_hot(self, numbers: Tensor) -> Tensor:
        start = self.kinds.start
        one_hot = [
            torch.nn.functional.one_hot(numbers[:, start + k].long(), len(values)).float()
            for k, values in enumerate(CHOICES.values())
        ]
        return torch.cat([numbers[:, :start], *one_hot, numbers[:, start + len(CHOICES) :]], dim=1)
