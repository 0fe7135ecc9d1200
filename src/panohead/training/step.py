"""One training step: the generator's move, then the discriminator's (paper section 3.2; facts section 5).

Each move runs over the device's micro-batches, averages the gradients over micro-batches and devices, and steps the
player's optimiser. The photos of a step are shared by all moves; latents and cameras of the heads are new for each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.training.augmentation.augment import augment
from panohead.training.conditioning import LossRandomness
from panohead.training.config import TrainConfig
from panohead.training.distributed.ranks import Ranks, average_gradients
from panohead.training.ema import ema_beta, update_ema
from panohead.training.losses import (
    Augment,
    DiscriminatorInput,
    RealBatch,
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    no_augmentation,
    r1_loss,
)
from panohead.training.nan_guard import find_nonfinite
from panohead.training.networks import TrainingNetworks
from panohead.training.optimizers import sanitize_gradients
from panohead.training.randomness import Purpose, seeded
from panohead.training.regularizers import density_penalty
from panohead.training.run.running_means import RunningMeans


@dataclass(frozen=True)
class StepState:
    """Where in the run a step is: images shown before it, its number, and the augmentation probability."""

    nimg: int
    step: int
    augment_probability: float = 0.0


@runtime_checkable
class LabelSource(Protocol):
    """Where the cameras of generated heads come from: a loader of photos."""

    def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` cameras of random photos, "count 25"."""


class TrainingStep:
    """The moves of one step. Everything random comes from the moment and the number of the micro-batch."""

    def __init__(
        self,
        config: TrainConfig,
        networks: TrainingNetworks,
        loader: LabelSource,
        ranks: Ranks,
        running_means: RunningMeans,
        state: StepState,
        photos: RealBatch,
    ) -> None:
        self.config, self.networks, self.loader, self.ranks = config, networks, loader, ranks
        self.running_means, self.state, self.photos = running_means, state, photos
        self.scheduled = config.schedules.at(state.nimg)
        self.rounds = config.micro_batches(ranks.world_size)
        self.logits_real: list[Tensor] = []

    def run(self) -> None:
        """All moves due now, then the running average."""
        if self.state.nimg >= (self.config.start_kimg + self.config.frozen_generator_kimg) * 1000:
            self.generator_step()
            if self.config.density_regularizer is not None and self._due(self.config.generator_adam.interval):
                self.density_regularization()
        self.discriminator_step()
        if self._due(self.config.discriminator_adam.interval):
            self.r1_regularization()
        self._update_ema()

    def generator_step(self) -> None:
        """Make heads that the discriminator takes for photos."""
        generator, discriminator = self.networks.generator, self.networks.discriminator

        def loss(number: int) -> Tensor:
            rng = self._rng("generator", number)
            z, label = self._heads(rng)
            result = generator_loss(
                generator,
                discriminator,
                z,
                label,
                self.scheduled,
                self.config.loss,
                self._randomness(rng),
                self._augmentation(rng),
            )
            self.running_means.add(
                loss_generator=result.adversarial, logits_fake=result.logits, camera_offset=result.camera_offset_penalty
            )
            return result.loss

        self._optimize("generator", loss)

    def density_regularization(self) -> None:
        """Keep densities in order, lazily."""
        regularizer = self.config.density_regularizer
        assert regularizer is not None

        def loss(number: int) -> Tensor:
            rng = self._rng("density", number)
            z, label = self._heads(rng)
            result = density_penalty(
                self.networks.generator, z, label, self.scheduled, regularizer, self._randomness(rng)
            )
            self.running_means.add(density_penalty=result.loss)
            return result.loss * (self.config.generator_adam.interval or 1)

        self._optimize("generator", loss)

    def discriminator_step(self) -> None:
        """Tell heads from photos; the two halves run back one after the other."""
        generator, discriminator = self.networks.generator, self.networks.discriminator

        def fake(number: int) -> Tensor:
            rng = self._rng("fakes", number)
            z, label = self._heads(rng)
            result = discriminator_fake_loss(
                generator,
                discriminator,
                z,
                label,
                self.scheduled,
                self.config.loss,
                self._randomness(rng),
                self._augmentation(rng),
            )
            self.running_means.add(loss_fake=result.adversarial)
            return result.loss

        def real(number: int) -> Tensor:
            augmentation = self._augmentation(self._rng("photos", number))
            result = discriminator_real_loss(
                discriminator, self._photos(number), self.scheduled, self.config.loss, augmentation
            )
            self.logits_real.append(result.logits.detach())
            self.running_means.add(loss_real=result.adversarial, logits_real=result.logits)
            return result.loss

        self._optimize("discriminator", fake, real)

    def r1_regularization(self) -> None:
        """Keep the discriminator flat at photos, lazily."""

        def loss(number: int) -> Tensor:
            augmentation = self._augmentation(self._rng("r1", number))
            result = r1_loss(
                self.networks.discriminator, self._photos(number), self.scheduled, self.config.loss, augmentation
            )
            self.running_means.add(r1_image=result.image_penalty, r1_mask=result.mask_penalty)
            return result.loss * (self.config.discriminator_adam.interval or 1)

        self._optimize("discriminator", loss)

    def _optimize(self, name: str, *losses: Callable[[int], Tensor]) -> None:
        """Back-propagate the losses of every micro-batch of this device and step the optimizer of the network."""
        network: nn.Module = getattr(self.networks, name)
        other = "discriminator" if name == "generator" else "generator"
        getattr(self.networks, other).requires_grad_(False)
        network.requires_grad_(True)
        optimizer: torch.optim.Adam = getattr(self.networks, f"{name}_optimizer")
        optimizer.zero_grad(set_to_none=True)
        for number in self._micro_batches():
            for loss in losses:
                value = loss(number) / self.rounds
                if not torch.isfinite(value):
                    self._stop(loss, number)
                value.backward()
        network.requires_grad_(False)
        if name == "discriminator" and self.config.frozen_discriminator:
            return
        average_gradients(network.parameters(), self.ranks)
        self._report_gradients(name, network)
        sanitize_gradients(network.parameters())
        optimizer.step()

    def _micro_batches(self) -> Iterator[int]:
        """The numbers of this device's micro-batches among those of all devices."""
        return (self.ranks.rank + self.ranks.world_size * turn for turn in range(self.rounds))

    def _photos(self, number: int) -> RealBatch:
        turn = number // self.ranks.world_size
        photos = self.photos
        return RealBatch(*(x[turn :: self.rounds] for x in (photos.image, photos.mask, photos.label)))

    def _heads(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        shape = (self.config.micro_batch, self.config.generator.z_dim)
        z = torch.randn(shape, device=rng.device, generator=rng)
        return z, self.loader.random_labels(self.config.micro_batch, rng)

    def _randomness(self, rng: torch.Generator) -> LossRandomness:
        return LossRandomness(noise_mode=self.config.noise_mode, generator=rng)

    def _augmentation(self, rng: torch.Generator) -> Augment:
        """How the discriminator sees pictures now."""
        settings, probability = self.config.augment, self.state.augment_probability
        if settings is None or probability <= 0:
            return no_augmentation
        return lambda batch: DiscriminatorInput(
            *augment(
                batch.image,
                batch.image_raw,
                batch.mask,
                probability=probability,
                config=settings,
                generator=rng,
            ),
            batch.label,
        )

    def _rng(self, purpose: Purpose, number: int) -> torch.Generator:
        return seeded(self.ranks.device, self.config.seed, purpose, self.state.step, number)

    def _due(self, interval: int | None) -> bool:
        return interval is not None and self.state.step % interval == 0

    def _report_gradients(self, name: str, network: nn.Module) -> None:
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        self.running_means.add(
            **{f"gradient_norm_{name}": torch.nan_to_num(norm)}, nonfinite_gradients=(~norm.isfinite()).float()
        )

    def _update_ema(self) -> None:
        """Move the running average of the generator."""
        beta = ema_beta(
            self.config.batch,
            self.state.nimg,
            half_life_kimg=self.config.ema_half_life_kimg,
            ramp_up=self.config.ema_ramp_up,
        )
        update_ema(self.networks.generator_ema, self.networks.generator, beta)

    def _stop(self, loss: Callable[[int], Tensor], number: int) -> None:
        networks = {"generator": self.networks.generator, "discriminator": self.networks.discriminator}
        where = find_nonfinite(networks, lambda: loss(number))
        raise PanoHeadError(
            f"training diverged at {self.state.nimg / 1000:.1f} kimg: {where}; the last state is kept, "
            "go on from it with a smaller learning rate or a larger r1_gamma"
        )
