"""Coordinates in which heads are searched: whitened w, or attributes of people with small offsets in w.

A start is a vector of such coordinates, the same w for all rows; the search then moves rows apart where it must.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.attributes import AttributeEncoder
from panohead.attributes.estimate import nearest_attributes, prior
from panohead.inversion.fast_config import FastConfig
from panohead.inversion.optimization.loop import ParameterGroup
from panohead.inversion.w_space import Whitening

_MIN_VARIANCE = 1e-6
_RESIDUAL_DEVIATION = 0.5
"""Deviation of the numbers of a residual code, as for the attributes of a known w."""
_SLOWER = 0.5  # learning rate of offsets and residual code against that of attributes


@runtime_checkable
class SearchSpace(Protocol):
    """Coordinates of heads. The state that is searched is set by :meth:`begin` and changed in place."""

    @property
    def mean(self) -> Float[Tensor, " number"]:
        """Start at the mean head: zeros."""
        ...

    def random(self, generator: torch.Generator) -> Float[Tensor, " number"]:
        """Return a random start whose deviation is that of people."""
        ...

    def from_w(self, w: Float[Tensor, " w_dim"]) -> Float[Tensor, " number"]:
        """Return the start of a w."""
        ...

    def w_at(self, start: Float[Tensor, " number"]) -> Float[Tensor, " w_dim"]:
        """Return the w of a start."""
        ...

    def begin(self, start: Float[Tensor, " number"], rows: int) -> list[ParameterGroup]:
        """Put the search at a start, and return what it changes."""
        ...

    def ws(self) -> Float[Tensor, "1 num_ws w_dim"]:
        """Return the ws of the search as it stands, differentiable."""
        ...

    def priors(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the weighted prior, and the mean squared distance to the mean head in whitened coordinates."""
        ...


class WhitenedSearch:
    """Search in whitened w, where people differ by about one in every direction.

    Args:
        whitening: the coordinates.
        config: learning rate and weights of the priors.
    """

    def __init__(self, whitening: Whitening, config: FastConfig) -> None:
        self._whitening, self._config = whitening, config
        self._v = self.mean[None, None]  # 1 num_ws axis

    @property
    def mean(self) -> Tensor:
        """Zeros."""
        return torch.zeros_like(self._whitening.deviation)

    def random(self, generator: torch.Generator) -> Tensor:
        """Return standard normal numbers."""
        return torch.randn(self.mean.shape, device=self.mean.device, generator=generator)

    def from_w(self, w: Tensor) -> Tensor:
        """Return whitened coordinates."""
        return self._whitening.from_w(w.to(self._whitening.mean))

    def w_at(self, start: Tensor) -> Tensor:
        """Return w."""
        return self._whitening.to_w(start)

    def begin(self, start: Tensor, rows: int) -> list[ParameterGroup]:
        """Begin with equal rows."""
        self._v = start.expand(1, rows, -1).clone().requires_grad_(True)
        return [ParameterGroup([self._v], self._config.learning_rate)]

    def ws(self) -> Tensor:
        """Return the ws."""
        return self._whitening.to_w(self._v)

    def priors(self) -> tuple[Tensor, Tensor]:
        """Return priors of w and of its rows: in whitened coordinates w is standard normal, so the mean square is its
        negative log density, up to a factor."""
        v = self._v
        distance, spread = v.square().mean(), (v - v.mean(dim=1, keepdim=True)).square().mean()
        return self._config.prior_weight * distance + self._config.row_weight * spread, distance


@torch.no_grad()
def people_whitening(encoder: AttributeEncoder, *, samples: int, seed: int) -> Whitening:
    """Return coordinates in which the w of random people, in all lights and with all expressions, are white.

    A mapping network may give a choice of these only, and a photo is seldom in the light that was chosen.
    """
    mean, covariance = (torch.from_numpy(x).float() for x in prior(encoder.vocabulary))
    rng = torch.Generator().manual_seed(seed)
    device = encoder.shape_mean.device
    variance, directions = torch.linalg.eigh(covariance)
    numbers = torch.randn(samples, len(mean), generator=rng) * variance.clamp_min(0).sqrt()
    residual = _RESIDUAL_DEVIATION * torch.randn(samples, encoder.config.residual, generator=rng)
    w = encoder((mean + numbers @ directions.T).to(device), residual.to(device))
    return Whitening.of_samples(w, w.mean(dim=0))


class AttributeSearch:
    """Search among people: attributes in coordinates where they are standard normal, and offsets in whitened w.

    Attributes move all sides of a head together as they do in people: the hair behind has the color and length of the
    hair in front, and the light comes from somewhere. Offsets reach what no attribute tells, at a higher price.

    Args:
        encoder: attribute encoder of the generator, frozen.
        whitening: coordinates of the offsets.
        config: learning rate and weights of the priors.
    """

    def __init__(self, encoder: AttributeEncoder, whitening: Whitening, config: FastConfig) -> None:
        self._encoder, self._whitening, self._config = encoder, whitening, config
        mean, covariance = prior(encoder.vocabulary)
        self._attribute_mean = torch.from_numpy(mean).to(whitening.mean)
        variance, directions = torch.linalg.eigh(torch.from_numpy(covariance))
        deviation = variance.clamp_min(_MIN_VARIANCE).sqrt()
        self._scaled = (directions * deviation).to(whitening.mean)  # attribute component
        self._inverse = (directions / deviation).T.to(whitening.mean)  # component attribute
        self._sizes = [len(mean), encoder.config.residual, len(whitening.deviation)]
        self._parts = [part[None] for part in self.mean.split(self._sizes)]

    @property
    def mean(self) -> Tensor:
        """Zeros: the mean attributes, no residual code, no offset."""
        return self._whitening.mean.new_zeros(sum(self._sizes))

    def random(self, generator: torch.Generator) -> Tensor:
        """Return random attributes."""
        start = self.mean
        start[: self._sizes[0]] = torch.randn(self._sizes[0], device=start.device, generator=generator)
        return start

    def from_w(self, w: Tensor) -> Tensor:
        """Return the most probable attributes, and the offset that is left."""
        w = w.to(self._whitening.mean)
        found = [torch.from_numpy(x).to(w) for x in nearest_attributes(self._encoder, w)]
        u, residual = self._inverse @ (found[0] - self._attribute_mean), found[1] / _RESIDUAL_DEVIATION
        rest = w - self._encoded(u, residual)
        return torch.cat([u, residual, rest @ self._whitening.directions.T / self._whitening.deviation])

    def w_at(self, start: Tensor) -> Tensor:
        """Return w."""
        u, residual, offset = start.split(self._sizes)
        return self._encoded(u, residual) + self._offset(offset)

    def begin(self, start: Tensor, rows: int) -> list[ParameterGroup]:
        """Begin with equal rows."""
        u, residual, offset = start.split(self._sizes)
        parts = [u[None], residual[None], offset.expand(1, rows, -1)]
        self._parts = [part.clone().requires_grad_(True) for part in parts]
        rate = self._config.learning_rate
        return [ParameterGroup(self._parts[:1], rate), ParameterGroup(self._parts[1:], _SLOWER * rate)]

    def ws(self) -> Tensor:
        """Return the ws."""
        u, residual, offset = self._parts
        return self._encoded(u[0], residual[0]) + self._offset(offset)

    def priors(self) -> tuple[Tensor, Tensor]:
        """Return priors of attributes, residual code and offsets."""
        u, residual, offset = self._parts
        distance = u.square().mean()
        people = self._config.prior_weight * (distance + residual.square().mean())
        return people + self._config.offset_weight * offset.square().mean(), distance

    def _encoded(self, u: Tensor, residual: Tensor) -> Tensor:
        attributes = self._attribute_mean + self._scaled @ u
        encoded: Tensor = self._encoder(attributes[None], _RESIDUAL_DEVIATION * residual[None])[0]
        return encoded

    def _offset(self, offset: Tensor) -> Tensor:
        return (offset * self._whitening.deviation) @ self._whitening.directions
