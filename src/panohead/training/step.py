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
from panohead.training.conditioning import Draws
from panohead.training.config import TrainConfig
from panohead.training.distributed.ranks import Ranks, average_gradients
from panohead.training.ema import ema_beta, update_ema
from panohead.training.losses import (
    Augment,
    Photos,
    Seen,
    as_seen,
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    r1_loss,
)
from panohead.training.nan_guard import find_nonfinite
from panohead.training.networks import Players
from panohead.training.optimizers import sanitize_gradients
from panohead.training.randomness import Purpose, seeded
from panohead.training.regularizers import density_penalty
from panohead.training.run.running_means import Tally


@dataclass(frozen=True)
class Moment:
    """Where in the run a step is: images shown before it, its number, and the augmentation probability."""

    nimg: int
    step: int
    augment_probability: float = 0.0


@runtime_checkable
class LabelSource(Protocol):
    """Where the cameras of generated heads come from: a loader of photos."""

    def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` cameras of random photos, "count 25"."""


class Step:
    """The moves of one step. Everything random comes from the moment and the number of the micro-batch."""

    def __init__(
        self,
        config: TrainConfig,
        players: Players,
        loader: LabelSource,
        ranks: Ranks,
        tally: Tally,
        moment: Moment,
        photos: Photos,
    ) -> None:
        self.config, self.players, self.loader, self.ranks = config, players, loader, ranks
        self.tally, self.moment, self.photos = tally, moment, photos
        self.scheduled = config.schedules.at(moment.nimg)
        self.rounds = config.micro_batches(ranks.world_size)
        self.logits_real: list[Tensor] = []

    def run(self) -> None:
        """All moves due now, then the running average."""
        if self.moment.nimg >= (self.config.start_kimg + self.config.frozen_generator_kimg) * 1000:
            self.generator_move()
            if self.config.density_regularizer is not None and self._due(self.config.generator_adam.interval):
                self.density_move()
        self.discriminator_move()
        if self._due(self.config.discriminator_adam.interval):
            self.r1_move()
        self._follow()

    def generator_move(self) -> None:
        """Make heads that the discriminator takes for photos."""
        generator, discriminator = self.players.generator, self.players.discriminator

        def loss(number: int) -> Tensor:
            rng = self._rng("generator", number)
            z, label = self._heads(rng)
            result = generator_loss(
                generator, discriminator, z, label, self.scheduled, self.config.loss, self._draws(rng), self._eyes(rng)
            )
            self.tally.add(
                loss_generator=result.adversarial, logits_fake=result.logits, camera_offset=result.camera_offset_penalty
            )
            return result.loss

        self._move("generator", loss)

    def density_move(self) -> None:
        """Keep densities in order, lazily."""
        regularizer = self.config.density_regularizer
        assert regularizer is not None

        def loss(number: int) -> Tensor:
            rng = self._rng("density", number)
            z, label = self._heads(rng)
            result = density_penalty(self.players.generator, z, label, self.scheduled, regularizer, self._draws(rng))
            self.tally.add(density_penalty=result.loss)
            return result.loss * (self.config.generator_adam.interval or 1)

        self._move("generator", loss)

    def discriminator_move(self) -> None:
        """Tell heads from photos; the two halves run back one after the other."""
        generator, discriminator = self.players.generator, self.players.discriminator

        def fake(number: int) -> Tensor:
            rng = self._rng("fakes", number)
            z, label = self._heads(rng)
            result = discriminator_fake_loss(
                generator, discriminator, z, label, self.scheduled, self.config.loss, self._draws(rng), self._eyes(rng)
            )
            self.tally.add(loss_fake=result.adversarial)
            return result.loss

        def real(number: int) -> Tensor:
            eyes = self._eyes(self._rng("photos", number))
            result = discriminator_real_loss(
                discriminator, self._photos(number), self.scheduled, self.config.loss, eyes
            )
            self.logits_real.append(result.logits.detach())
            self.tally.add(loss_real=result.adversarial, logits_real=result.logits)
            return result.loss

        self._move("discriminator", fake, real)

    def r1_move(self) -> None:
        """Keep the discriminator flat at photos, lazily."""

        def loss(number: int) -> Tensor:
            eyes = self._eyes(self._rng("r1", number))
            result = r1_loss(self.players.discriminator, self._photos(number), self.scheduled, self.config.loss, eyes)
            self.tally.add(r1_image=result.image_penalty, r1_mask=result.mask_penalty)
            return result.loss * (self.config.discriminator_adam.interval or 1)

        self._move("discriminator", loss)

    def _move(self, name: str, *losses: Callable[[int], Tensor]) -> None:
        """Back-propagate the losses of every micro-batch of this device and step the optimizer of the network."""
        network: nn.Module = getattr(self.players, name)
        other = "discriminator" if name == "generator" else "generator"
        getattr(self.players, other).requires_grad_(False)
        network.requires_grad_(True)
        optimiser: torch.optim.Adam = getattr(self.players, f"{name}_optimizer")
        optimiser.zero_grad(set_to_none=True)
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
        optimiser.step()

    def _micro_batches(self) -> Iterator[int]:
        """The numbers of this device's micro-batches among those of all devices."""
        return (self.ranks.rank + self.ranks.world_size * turn for turn in range(self.rounds))

    def _photos(self, number: int) -> Photos:
        turn = number // self.ranks.world_size
        photos = self.photos
        return Photos(*(x[turn :: self.rounds] for x in (photos.image, photos.mask, photos.label)))

    def _heads(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        shape = (self.config.micro_batch, self.config.generator.z_dim)
        z = torch.randn(shape, device=rng.device, generator=rng)
        return z, self.loader.random_labels(self.config.micro_batch, rng)

    def _draws(self, rng: torch.Generator) -> Draws:
        return Draws(noise_mode=self.config.noise_mode, generator=rng)

    def _eyes(self, rng: torch.Generator) -> Augment:
        """How the discriminator sees pictures now."""
        settings, probability = self.config.augment, self.moment.augment_probability
        if settings is None or probability <= 0:
            return as_seen
        return lambda seen: Seen(
            *augment(seen.image, seen.image_raw, seen.mask, probability=probability, config=settings, generator=rng),
            seen.label,
        )

    def _rng(self, purpose: Purpose, number: int) -> torch.Generator:
        return seeded(self.ranks.device, self.config.seed, purpose, self.moment.step, number)

    def _due(self, interval: int | None) -> bool:
        return interval is not None and self.moment.step % interval == 0

    def _report_gradients(self, name: str, network: nn.Module) -> None:
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        self.tally.add(
            **{f"gradient_norm_{name}": torch.nan_to_num(norm)}, nonfinite_gradients=(~norm.isfinite()).float()
        )

    def _follow(self) -> None:
        """Move the running average of the generator."""
        beta = ema_beta(
            self.config.batch,
            self.moment.nimg,
            half_life_kimg=self.config.ema_half_life_kimg,
            ramp_up=self.config.ema_ramp_up,
        )
        update_ema(self.players.generator_ema, self.players.generator, beta)

    def _stop(self, loss: Callable[[int], Tensor], number: int) -> None:
        networks = {"generator": self.players.generator, "discriminator": self.players.discriminator}
        where = find_nonfinite(networks, lambda: loss(number))
        raise PanoHeadError(
            f"training diverged at {self.moment.nimg / 1000:.1f} kimg: {where}; the last state is kept, "
            "go on from it with a smaller learning rate or a larger r1_gamma"
        )
