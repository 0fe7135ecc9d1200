"""Small functions of position for colors and hair directions: steps, blobs, band-limited noise."""

import numpy as np
from jaxtyping import Float


def smoothstep(start: float, end: float, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return 0 at ``start``, 1 at ``end`` (which may be the smaller), and the cubic 3t^2 - 2t^3 between."""
    t = np.clip((x - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def normalized(vectors: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Return unit vectors; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def blob(
    points: Float[np.ndarray, "point 3"], center: tuple[float, float, float], size: tuple[float, float, float]
) -> Float[np.ndarray, "point"]:
    """Return a Gaussian bump of height 1 and half-widths ``size``, mirrored in x to act on both halves of the face."""
    offset = np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], 1) - np.asarray(center)
    return np.exp(-((offset / np.asarray(size)) ** 2).sum(1))


class CosineNoise:
    """Zero-mean, unit-variance smooth noise: a sum of cosines of random direction, frequency and phase."""

    def __init__(self, rng: np.random.Generator, frequency: float, terms: int = 24, dimensions: int = 3) -> None:
        waves = rng.normal(size=(terms, dimensions))
        length = frequency * rng.uniform(0.5, 1.6, (terms, 1))
        self.waves = waves * (length / np.linalg.norm(waves, axis=1, keepdims=True))
        self.phases = rng.uniform(0, 2 * np.pi, terms)
        self.amplitude = float(np.sqrt(2 / terms))

    def __call__(self, points: Float[np.ndarray, "point dimension"]) -> Float[np.ndarray, "point"]:
        total = np.zeros(len(points), np.float32)
        single = points.astype(np.float32)
        for wave, phase in zip(self.waves.astype(np.float32), self.phases.astype(np.float32), strict=True):
            total += np.cos(single @ wave + phase)
        return (self.amplitude * total).astype(np.float64)
