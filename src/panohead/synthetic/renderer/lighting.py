"""Light and background of one view. All linear RGB."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from panohead.synthetic.fields import normalized


@dataclass(frozen=True)
class Lighting:
    """Sky gradient and one to three soft lights; ``exposure`` multiplies the head only."""

    above: tuple[float, float, float]
    below: tuple[float, float, float]
    directions: Float[np.ndarray, "light 3"]
    widths: Float[np.ndarray, "light"]
    colors: Float[np.ndarray, "light 3"]
    exposure: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values, rounded to four digits."""

        def rounded(values: Any) -> Any:
            return np.round(np.asarray(values), 4).tolist()

        lights = zip(self.directions, self.widths, self.colors, strict=True)
        return {
            "above": rounded(self.above),
            "below": rounded(self.below),
            "lights": [{"direction": rounded(d), "width": rounded(w), "colour": rounded(c)} for d, w, c in lights],
            "exposure": rounded(self.exposure),
        }

    def radiance(self, directions: Float[np.ndarray, "sample 3"]) -> Float[np.ndarray, "sample 3"]:
        """Return the light arriving from each unit direction."""
        up = (directions[:, 1:2] * 0.5 + 0.5).clip(0, 1)
        total = up * np.array(self.above) + (1 - up) * np.array(self.below)
        for axis, width, color in zip(self.directions, self.widths, self.colors, strict=True):
            total = total + np.exp((directions @ axis - 1) / (width**2 / 2))[:, None] * color
        return total


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """Sample a room or a sky; the mean irradiance lies between .38 and .62."""
    ambient, tint = rng.uniform(0.10, 0.36), 1 + rng.normal(size=3) * 0.06
    above = ambient * np.array([0.95, 1.0, 1.1]) * tint
    below = ambient * np.array([0.5, 0.45, 0.4]) * rng.uniform(0.3, 1)
    directions, widths, colors = [], [], []
    for _ in range(rng.integers(1, 4)):
        turn, height = rng.uniform(0, 2 * np.pi), rng.uniform(-0.1, 1.2)
        width, warm = rng.uniform(0.1, 0.5), rng.normal() * 0.10
        directions.append([np.cos(height) * np.cos(turn), np.sin(height), np.cos(height) * np.sin(turn)])
        widths.append(width)
        colors.append(rng.uniform(0.6, 2.2) / width**1.3 * 0.55 * np.array([1 + warm, 1, 1 - warm]))
    raw = Lighting((0, 0, 0), (0, 0, 0), np.array(directions), np.array(widths), np.array(colors), 1.0)
    probe = fibonacci_sphere(2048)
    up = probe[:, 1:2] * 0.5 + 0.5
    mean = float((raw.radiance(probe) + up * above + (1 - up) * below).mean())
    scale = rng.uniform(0.38, 0.62) / mean
    return Lighting(
        _rgb(above * scale),
        _rgb(below * scale),
        raw.directions,
        raw.widths,
        raw.colors * scale,
        float(rng.uniform(0.95, 1.4)),
    )


def fibonacci_sphere(count: int) -> Float[np.ndarray, "count 3"]:
    """Return ``count`` unit vectors spread evenly over the sphere."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    ring, turn = np.sqrt(1 - y * y), np.pi * (1 + 5**0.5) * i
    return normalized(np.stack([ring * np.cos(turn), y, ring * np.sin(turn)], 1))


def sample_background(rng: np.random.Generator, resolution: int) -> Float[np.ndarray, "height width 3"]:
    """Sample a gradient, a vignette, or an out-of-focus room with or without lights."""
    kind = rng.integers(4)
    y, x = np.mgrid[0:resolution, 0:resolution] / resolution
    first, second, third = (rng.uniform(0.05, 0.8) * np.clip(1 + 0.25 * rng.normal(size=3), 0.3, 1.6) for _ in range(3))
    if kind == 0:
        angle = rng.uniform(0, 2 * np.pi)
        t = np.clip((x * np.cos(angle) + y * np.sin(angle)) * 0.7 + 0.4, 0, 1)[..., None]
        return np.clip(first * (1 - t) + second * t, 0.005, 1)
    if kind == 1:
        away = np.hypot(x - 0.5, y - 0.4)[..., None]
        return np.clip(first * np.exp(-(away**2) * rng.uniform(1, 4)) + second * 0.3, 0.005, 1)
    image = np.zeros((resolution, resolution, 3)) + first * 0.6
    for cells in (3, 5, 9, 16):
        coarse = Image.fromarray((rng.random((cells, cells, 3)) * 255).astype(np.uint8))
        fine = np.asarray(coarse.resize((resolution, resolution), Image.Resampling.BICUBIC)) / 255.0
        fine = fine.mean(-1, keepdims=True) * 0.75 + fine * 0.25
        image = image + (fine - 0.5) * (second + third) * (3 / cells) * rng.uniform(0.2, 1.0)
    if kind == 3:
        for _ in range(rng.integers(3, 14)):
            away = np.hypot(x - rng.random(), y - rng.random()) - rng.uniform(0.02, 0.12)
            image = image + np.clip(-away / 0.015, 0, 1)[..., None] * rng.uniform(0.05, 0.5, 3)
    return np.clip(image, 0.005, 1)


def _rgb(values: Float[np.ndarray, "3"]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
