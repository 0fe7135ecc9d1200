"""Evaluation protocols: pairing of subsets of the photos with generated images.

The official code restricts the photos by |yaw|; generated images whose cameras are drawn from *all* photos are then
compared with, say, the front alone. *official* repeats that; *strict* restricts both sides to the same poses. Views of
the back are made as the official code makes them: the latent is conditioned on the front camera, and the camera's
self-adaptation is left out (docs/reference.md 7.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.evaluation.settings import Protocol
from panohead.geometry.camera import Camera

Route = Literal["forward", "front", "random"]
"""Way of making an image: "forward" conditions on the rendered camera and applies the camera's self-adaptation; "front"
conditions on the front camera without it; "random" is "forward" with cameras from all over the band."""

BIN_DEG = 30
RANDOM_PITCH_DEG = 30.0
"""Half the height, in degrees, of the band of the sphere that random cameras are drawn from."""


@dataclass(frozen=True)
class Subset:
    """Views with ``low`` <= |yaw| < ``high`` degrees (180 included), and the route of their images."""

    name: str
    low: float
    high: float
    route: Route

    def contains(self, yaw_deg: Float[np.ndarray, " view"]) -> Bool[np.ndarray, " view"]:
        """Return whether each view belongs to the subset."""
        yaw = np.abs(yaw_deg)
        return (yaw >= self.low) & ((yaw < self.high) | (self.high >= 180.0))


@dataclass(frozen=True)
class Comparison:
    """One row of the table: a subset of the photos against generated images, restricted (strict) or not."""

    subset: Subset
    protocol: Protocol | Literal["both"]

    def fakes(self, yaw_deg: Float[np.ndarray, " view"]) -> Bool[np.ndarray, " view"]:
        """Return whether each generated image of the subset's route takes part."""
        return self.subset.contains(yaw_deg) if self.protocol == "strict" else np.ones(len(yaw_deg), dtype=bool)


_ALL = Subset("all", 0, 180, "forward")
_RANDOM = Subset("random", 0, 180, "random")
_HALVES = Subset("front", 0, 90, "forward"), Subset("back", 90, 180, "front")
_BINS = tuple(
    Subset(f"{low}-{low + BIN_DEG}", low, low + BIN_DEG, "forward" if low < 90 else "front")
    for low in range(0, 180, BIN_DEG)
)


def comparisons(subsets: Sequence[str], protocols: Sequence[Protocol]) -> list[Comparison]:
    """Return the rows for "all", "front", "back", "random" and "bins" (of 30 degrees).

    Where nothing is restricted both protocols are one row, named "both".

    Raises:
        PanoHeadError: for another name.
    """
    known = {"all": (_ALL,), "front": _HALVES[:1], "back": _HALVES[1:], "random": (_RANDOM,), "bins": _BINS}
    if unknown := [name for name in subsets if name not in known]:
        raise PanoHeadError(f"there is no subset {unknown[0]!r}; choose from {', '.join(known)}")
    rows: list[Comparison] = []
    for name in dict.fromkeys(subsets):
        for subset in known[name]:
            whole = subset in (_ALL, _RANDOM)
            rows += [Comparison(subset, "both")] if whole else [Comparison(subset, p) for p in protocols]
    return rows


def yaw_of(labels: Float[Tensor, "view 25"]) -> Float[np.ndarray, " view"]:
    """Return yaw in degrees as the official filter computes it; 0 is the front."""
    return Camera.from_label(labels).angles_deg()[:, 0].double().numpy()


def drawn_labels(
    dataset: Float[Tensor, "photo 25"], route: Route, *, seed: int, first: int, count: int
) -> Float[Tensor, "view 25"]:
    """Return cameras of images ``first`` to ``first + count``: of random photos (with replacement, never mirrored), or
    from all over the band of the sphere. Each depends on ``seed`` and its own number only."""
    drawn = []
    for index in range(first, first + count):
        rng = np.random.default_rng((seed, index, 0xCA))
        if route != "random":
            drawn.append(dataset[int(rng.integers(len(dataset)))])
            continue
        yaw, height = rng.uniform(-180, 180), rng.uniform(-1, 1) * np.sin(np.deg2rad(RANDOM_PITCH_DEG))
        drawn.append(Camera.orbit(float(yaw), float(np.rad2deg(np.arcsin(height)))).to_label())
    return torch.stack(drawn)
