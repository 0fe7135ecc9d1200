"""Summary of a stream of images: descriptors for the weight-free distance, and Inception features."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.evaluation.distributions.pyramid_patches import PyramidPatches, describe, join
from panohead.files.archive import read_arrays
from panohead.files.read_json import parse_json
from panohead.ops.pixels import image_from_uint8
from panohead.perceptual.inception import Inception
from panohead.system.atomic_write import atomic_path

_PATCH_BUDGET = 32_768
"""Maximum number of patches kept per level; bounds the memory from 512 images on."""
_MAX_PATCHES = 64


@dataclass(frozen=True)
class ImageSet:
    """Images reduced to what the metrics need; ``features`` and ``probabilities`` exist with Inception only."""

    yaw_deg: Float[np.ndarray, " image"]
    patches: PyramidPatches | None = None
    features: Float[np.ndarray, "image feature"] | None = None
    probabilities: Float[np.ndarray, "image class"] | None = None

    def __len__(self) -> int:
        return len(self.yaw_deg)

    def where(self, chosen: Bool[np.ndarray, " image"], max_count: int | None = None) -> "ImageSet":
        """Return the chosen images, at most ``max_count`` of them."""
        index = np.flatnonzero(chosen)[:max_count]
        return ImageSet(
            self.yaw_deg[index],
            None if self.patches is None else self.patches.select([int(i) for i in index]),
            None if self.features is None else self.features[index],
            None if self.probabilities is None else self.probabilities[index],
        )


def patches_per_image(count: int) -> int:
    """Return how many patches to keep per level of each of ``count`` images."""
    return max(1, min(_MAX_PATCHES, _PATCH_BUDGET // max(count, 1)))


class Collector:
    """Accumulator that describes images batch by batch.

    Args:
        patches: patches per image and level; 0 without the weight-free distance.
    """

    def __init__(self, *, seed: int, patches: int, inception: Inception | None) -> None:
        self._seed, self._patches, self._inception = seed, patches, inception
        self._parts: list[PyramidPatches] = []
        self._features: list[np.ndarray] = []
        self._probabilities: list[np.ndarray] = []
        self._count = 0

    @torch.no_grad()
    def add(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Describe the next images (0..255)."""
        if self._patches:
            patches, first = self._patches, self._count
            self._parts.append(
                describe(image_from_uint8(images), seed=self._seed, patches_per_image=patches, first_index=first)
            )
        if self._inception is not None:
            found, logits = self._inception(images.to(next(self._inception.parameters()).device))
            self._features.append(found.float().cpu().numpy())
            self._probabilities.append(logits.float().softmax(dim=1).cpu().numpy())
        self._count += len(images)

    def result(self, yaw_deg: Float[np.ndarray, " image"]) -> ImageSet:
        """Return the set of all images so far, with their yaws in degrees."""
        return ImageSet(
            yaw_deg[: self._count],
            join(self._parts) if self._parts else None,
            np.concatenate(self._features) if self._features else None,
            np.concatenate(self._probabilities) if self._probabilities else None,
        )


def save_set(path: Path, images: ImageSet) -> None:
    """Write a set for later evaluations (one ``.npz``, no pickles)."""
    arrays = {"yaw_deg": images.yaw_deg, "about": np.array(json.dumps({"seed": _seed(images)}))}
    if images.patches is not None:
        arrays |= {f"level_{side}": value.numpy() for side, value in images.patches.descriptors.items()}
    if images.features is not None and images.probabilities is not None:
        arrays |= {"features": images.features, "probabilities": images.probabilities}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_set(path: Path) -> ImageSet | None:
    """Read a set written by :func:`save_set`; None for a missing or damaged file."""
    try:
        arrays = read_arrays(path)
        seed = parse_json(str(arrays["about"]), dict[str, int | None], str(path))["seed"] or 0
    except (OSError, KeyError, PanoHeadError):
        return None
    levels = {int(name[6:]): torch.from_numpy(value) for name, value in arrays.items() if name.startswith("level_")}
    patches = PyramidPatches(seed=seed, descriptors=levels) if levels else None
    return ImageSet(arrays["yaw_deg"], patches, arrays.get("features"), arrays.get("probabilities"))


def _seed(images: ImageSet) -> int | None:
    return None if images.patches is None else images.patches.seed
