"""All random numbers of one rendering, as one value that travels from the call down to the layers and the rays."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

NoiseMode = Literal["random", "const", "none"]
"""Noise maps of the synthesis layers: drawn anew for every sample, the stored map, or none."""


@dataclass(frozen=True, kw_only=True)
class RenderRandomness:
    """The random numbers of one rendering: each given, one number for all, or drawn (None) from ``generator``.

    They are drawn in a fixed order: noise maps of the backbone, jitter, density noise of the first pass, quantiles,
    density noise of the second pass, noise maps of the background, noise maps of super-resolution. The stratified
    jitter is on in evaluation too, as in the original (docs/reference.md 3.5); :meth:`even` gives repeatable images.

    Attributes:
        noise_mode: noise maps of backbone and background; super-resolution has its own mode in its config.
        ray_jitter: position of every sample of the first pass within its stratum, in [0, 1).
        importance_u: quantiles at which the second pass samples, in [0, 1); "even" spaces them evenly along each ray.
        generator: source of everything that is not given, density noise included; None for torch's default one.
    """

    noise_mode: NoiseMode = "const"
    ray_jitter: Float[Tensor, "batch ray sample"] | float | None = None
    importance_u: Float[Tensor, "batch_ray fine"] | float | Literal["even"] | None = None
    generator: torch.Generator | None = None

    @classmethod
    def even(cls, *, generator: torch.Generator | None = None) -> "RenderRandomness":
        """Return rays sampled in the middle of every stratum and at even quantiles, with stored noise maps.

        Args:
            generator: source of density noise and of random noise maps in super-resolution, where a config has them.
        """
        return cls(noise_mode="const", ray_jitter=0.5, importance_u="even", generator=generator)

    @classmethod
    def seeded(
        cls, seed: int, *, noise_mode: NoiseMode = "const", device: torch.device | str = "cpu"
    ) -> "RenderRandomness":
        """Return random numbers all drawn from a generator of their own on ``device``, seeded by ``seed``."""
        return cls(noise_mode=noise_mode, generator=torch.Generator(device).manual_seed(seed))

    def jitter(self, like: Float[Tensor, "batch ray 3"], samples: int) -> Float[Tensor, "batch ray sample"]:
        """Return the jitter of the first pass for rays ``like`` (their shape, device and type)."""
        return self._fill(self.ray_jitter, (*like.shape[:2], samples), like)

    def quantiles(self, like: Float[Tensor, "batch ray 3"], samples: int) -> Float[Tensor, "batch ray sample"]:
        """Return the quantiles of the second pass for rays ``like`` (their shape, device and type)."""
        given = self.importance_u
        if isinstance(given, str):
            given = (torch.arange(samples, device=like.device) + 0.5) / samples  # middle of each of n equal parts
        # batch*ray sample -> batch ray sample
        u = self._fill(given, (like.shape[0] * like.shape[1], samples), like)
        return u.reshape(*like.shape[:2], samples)

    def uniform(self, given: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return ``given``, or new uniform numbers in [0, 1) with the device and type of ``like``."""
        if given is not None:
            return given
        return torch.rand(shape, device=like.device, dtype=like.dtype, generator=self.generator)

    def normal(self, given: Tensor | None, like: Tensor) -> Tensor:
        """Return ``given``, or new standard-normal numbers in the shape of ``like``."""
        return standard_normal(like, self.generator) if given is None else given

    def _fill(self, given: Tensor | float | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
        if given is None:
            return self.uniform(None, shape, like)
        # A number is written by the device itself: as_tensor would copy it there and wait.
        given = given.to(like) if isinstance(given, Tensor) else like.new_full((), given)
        return given.reshape(shape) if given.numel() == math.prod(shape) else given.expand(shape)


def standard_normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard-normal numbers in the shape, device and type of ``like``."""
    return torch.randn(like.shape, device=like.device, dtype=like.dtype, generator=generator)
