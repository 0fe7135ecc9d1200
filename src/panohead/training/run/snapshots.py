"""What a run leaves behind while it goes: weights to use, pictures to look at, a distance to follow."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.checkpoint import save_checkpoint
from panohead.data.loader import PhotoLoader
from panohead.evaluation.distributions.sliced_wasserstein import (
    PyramidPatches,
    SlicedWasserstein,
    describe,
    sliced_wasserstein,
)
from panohead.models.generator import Generator
from panohead.ops.pixels import image_from_uint8
from panohead.training.config import TrainConfig
from panohead.training.networks import TrainingNetworks
from panohead.training.randomness import seeded
from panohead.training.run.snapshot_grid import snapshot_grid

GRID_HEADS = 4
GRID_PSI = 0.7


def save_snapshot(
    run: Path, networks: TrainingNetworks, config: TrainConfig, nimg: int, figures: dict[str, Any]
) -> Path:
    """``RUN/snapshots/kimg-000012.safetensors`` with "G_ema", float16, and the run's whole configuration."""
    file = run / "snapshots" / f"kimg-{nimg / 1000:08.1f}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    notes = {"training": asdict(config), "figures": figures}
    save_checkpoint(file, {"G_ema": networks.generator_ema}, kimg=nimg / 1000, notes=notes, dtype="float16")
    return file


def save_grid(run: Path, networks: TrainingNetworks, config: TrainConfig, nimg: int) -> Path:
    """``RUN/snapshots/kimg-000012.webp``: fixed heads from eight sides, with depth and mask."""
    rng = seeded("cpu", config.seed, "grid")
    z = torch.randn(GRID_HEADS, config.generator.z_dim, generator=rng)
    file = run / "snapshots" / f"kimg-{nimg / 1000:08.1f}.webp"
    file.parent.mkdir(parents=True, exist_ok=True)
    device = next(networks.generator_ema.parameters()).device
    # Heads that are trained without a camera are drawn without one.
    blind = config.schedules.pose_swap_probability is None
    return snapshot_grid(
        networks.generator_ema,
        z=z.to(device),
        truncation_psi=GRID_PSI,
        file=file,
        batch=config.micro_batch,
        conditioning_label=torch.zeros(1, config.generator.label_dim, device=device) if blind else None,
    )


class DistanceMeter:
    """The weight-free distance between the dataset's photos and as many heads from random cameras of the dataset."""

    def __init__(self, config: TrainConfig, loader: PhotoLoader) -> None:
        self._config, self._loader = config, loader
        self._photos: PyramidPatches | None = None

    def measure(self, generator: Generator) -> SlicedWasserstein:
        """Sliced Wasserstein distance; the same heads, cameras and photos at every call."""
        if self._photos is None:
            self._photos = describe(self._real(), seed=self._config.seed)
        heads = describe(self._heads(generator), seed=self._config.seed)
        return sliced_wasserstein(self._photos, heads, seed=self._config.seed)

    def figures(self, generator: Generator) -> dict[str, float]:
        """The distance and its interval, by the names that the run's statistics use."""
        distance = self.measure(generator)
        return {
            "sliced_wasserstein": distance.value,
            "sliced_wasserstein_low": distance.low,
            "sliced_wasserstein_high": distance.high,
        }

    def _real(self) -> Float[Tensor, "image 3 height width"]:
        dataset = self._loader.dataset
        rng = seeded("cpu", self._config.seed, "metric", 0)
        count = min(self._config.metric_images, len(dataset))
        chosen = torch.randperm(len(dataset), generator=rng)[:count]
        return image_from_uint8(torch.stack([dataset[int(i)].image for i in chosen]))

    def _heads(self, generator: Generator) -> Float[Tensor, "image 3 height width"]:
        return torch.cat([images.cpu() for images in self._batches(generator)])

    @torch.no_grad()
    def _batches(self, generator: Generator) -> Iterator[Tensor]:
        config, device = self._config, next(generator.parameters()).device
        rng = seeded(device, config.seed, "metric", 1)
        done, count = 0, min(config.metric_images, len(self._loader.dataset))
        while done < count:
            size = min(config.micro_batch, count - done)
            z = torch.randn(size, config.generator.z_dim, device=device, generator=rng)
            label = self._loader.random_labels(size, rng)
            yield generator(z, label, generator=rng).image.clamp(-1, 1)
            done += size
