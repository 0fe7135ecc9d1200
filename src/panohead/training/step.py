"""One training step: generator, density regularization, discriminator, R1, moving average (docs/reference.md 5.9).

:class:`TrainingStep` reads in that order. Every update accumulates the gradients of this device's micro-batches,
averages them over the devices and steps the network's optimizer. The photos of a step are shared by all its updates;
latent codes and cameras of generated heads are drawn anew for each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.models.generator import Rendering
from panohead.stylegan.alias_free import magnitudes
from panohead.training.augmentation.augment import augment
from panohead.training.conditioning import LossRandomness
from panohead.training.config import TrainConfig
from panohead.training.distributed.ranks import Ranks, average_gradients, average_tensors
from panohead.training.divergence import DivergenceCheck
from panohead.training.ema import ema_beta, update_ema
from panohead.training.losses import (
    DiscriminatorInput,
    RealBatch,
    discriminator_fake_loss,
    discriminator_real_loss,
    fake_inputs,
    generator_loss,
    r1_penalty,
    real_inputs,
    render_heads,
)
from panohead.training.mismatched import mismatched_loss
from panohead.training.nan_guard import find_nonfinite
from panohead.training.networks import TrainingNetworks
from panohead.training.optimizers import sanitize_gradients
from panohead.training.randomness import Purpose, seeded
from panohead.training.ray_windows import Windows
from panohead.training.regularizers import camera_offset_penalty, density_penalty
from panohead.training.relativistic import R3ganConfig, paired_loss, set_rates
from panohead.training.run.running_means import RunningMeans
from panohead.training.sdf_losses import sdf_penalty


@dataclass(frozen=True)
class StepState:
    """Position of a step in the run.

    Attributes:
        nimg: real images shown before the step.
        step: number of the step, from 0.
        augment_probability: probability of each augmentation, [0, 1].
    """

    nimg: int
    step: int
    augment_probability: float = 0.0


@runtime_checkable
class LabelSource(Protocol):
    """A source of cameras for generated heads: a loader of photos."""

    def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the cameras of ``count`` random photos, "count 25"."""


@runtime_checkable
class ViewSource(LabelSource, Protocol):
    """A source of cameras of photos that show one person together."""

    def random_views(self, heads: int, generator: torch.Generator) -> Tensor:
        """Return the cameras of all heads' first views, then of their second ones, and so on, "label 25"."""


class TrainingStep:
    """One step of training both networks.

    All random numbers follow from the run's seed, the number of the step and the number of the micro-batch.
    """

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
        self.real_logits: list[Tensor] = []
        self.divergence = DivergenceCheck(self._report_divergence, ranks.device)

    def run(self) -> None:
        """Run all updates that are due, then update the generator's moving average.

        With R3GAN's objective its penalties belong to the discriminator's step, and the optimizers follow its schedule.
        On a GPU all of it is queued without waiting, and then the losses are checked.

        Raises:
            PanoHeadError: when a loss is not finite.
        """
        if self.config.r3gan is not None:
            self._schedule_rates(self.config.r3gan)
        # While the generator is frozen only the discriminator learns (our addition, for warm-started generators).
        if self.state.nimg >= (self.config.start_kimg + self.config.frozen_generator_kimg) * 1000:
            self.generator_step()
            if self.config.density_regularizer is not None and self._due(self.config.generator_adam.interval):
                self.density_regularization()
        self.discriminator_step()
        if self._due(self.config.discriminator_adam.interval):
            self.r1_regularization()
        self._update_ema()
        self.divergence.finish()

    def generator_step(self) -> None:
        """Update the generator so that the discriminator takes its heads for photos (PanoHead 3.1)."""
        self._train_generator()
        for number in self._micro_batches():
            self._backward(self._generator_objective, number)
        self._update_generator()

    def _generator_objective(self, number: int) -> Float[Tensor, ""]:
        """Return mean softplus(-D(fake)) plus the weighted camera offset penalty."""
        rng = self._rng("generator", number)
        z, label = self._random_heads(rng)
        rendering, camera_offset = render_heads(
            self.networks.generator, z, label, self.scheduled, self.config.loss, self._randomness(rng)
        )
        fake = self._fake(rendering, label, rng)
        logits = fake.logits(self.networks.discriminator)  # batch 1
        if self.config.r3gan is not None:  # how much less real than photos
            with torch.no_grad():
                photos = self._real(number, "photos").logits(self.networks.discriminator)
            adversarial = generator_loss(logits - photos)
        else:
            adversarial = generator_loss(logits)
        offset_penalty = camera_offset_penalty(camera_offset)
        self.running_means.add(loss_generator=adversarial, logits_fake=logits, camera_offset=offset_penalty)
        loss = adversarial.mean() + self.config.loss.camera_offset_weight * offset_penalty
        if self.config.sdf_loss is None:
            return loss
        distances = self.config.sdf_loss
        penalty = sdf_penalty(
            self.networks.generator, z, label, self.scheduled, distances, self._randomness(self._rng("sdf", number))
        )
        self.running_means.add(sdf_eikonal=penalty.eikonal, sdf_surface=penalty.surface)
        return loss + penalty.loss

    def density_regularization(self) -> None:
        """Update the generator with the lazy density regularizer (EG3D supplement; off in PanoHead's recipe)."""
        self._train_generator()
        for number in self._micro_batches():
            self._backward(self._density_objective, number)
        self._update_generator()

    def _density_objective(self, number: int) -> Float[Tensor, ""]:
        """Return the density penalty, made up for running in one step of ``interval`` only."""
        assert self.config.density_regularizer is not None
        rng = self._rng("density", number)
        z, label = self._random_heads(rng)
        penalty = density_penalty(
            self.networks.generator,
            z,
            label,
            self.scheduled,
            self.config.density_regularizer,
            self._randomness(rng),
        )
        self.running_means.add(density_penalty=penalty.loss)
        return penalty.loss * (self.config.generator_adam.interval or 1)

    def discriminator_step(self) -> None:
        """Update the discriminator so that it tells generated heads from photos (PanoHead 3.1)."""
        self._train_discriminator()
        for number in self._micro_batches():
            if self.config.r3gan is not None:
                self._backward(self._paired_objective, number)
                continue
            # Each half is back-propagated on its own: one graph in memory at a time, and the original's order of sums.
            self._backward(self._fake_objective, number)
            self._backward(self._real_objective, number)
        self._update_discriminator()

    def _paired_objective(self, number: int) -> Float[Tensor, ""]:
        """Return R3GAN's loss of pairs: mean softplus(D(fake) - D(real)), R1 and R2."""
        assert self.config.r3gan is not None
        fake, real = self._new_fakes(number), self._real(number, "photos")
        values = self.config.r3gan.at(self._trained_nimg)
        found = paired_loss(self.networks.discriminator, fake, real, self.config.loss, values)
        self.real_logits.append(found.real_logits)
        self.running_means.add(
            loss_paired=found.adversarial,
            logits_real=found.real_logits,
            r1_image=found.r1.image_penalty,
            r1_mask=found.r1.mask_penalty,
            r2_image=found.r2.image_penalty,
            r2_mask=found.r2.mask_penalty,
        )
        return found.loss + self._mismatched(real, found.real_logits)

    def _fake_objective(self, number: int) -> Float[Tensor, ""]:
        """Return mean softplus(D(fake))."""
        logits = self._new_fakes(number).logits(self.networks.discriminator)  # batch 1
        loss = discriminator_fake_loss(logits)
        self.running_means.add(loss_fake=loss)
        return loss.mean()

    def _new_fakes(self, number: int) -> DiscriminatorInput:
        """Render generated heads for the discriminator's step, without gradients; moves the running means of w."""
        rng = self._rng("fakes", number)
        z, label = self._random_heads(rng)
        with torch.no_grad():
            rendering, _ = render_heads(
                self.networks.generator,
                z,
                label,
                self.scheduled,
                self.config.loss,
                self._randomness(rng),
                update_w_avg=True,
            )
            return self._fake(rendering, label, rng)

    def _real_objective(self, number: int) -> Float[Tensor, ""]:
        """Return mean softplus(-D(real)) and the loss of mismatched pairs; logits are kept for augmentation."""
        real = self._real(number, "photos")
        logits = real.logits(self.networks.discriminator)  # batch 1
        self.real_logits.append(logits.detach())
        loss = discriminator_real_loss(logits)
        self.running_means.add(loss_real=loss, logits_real=logits)
        return loss.mean() + self._mismatched(real)

    def _mismatched(self, real: DiscriminatorInput, logits: Tensor | None = None) -> Tensor | float:
        """Return the loss of photos with others' cameras, where the run has it; ``logits`` are the right ones'."""
        if self.config.mismatch is None:
            return 0.0
        loss = mismatched_loss(self.networks.discriminator, real, self.config.mismatch, logits)
        self.running_means.add(loss_mismatched=loss)
        return loss

    def r1_regularization(self) -> None:
        """Update the discriminator with the lazy R1 penalty (docs/reference.md 5.6)."""
        self._train_discriminator()
        for number in self._micro_batches():
            self._backward(self._r1_objective, number)
        self._update_discriminator()

    def _r1_objective(self, number: int) -> Float[Tensor, ""]:
        """Return the R1 penalty, made up for running in one step of ``interval`` only."""
        penalty = r1_penalty(self.networks.discriminator, self._real(number, "r1"), self.config.loss)
        self.running_means.add(r1_image=penalty.image_penalty, r1_mask=penalty.mask_penalty)
        return penalty.loss * (self.config.discriminator_adam.interval or 1)

    def _update_ema(self) -> None:
        """Update the generator's exponential moving average (docs/reference.md 5.10)."""
        beta = ema_beta(
            self.config.batch,
            self.state.nimg,
            half_life_kimg=self.config.ema_half_life_kimg,
            ramp_up=self.config.ema_ramp_up,
        )
        update_ema(self.networks.generator_ema, self.networks.generator, beta)

    def _micro_batches(self) -> Iterator[int]:
        """Return the numbers of this device's micro-batches among those of all devices."""
        return (self.ranks.rank + self.ranks.world_size * turn for turn in range(self.rounds))

    def _schedule_rates(self, schedule: R3ganConfig) -> None:
        """Set rates and decays of both optimizers for this step."""
        values = schedule.at(self._trained_nimg)
        for optimizer, adam in (
            (self.networks.generator_optimizer, self.config.generator_adam),
            (self.networks.discriminator_optimizer, self.config.discriminator_adam),
        ):
            rate, betas = adam.per_step()
            set_rates(optimizer, values, rate=rate, beta2=betas[1], initial=schedule.beta2_initial)

    @property
    def _trained_nimg(self) -> int:
        """Photos shown in this run, without those at which its counting starts."""
        return self.state.nimg - self.config.start_nimg

    def _random_heads(self, rng: torch.Generator) -> tuple[Float[Tensor, "head z_dim"], Float[Tensor, "batch 25"]]:
        """Draw the latent codes and cameras of one micro-batch of generated heads."""
        # Labels of random items of the dataset: heads are rendered from the distribution of the photos' cameras.
        count, views = self.config.micro_batch, self.config.discriminator.views
        z = torch.randn((count // views, self.config.generator.z_dim), device=rng.device, generator=rng)
        label = self.loader.random_labels(count, rng) if views == 1 else self._random_views(count // views, rng)
        windows = self._windows(rng)
        return z, label if windows is None else windows.labels(label)

    def _random_views(self, heads: int, rng: torch.Generator) -> Float[Tensor, "batch 25"]:
        assert isinstance(self.loader, ViewSource)
        return self.loader.random_views(heads, rng)

    def _windows(self, rng: torch.Generator) -> Windows | None:
        """Draw the windows of a micro-batch, for training on patches."""
        patches = self.config.patches
        if patches is None:
            return None
        return Windows.random(self.config.micro_batch, patches.smallest(self.state.nimg), rng)

    def _fake(self, rendering: Rendering, label: Float[Tensor, "batch 25"], rng: torch.Generator) -> DiscriminatorInput:
        """Return generated heads as the discriminator's inputs, augmented; a patch is its rays."""
        if self.config.patches is not None:
            rendering = replace(rendering, image=rendering.image_raw)
        return self._augment(fake_inputs(rendering, label, self.scheduled), rng)

    def _randomness(self, rng: torch.Generator) -> LossRandomness:
        return LossRandomness(noise_mode=self.config.noise_mode, generator=rng)

    def _real(self, number: int, purpose: Purpose) -> DiscriminatorInput:
        """Return the photos of a micro-batch as the discriminator's inputs, augmented."""
        # Every ``rounds``-th photo from the turn on: the minibatch statistics see the same groups on any world size.
        turn = number // self.ranks.world_size
        image, mask, label = (self._share(x, turn) for x in (self.photos.image, self.photos.mask, self.photos.label))
        rng = self._rng(purpose, number)
        windows = self._windows(rng)
        if windows is not None and self.config.patches is not None:
            side = self.config.patches.side
            image, mask, label = windows.cut(image, side), windows.cut(mask, side), windows.labels(label)
        inputs = real_inputs(RealBatch(image, mask, label), self.scheduled, self.config.loss)
        return self._augment(inputs, rng)

    def _share(self, x: Tensor, turn: int) -> Tensor:
        """Return a micro-batch's part of the step's photos: first views, then second ones, where there are several."""
        views = self.config.discriminator.views
        # The loader puts the views of one person side by side.
        return x.unflatten(0, (-1, views))[turn :: self.rounds].transpose(0, 1).flatten(0, 1)

    def _augment(self, inputs: DiscriminatorInput, rng: torch.Generator) -> DiscriminatorInput:
        """Augment the discriminator's inputs with the step's probability; cameras stay (StyleGAN2-ADA 2)."""
        settings, probability = self.config.augment, self.state.augment_probability
        if settings is None or probability <= 0:
            return inputs
        image, image_raw, mask = augment(
            inputs.image, inputs.image_raw, inputs.mask, probability=probability, config=settings, generator=rng
        )
        return DiscriminatorInput(image, image_raw, mask, inputs.label)

    def _rng(self, purpose: Purpose, number: int) -> torch.Generator:
        return seeded(self.ranks.device, self.config.seed, purpose, self.state.step, number)

    def _due(self, interval: int | None) -> bool:
        return interval is not None and self.state.step % interval == 0

    def _train_generator(self) -> None:
        """Take gradients of the generator alone, from zero."""
        self.networks.discriminator.requires_grad_(False)
        self.networks.generator.requires_grad_(True)
        self.networks.generator_optimizer.zero_grad(set_to_none=True)

    def _train_discriminator(self) -> None:
        """Take gradients of the discriminator alone, from zero."""
        self.networks.generator.requires_grad_(False)
        self.networks.discriminator.requires_grad_(True)
        self.networks.discriminator_optimizer.zero_grad(set_to_none=True)

    def _backward(self, objective: Callable[[int], Tensor], number: int) -> None:
        """Add the gradients of one micro-batch's objective to those of the micro-batches before."""
        # Micro-batches have equal sizes, so the mean of their means is the mean over the batch.
        loss = objective(number) / self.rounds
        self.divergence.observe(loss, objective, number)
        loss.backward()

    def _update_generator(self) -> None:
        """Step the generator's optimizer with the accumulated gradients."""
        self.networks.generator.requires_grad_(False)
        norm = self._apply_gradients(self.networks.generator, self.networks.generator_optimizer)
        average_tensors(magnitudes(self.networks.generator), self.ranks)  # an alias-free backbone's
        self._add_gradient_norm("gradient_norm_generator", norm)

    def _update_discriminator(self) -> None:
        """Step the discriminator's optimizer with the accumulated gradients, unless the discriminator is frozen."""
        self.networks.discriminator.requires_grad_(False)
        if self.config.frozen_discriminator:
            return
        norm = self._apply_gradients(self.networks.discriminator, self.networks.discriminator_optimizer)
        self._add_gradient_norm("gradient_norm_discriminator", norm)

    def _apply_gradients(self, network: nn.Module, optimizer: torch.optim.Adam) -> Float[Tensor, ""]:
        """Average the gradients over devices, replace NaN and infinity, step; return the norm before replacing."""
        average_gradients(network.parameters(), self.ranks)
        # One norm of all tensors' norms, without waiting for the device.
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        sanitize_gradients(network.parameters())
        self.divergence.guard(optimizer)
        optimizer.step()
        return norm

    def _add_gradient_norm(self, name: str, norm: Float[Tensor, ""]) -> None:
        self.running_means.add(**{name: torch.nan_to_num(norm)}, nonfinite_gradients=(~norm.isfinite()).float())

    def _report_divergence(self, objective: Callable[[int], Tensor], number: int) -> None:
        """Compute the objective once more, with the same random numbers, and name the first part that is not finite."""
        networks = {"generator": self.networks.generator, "discriminator": self.networks.discriminator}
        where = find_nonfinite(networks, lambda: objective(number))
        raise PanoHeadError(
            f"training diverged at {self.state.nimg / 1000:.1f} kimg: {where}; the last state is kept, "
            "resume from it with a smaller learning rate or a larger r1_gamma"
        )
