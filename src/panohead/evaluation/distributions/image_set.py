"""What is kept of a set of pictures while it streams past: descriptors for the weight-free distance, and features."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from panohead.evaluation.distributions.pyramid_patches import PyramidPatches, describe, join
from panohead.ops.pixels import image_from_uint8
from panohead.perceptual.inception import Inception
from panohead.system.atomic_write import atomic_path

_PATCH_BUDGET = 32_768
"""Patches kept of a level, however many pictures there are: memory stays flat from 512 pictures on."""
_MAX_PATCHES = 64


@dataclass(frozen=True)
class ImageSet:
    """Pictures by what the metrics need of them. ``features`` and ``probabilities`` are there with Inception only."""

    yaw_deg: Float[np.ndarray, " picture"]
    patches: PyramidPatches | None = None
    features: Float[np.ndarray, "picture feature"] | None = None
    probabilities: Float[np.ndarray, "picture class"] | None = None

    def __len__(self) -> int:
        return len(self.yaw_deg)

    def where(self, chosen: Bool[np.ndarray, " picture"], most: int | None = None) -> "ImageSet":
        """Some of the pictures, at most so many of them."""
        index = np.flatnonzero(chosen)[:most]
        return ImageSet(
            self.yaw_deg[index],
            None if self.patches is None else self.patches.select([int(i) for i in index]),
            None if self.features is None else self.features[index],
            None if self.probabilities is None else self.probabilities[index],
        )


def patches_per_image(count: int) -> int:
    """How many patches a level to keep of each of ``count`` pictures."""
    return max(1, min(_MAX_PATCHES, _PATCH_BUDGET // max(count, 1)))


class Collector:
    """Describes pictures batch by batch.

    Args:
        patches: a picture and level; 0 without the weight-free distance.
    """

    def __init__(self, *, seed: int, patches: int, inception: Inception | None) -> None:
        self._seed, self._patches, self._inception = seed, patches, inception
        self._parts: list[PyramidPatches] = []
        self._features: list[np.ndarray] = []
        self._probabilities: list[np.ndarray] = []
        self._seen = 0

    @torch.no_grad()
    def add(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """The next pictures."""
        if self._patches:
            patches, first = self._patches, self._seen
            self._parts.append(
                describe(image_from_uint8(images), seed=self._seed, patches_per_image=patches, first_index=first)
            )
        if self._inception is not None:
            found, logits = self._inception(images.to(next(self._inception.parameters()).device))
            self._features.append(found.float().cpu().numpy())
            self._probabilities.append(logits.float().softmax(dim=1).cpu().numpy())
        self._seen += len(images)

    def result(self, yaw_deg: Float[np.ndarray, " picture"]) -> ImageSet:
        """All so far, with their yaws."""
        return ImageSet(
            yaw_deg[: self._seen],
            join(self._parts) if self._parts else None,
            np.concatenate(self._features) if self._features else None,
            np.concatenate(self._probabilities) if self._probabilities else None,
        )


def save_set(path: Path, images: ImageSet) -> None:
    """Keep a set for the next evaluation (one ``.npz``, no pickles)."""
    arrays = {"yaw_deg": images.yaw_deg, "about": np.array(json.dumps({"seed": _seed(images)}))}
    if images.patches is not None:
        arrays |= {f"level_{side}": value.numpy() for side, value in images.patches.descriptors.items()}
    if images.features is not None and images.probabilities is not None:
        arrays |= {"features": images.features, "probabilities": images.probabilities}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_set(path: Path) -> ImageSet | None:
    """A set kept by :func:`save_set`; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        seed = json.loads(str(arrays["about"]))["seed"]
    except (OSError, ValueError, KeyError, EOFError):
        return None
    levels = {int(name[6:]): torch.from_numpy(value) for name, value in arrays.items() if name.startswith("level_")}
    patches = PyramidPatches(seed=seed, descriptors=levels) if levels else None
    return ImageSet(arrays["yaw_deg"], patches, arrays.get("features"), arrays.get("probabilities"))


def _seed(images: ImageSet) -> int | None:
    return None if images.patches is None else images.patches.seed
