"""Attributes of a head of which only w is known: the most probable ones whose w, by the encoder, is nearest to it.

The encoder is a small network, so its derivative is exact and cheap, and a few steps of Gauss-Newton find the maximum
of a normal prior over attributes (from randomly drawn people) times a normal likelihood of w.
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import block_diag
from torch import Tensor

from panohead.attributes.encoder import AttributeEncoder
from panohead.attributes.vocabulary import Vocabulary, light_numbers

_PEOPLE, _LIGHTS, _SEED = 600, 150, 4243
_STEPS = 12
_MIN_STEP = 0.01
"""Length of a step, in the scale of the vocabulary, below which the search ends."""
_MIN_VARIANCE = 1e-3
"""Variance of numbers that hardly differ between people (rare expressions)."""
_W_ERROR = 0.1
"""Deviation of a head's w from the encoder's, as a share of the deviation of people's w."""
_RESIDUAL_VARIANCE = 0.25
"""Variance of the numbers of a residual code."""


@torch.no_grad()
def nearest_attributes(
    encoder: AttributeEncoder, w: Float[Tensor, " w_dim"]
) -> tuple[Float[np.ndarray, " attribute"], Float[np.ndarray, " residual"]]:
    """Return attribute vector and residual code of the head of a w; about 0.1 s, and 1 s at the first call."""
    mean, covariance = prior(encoder.vocabulary)
    size, width = len(mean), encoder.config.residual
    center = torch.cat([torch.from_numpy(mean), torch.zeros(width, dtype=torch.float64)])
    precision = torch.zeros(size + width, size + width, dtype=torch.float64)
    precision[:size, :size] = torch.from_numpy(np.linalg.inv(covariance))
    precision[size:, size:] = torch.eye(width, dtype=torch.float64) / _RESIDUAL_VARIANCE
    layers = [
        (layer.weight.cpu().double(), layer.bias.cpu().double())
        for layer in encoder.layers
        if isinstance(layer, torch.nn.Linear)
    ]
    target = w.detach().cpu().double()
    x = center.clone()
    spread: Tensor | None = None
    for _ in range(_STEPS):
        value, jacobian = _encode(layers, encoder.W_SCALE, x)
        if spread is None:
            # Deviation of w over people, to first order: the scale on which a deviation of w is small.
            rows = jacobian[:, :size]
            spread = ((rows @ torch.from_numpy(covariance)) * rows).sum(1).mean().sqrt().clamp_min(1e-6) * _W_ERROR
        weight = spread.square().reciprocal()
        gradient = jacobian.T @ (value - target) * weight + precision @ (x - center)
        step = torch.linalg.solve(jacobian.T @ jacobian * weight + precision, gradient)
        moved = _line_search(layers, encoder.W_SCALE, x, step, target, weight, precision, center)
        if float((moved - x).norm()) < _MIN_STEP:
            break
        x = moved
    found = x.numpy()
    return found[:size].astype(np.float32), found[size:].astype(np.float32)


def _line_search(
    layers: list[tuple[Tensor, Tensor]],
    scale: float,
    x: Tensor,
    step: Tensor,
    target: Tensor,
    weight: Tensor,
    precision: Tensor,
    center: Tensor,
) -> Tensor:
    """Return the best of some points along a step; the start itself when none is better."""

    def cost(point: Tensor) -> float:
        error = _encoded(layers, scale, point) - target
        away = point - center
        return float(error.square().sum() * weight + away @ precision @ away)

    points = [x, *(x - share * step for share in (1.0, 0.5, 0.25, 0.06))]
    return min(points, key=cost)


def _encode(layers: list[tuple[Tensor, Tensor]], scale: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the encoder's output and its Jacobian at one point."""
    jacobian = torch.eye(len(x), dtype=x.dtype)
    for weight, bias in layers[:-1]:
        x, jacobian = weight @ x + bias, weight @ jacobian
        slope = torch.where(x > 0, 1.0, 0.2)
        x, jacobian = x * slope, jacobian * slope[:, None]
    weight, bias = layers[-1]
    return scale * (weight @ x + bias), scale * (weight @ jacobian)


def _encoded(layers: list[tuple[Tensor, Tensor]], scale: float, x: Tensor) -> Tensor:
    """Return the encoder's output at one point."""
    for weight, bias in layers[:-1]:
        x = torch.nn.functional.leaky_relu(weight @ x + bias, 0.2)
    weight, bias = layers[-1]
    return scale * (weight @ x + bias)


def prior(vocabulary: Vocabulary) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, "a a"]]:
    """Return mean and covariance of the attribute vectors of random people."""
    return _prior_of(vocabulary.expressions, len(vocabulary.shape_components))


@lru_cache(maxsize=4)
def _prior_of(
    expressions: tuple[str, ...], components: int
) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, "a a"]]:
    """Return mean and covariance of people's attribute vectors; shape is white by the construction of its basis."""
    from panohead.synthetic.people import sample_person, stream
    from panohead.synthetic.renderer.lighting import sample_lighting

    vocabulary = Vocabulary(expressions, np.zeros(0), np.zeros((0, 0)))
    people, lights = [], []
    for index in range(_PEOPLE):
        person = sample_person(_SEED, index).to_json()
        dark = np.zeros(vocabulary.sections["light"][1] - vocabulary.sections["light"][0])
        people.append(
            vocabulary.vector(person, np.zeros(0), dark, expression=person["expression"], gaze=person["gaze"])
        )
        if index < _LIGHTS:
            lights.append(light_numbers(sample_lighting(stream(_SEED, index, "light")).to_json()))
    numbers = np.stack(people).astype(np.float64)
    means, blocks = [], []
    for name, (start, end) in vocabulary.sections.items():
        # The sections are drawn independently of each other.
        drawn = np.stack(lights).astype(np.float64) if name == "light" else numbers[:, start:end]
        is_shape = name == "shape"
        means.append(np.zeros(components) if is_shape else drawn.mean(axis=0))
        spread = np.eye(components) if is_shape else np.cov(drawn.T) + _MIN_VARIANCE * np.eye(end - start)
        blocks.append(spread)
    return np.concatenate(means), block_diag(*blocks)
