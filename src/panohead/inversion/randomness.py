"""Random numbers of an optimisation, numbered by step, so that a continued run draws what an unbroken one would."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.randomness import RenderRandomness


class RandomStreams:
    """Every step of every phase has a random generator of its own, seeded by (seed, phase, step)."""

    def __init__(self, seed: int, phase: int, device: torch.device | str = "cpu") -> None:
        self.seed, self.phase, self.device = seed, phase, torch.device(device)

    def ws_noise(self, step: int, like: Float[Tensor, "batch num_ws w_dim"]) -> Float[Tensor, "batch num_ws w_dim"]:
        """Standard normal numbers to explore w with."""
        return torch.randn(like.shape, device=like.device, generator=self.generator(step, 0))

    def rays(self, step: int) -> RenderRandomness:
        """Where the step samples its rays."""
        return RenderRandomness(generator=self.generator(step, 1))

    def generator(self, step: int, use: int) -> torch.Generator:
        """A generator for one use in one step."""
        seed = np.random.SeedSequence((self.seed, self.phase, step, use)).generate_state(1, np.uint64)[0]
        return torch.Generator(self.device).manual_seed(int(seed >> np.uint64(1)))
