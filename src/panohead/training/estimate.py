"""Estimate of a run's time and memory on this machine, extrapolated from a few measured steps on random images."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from panohead.geometry.camera import Camera
from panohead.system.peak_memory import peak_memory_gb
from panohead.training.config import TrainConfig
from panohead.training.distributed.ranks import Ranks, choose_device
from panohead.training.losses import RealBatch
from panohead.training.networks import make_networks, set_precision
from panohead.training.run.running_means import RunningMeans
from panohead.training.step import StepState, TrainingStep

STEPS_MEASURED = 2
"""Number of timed steps without R1; the fastest counts."""
CAMERAS = 16
"""Number of different cameras among the random photos."""


@dataclass(frozen=True)
class Estimate:
    """Measurements on one device with one micro-batch per step.

    Attributes:
        config: the configuration that was measured.
        device: the device's name.
        generator_parameters, discriminator_parameters: number of trained parameters.
        seconds_per_image: duration of a whole step, R1's share included, divided by its images.
        peak_memory_gb: peak memory of this process on the device.
    """

    config: TrainConfig
    device: str
    generator_parameters: int
    discriminator_parameters: int
    seconds_per_image: float
    peak_memory_gb: float

    @property
    def hours(self) -> float:
        """Duration of the whole run on one such device, without the warm start."""
        images = (self.config.total_kimg - self.config.start_kimg) * 1000
        return images * self.seconds_per_image / 3600

    def lines(self) -> list[str]:
        """Return the estimate as lines of text."""
        config = self.config
        kimg = config.total_kimg - config.start_kimg
        return [
            f"generator {self.generator_parameters / 1e6:.2f} M, discriminator "
            f"{self.discriminator_parameters / 1e6:.2f} M parameters, {config.resolution} pixels",
            f"{1 / self.seconds_per_image:.2f} images/s and {self.peak_memory_gb:.1f} GB on {self.device} "
            f"with micro-batches of {config.micro_batch}",
            f"{kimg:g} kimg take about {_duration(self.hours)} on one such device, in proportion less on more",
        ]


class RandomPhotos:
    """A substitute for a dataset: noise images with cameras around the head."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        rng = torch.Generator().manual_seed(0)
        yaws = (torch.rand(CAMERAS, generator=rng) * 360).tolist()
        self._labels = torch.stack([Camera.orbit(yaw).to_label() for yaw in yaws]).to(device)
        self._views = config.discriminator.views
        shape = (config.micro_batch, 3, config.resolution, config.resolution)
        image = torch.rand(shape, generator=rng).to(device) * 2 - 1
        self.photos = RealBatch(image, (image[:, :1] > 0).float(), self.random_labels(config.micro_batch, None))

    def random_views(self, heads: int, generator: torch.Generator | None) -> torch.Tensor:
        """Return the same for heads of several views."""
        return self.random_labels(heads * self._views, generator)

    def random_labels(self, count: int, generator: torch.Generator | None) -> torch.Tensor:
        """Return cameras of random photos, "count 25"."""
        chosen = torch.randint(CAMERAS, (count,), device=self._labels.device, generator=generator)
        return self._labels[chosen]


def estimate(
    config: TrainConfig,
    *,
    device: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
    nimg: float | None = None,
) -> Estimate:
    """Measure a few steps with one micro-batch on one device, after a warm-up step.

    Args:
        device: as of :func:`panohead.training.launch.train`.
        clock: function that returns seconds, such as :func:`time.process_time` on a machine with other work.
        nimg: images shown before those steps, which decide scheduled values; None for the start of the run.

    Raises:
        PanoHeadError: when the parts of the configuration do not fit together.
    """
    own_device = choose_device(device)
    # One micro-batch per step: gradient accumulation takes about the same time per image.
    one = replace(config, batch=config.micro_batch, frozen_generator_kimg=0.0).checked()
    set_precision(one.numerics)
    networks = make_networks(one, own_device)
    data = RandomPhotos(one, own_device)
    ranks = Ranks(rank=0, world_size=1, local_rank=0, device=own_device)
    interval = one.discriminator_adam.interval or 1

    def seconds(number: int) -> float:
        began = clock()
        state = StepState(one.start_nimg if nimg is None else round(nimg), number)
        TrainingStep(one, networks, data, ranks, RunningMeans(), state, data.photos).run()
        if own_device.type == "cuda":
            torch.cuda.synchronize(own_device)
        return clock() - began

    seconds(0)
    # R1 runs in one step of every interval: its extra time is divided by the interval.
    with_r1 = seconds(interval)
    without = min(seconds(interval + 1 + i) for i in range(STEPS_MEASURED))
    per_step = without + max(with_r1 - without, 0.0) / interval
    generator, discriminator = (
        sum(p.numel() for p in network.parameters()) for network in (networks.generator, networks.discriminator)
    )
    return Estimate(config, str(own_device), generator, discriminator, per_step / one.batch, peak_memory_gb(own_device))


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
