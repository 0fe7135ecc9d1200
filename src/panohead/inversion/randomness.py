"""Random numbers of an optimization, by step, so that a resumed run draws those of an unbroken one."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.randomness import RenderRandomness


class RandomStreams:
    """Random generators, one for every step of every phase, seeded by (seed, phase, step).

    Args:
        seed: seed of the optimization.
        phase: number of the phase.
        device: device of the random numbers.
    """

    def __init__(self, seed: int, phase: int, device: torch.device | str = "cpu") -> None:
        self.seed, self.phase, self.device = seed, phase, torch.device(device)

    def ws_noise(self, step: int, like: Float[Tensor, "batch num_ws w_dim"]) -> Float[Tensor, "batch num_ws w_dim"]:
        """Return standard normal numbers of the shape of ``like``, for the noise on w."""
        return torch.randn(like.shape, device=like.device, generator=self.generator(step, 0))

    def rays(self, step: int) -> RenderRandomness:
        """Return the randomness of the step's ray samples."""
        return RenderRandomness(generator=self.generator(step, 1))

    def generator(self, step: int, use: int) -> torch.Generator:
        """Return the random generator for one use (0: noise on w, 1: rays) in one step."""
        seed = np.random.SeedSequence((self.seed, self.phase, step, use)).generate_state(1, np.uint64)[0]
        return torch.Generator(self.device).manual_seed(int(seed >> np.uint64(1)))
