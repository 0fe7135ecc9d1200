"""Stateless random numbers: every use has a generator of its own, seeded by its purpose and position in the run.

So a resumed run needs no saved random state, a repeated step repeats exactly, and the numbers of a micro-batch do not
depend on the device that computes it.
"""

import hashlib
from typing import Literal

import torch

Purpose = Literal["generator", "density", "fakes", "photos", "r1", "init", "grid", "metric", "sdf"]


def seeded(device: torch.device | str, seed: int, purpose: Purpose, *key: int) -> torch.Generator:
    """Make the generator of one purpose, for example ``seeded(device, 0, "fakes", step, micro_batch)``.

    Args:
        device: device of the numbers; their values depend on its kind.
        seed: seed of the run.
        key: position in the run; different keys give independent numbers.
    """
    digest = hashlib.sha256(repr((seed, purpose, key)).encode()).digest()
    # 63 bits: manual_seed takes a signed 64-bit integer.
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)
