"""Snapshots of a run: weights, a grid of images, and the distance between generated heads and photos."""

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
from panohead.system.atomic_write import prepare_folder
from panohead.training.config import TrainConfig
from panohead.training.networks import TrainingNetworks
from panohead.training.randomness import seeded
from panohead.training.run.folder import CONFIG_FILE, read_run
from panohead.training.run.records import plain
from panohead.training.run.snapshot_grid import snapshot_grid

GRID_HEADS = 4
"""Number of heads in a grid."""
GRID_PSI = 0.7
"""Truncation of the heads in a grid."""


def snapshot_path(run: Path, nimg: int, suffix: str) -> Path:
    """Return the path of a snapshot: ``RUN/snapshots/kimg-000012.0.SUFFIX``, with three decimals where one is rounded.

    Args:
        nimg: images shown so far; every number has another name.
    """
    decimals = 1 if nimg % 100 == 0 else 3
    return run / "snapshots" / f"kimg-{nimg / 1000:0{7 + decimals}.{decimals}f}{suffix}"


def save_snapshot(
    run: Path, networks: TrainingNetworks, config: TrainConfig, nimg: int, figures: dict[str, Any]
) -> Path:
    """Write ``RUN/snapshots/kimg-000012.0.safetensors``: "G_ema" in float16 with the run's whole configuration.

    Args:
        run: the run's folder.
        networks: networks of the run; the moving average is written.
        config: configuration to store.
        nimg: images shown so far, for the name.
        figures: statistics to store.

    Returns:
        The written file.
    """
    file = snapshot_path(run, nimg, ".safetensors")
    # What is not finite would be no JSON.
    notes: dict[str, Any] = {"training": asdict(config), "figures": {k: plain(value) for k, value in figures.items()}}
    if (run / CONFIG_FILE).is_file():
        notes |= read_run(run).notes()
    save_checkpoint(file, {"G_ema": networks.generator_ema}, kimg=nimg / 1000, notes=notes, dtype="float16")
    return file


def save_grid(run: Path, networks: TrainingNetworks, config: TrainConfig, nimg: int) -> Path:
    """Write ``RUN/snapshots/kimg-000012.0.webp``: the same heads every time, from eight sides, with depth and mask.

    Args:
        run: the run's folder.
        networks: networks of the run; the moving average is rendered.
        config: configuration of the run: seed, latent size, conditioning.
        nimg: images shown so far, for the name.

    Returns:
        The written file.
    """
    rng = seeded("cpu", config.seed, "grid")
    z = torch.randn(GRID_HEADS, config.generator.z_dim, generator=rng)
    file = snapshot_path(run, nimg, ".webp")
    prepare_folder(file)
    device = next(networks.generator_ema.parameters()).device
    # A generator that is trained without a conditioning camera is used without one.
    unconditional = config.schedules.pose_swap_probability is None
    return snapshot_grid(
        networks.generator_ema,
        z=z.to(device),
        truncation_psi=GRID_PSI,
        file=file,
        batch=config.micro_batch,
        conditioning_label=torch.zeros(1, config.generator.label_dim, device=device) if unconditional else None,
    )


class DistanceMeter:
    """Distance between the dataset's photos and as many generated heads, without a pretrained network.

    Cameras of the heads are random ones of the dataset.
    """

    def __init__(self, config: TrainConfig, loader: PhotoLoader) -> None:
        self._config, self._loader = config, loader
        self._photos: PyramidPatches | None = None

    def measure(self, generator: Generator) -> SlicedWasserstein:
        """Compute the sliced Wasserstein distance; latents, cameras and photos are the same at every call."""
        if self._photos is None:
            self._photos = describe(self._real(), seed=self._config.seed)
        heads = describe(self._heads(generator), seed=self._config.seed)
        return sliced_wasserstein(self._photos, heads, seed=self._config.seed)

    def figures(self, generator: Generator) -> dict[str, float]:
        """Return the distance and its 95 % interval by their names in the run's statistics."""
        distance = self.measure(generator)
        return {
            "sliced_wasserstein": distance.value,
            "sliced_wasserstein_low": distance.low,
            "sliced_wasserstein_high": distance.high,
        }

    def _real(self) -> Float[Tensor, "image 3 height width"]:
        dataset = self._loader.dataset
        rng = seeded("cpu", self._config.seed, "metric", 0)
        # At most as many as there are photos, without repetition, so that both sets have the same size.
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
