"""What a run would need on this machine: a few steps on random pictures, measured, and the rest by proportion."""

import time
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
CAMERAS = 16


@dataclass(frozen=True)
class Estimate:
    """Measured on one device with one micro-batch a step.

    Attributes:
        generator_parameters, discriminator_parameters: numbers that are trained.
        seconds_per_image: of the whole step, R1's share included.
        peak_memory_gb: of this process.
    """

    config: TrainConfig
    device: str
    generator_parameters: int
    discriminator_parameters: int
    seconds_per_image: float
    peak_memory_gb: float

    @property
    def hours(self) -> float:
        """For the whole run on one such device, the warm start not counted."""
        images = (self.config.total_kimg - self.config.start_kimg) * 1000
        return images * self.seconds_per_image / 3600

    def lines(self) -> list[str]:
        """For a person to read."""
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
    """Stands in for a dataset: noise seen from random sides."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        rng = torch.Generator().manual_seed(0)
        yaws = (torch.rand(CAMERAS, generator=rng) * 360).tolist()
        self._labels = torch.stack([Camera.orbit(yaw).to_label() for yaw in yaws]).to(device)
        shape = (config.micro_batch, 3, config.resolution, config.resolution)
        image = torch.rand(shape, generator=rng).to(device) * 2 - 1
        self.photos = RealBatch(image, (image[:, :1] > 0).float(), self.random_labels(config.micro_batch, None))

    def random_labels(self, count: int, generator: torch.Generator | None) -> torch.Tensor:
        """Cameras of random photos."""
        chosen = torch.randint(CAMERAS, (count,), device=self._labels.device, generator=generator)
        return self._labels[chosen]


def estimate(config: TrainConfig, *, device: str | None = None) -> Estimate:
    """Run a warm-up step and a few measured ones with one micro-batch on one device.

    Raises:
        PanoHeadError: when the parts of the configuration do not fit together.
    """
    where = choose_device(device)
    one = replace(config, batch=config.micro_batch, frozen_generator_kimg=0.0).checked()
    set_precision(one.numerics)
    networks = make_networks(one, where)
    data = RandomPhotos(one, where)
    ranks = Ranks(rank=0, world_size=1, local_rank=0, device=where)
    interval = one.discriminator_adam.interval or 1

    def seconds(number: int) -> float:
        began = time.perf_counter()
        state = StepState(one.start_nimg, number)
        TrainingStep(one, networks, data, ranks, RunningMeans(), state, data.photos).run()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        return time.perf_counter() - began

    seconds(0)
    # The lazy penalty falls on step 0 of every interval: weigh it as often as it comes.
    with_r1 = seconds(interval)
    without = min(seconds(interval + 1 + i) for i in range(STEPS_MEASURED))
    per_step = without + max(with_r1 - without, 0.0) / interval
    generator, discriminator = (
        sum(p.numel() for p in network.parameters()) for network in (networks.generator, networks.discriminator)
    )
    return Estimate(config, str(where), generator, discriminator, per_step / one.batch, peak_memory_gb(where))


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
