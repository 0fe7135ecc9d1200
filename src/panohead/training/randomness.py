"""Random numbers without a state: every use has its own generator, made from what it is for.

So a run that resumes needs no saved random state, a repeated step repeats exactly, and the numbers of a micro-batch do
not depend on which device it falls to.
"""

import hashlib
from typing import Literal

import torch

Purpose = Literal["generator", "density", "fakes", "photos", "r1", "init", "grid", "metric"]


def seeded(device: torch.device | str, seed: int, purpose: Purpose, *key: int) -> torch.Generator:
    """A generator for one purpose, for example ``seeded(device, 0, "fakes", step, micro_batch)``."""
    digest = hashlib.sha256(repr((seed, purpose, key)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)
