"""A training step against the paper's losses written out plainly, and which networks its updates change."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from panohead.geometry import Camera
from panohead.ops.resize import gaussian_blur
from panohead.presets import tiny
from panohead.training.augmentation.config import AugmentConfig
from panohead.training.conditioning import LossRandomness
from panohead.training.config import TrainConfig
from panohead.training.distributed.ranks import Ranks
from panohead.training.losses import RealBatch, real_inputs, render_heads
from panohead.training.networks import TrainingNetworks, make_networks
from panohead.training.randomness import Purpose, seeded
from panohead.training.regularizers import DensityRegularizerConfig, density_penalty
from panohead.training.run.running_means import RunningMeans
from panohead.training.step import StepState, TrainingStep

CPU = torch.device("cpu")
STATE = StepState(nimg=200, step=16)
"""Early enough for blur, late enough for both networks to have lazy regularizers due."""
CAMERAS = torch.stack([Camera.orbit(yaw).to_label() for yaw in range(0, 360, 30)])


class Cameras:
    """A label source without a dataset."""

    def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` of twelve cameras around the head."""
        return CAMERAS[torch.randint(len(CAMERAS), (count,), generator=generator)]


@pytest.fixture
def config() -> TrainConfig:
    """Two micro-batches a step, and both lazy regularizers."""
    regularizer = DensityRegularizerConfig(kind="monotonic-detach")
    adam = replace(tiny().generator_adam, interval=4)
    return replace(tiny(), batch=4, micro_batch=2, density_regularizer=regularizer, generator_adam=adam)


@pytest.fixture
def photos(config: TrainConfig) -> RealBatch:
    random, size = torch.Generator().manual_seed(0), config.resolution
    image = torch.rand(config.batch, 3, size, size, generator=random) * 2 - 1
    mask = torch.rand(config.batch, 1, size, size, generator=random)
    return RealBatch(image, mask, CAMERAS[: config.batch])


def make_step(config: TrainConfig, photos: RealBatch, state: StepState = STATE) -> TrainingStep:
    ranks = Ranks(rank=0, world_size=1, local_rank=0, device=CPU)
    return TrainingStep(config, make_networks(config, CPU), Cameras(), ranks, RunningMeans(), state, photos)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def changed(network: nn.Module, before: dict[str, Tensor]) -> int:
    """Number of parameters that are no longer what they were."""
    return sum(not torch.equal(p, before[name]) for name, p in network.named_parameters())


def heads(config: TrainConfig, purpose: Purpose, number: int) -> tuple[Tensor, Tensor, LossRandomness]:
    """Latent codes, cameras and random numbers of a micro-batch."""
    rng = seeded(CPU, config.seed, purpose, STATE.step, number)
    z = torch.randn(config.micro_batch, config.generator.z_dim, generator=rng)
    return z, Cameras().random_labels(config.micro_batch, rng), LossRandomness(generator=rng)


def fake_logits(
    config: TrainConfig, networks: TrainingNetworks, purpose: Purpose, number: int
) -> tuple[Tensor, Tensor]:
    """Logits of generated heads, and their camera offsets."""
    z, label, randomness = heads(config, purpose, number)
    scheduled = config.schedules.at(STATE.nimg)
    assert scheduled.blur_sigma > 1
    rendering, offset = render_heads(networks.generator, z, label, scheduled, config.loss, randomness)
    image = gaussian_blur(rendering.image, scheduled.blur_sigma)
    return networks.discriminator(image, rendering.image_raw, rendering.mask, label), offset


def real_micro_batch(config: TrainConfig, photos: RealBatch, number: int) -> list[Tensor]:
    """Image, raw image, mask and label of every second photo, from the ``number``-th on."""
    batch = real_inputs(photos, config.schedules.at(STATE.nimg), config.loss)
    return [x[number::2].detach() for x in (batch.image, batch.image_raw, batch.mask, batch.label)]


def assert_gradients(network: nn.Module, loss: Tensor, expected: nn.Module) -> None:
    """Gradients left in ``network`` against those of ``loss`` in the parameters of ``expected``."""
    parameters = dict(expected.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    assert len(gradients) > 10
    for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
        if gradient is None:
            assert parameter.grad is None or not parameter.grad.any(), name
            continue
        assert parameter.grad is not None, name
        scale = float(gradient.abs().max())
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4 * scale + 1e-9, msg=name)


def test_generator_step_follows_the_paper(config: TrainConfig, photos: RealBatch) -> None:
    """-log sigmoid(D(fake)) plus ten times the squared mean camera offset, averaged over micro-batches."""
    step = make_step(config, photos)
    plain = copy.deepcopy(step.networks)
    step.generator_step()
    plain.generator.requires_grad_(True)
    loss = torch.zeros(())
    for number in range(2):
        logits, offset = fake_logits(config, plain, "generator", number)
        loss = loss - F.logsigmoid(logits).mean() / 2 + 10 * offset.mean(dim=0).square().sum() / 2
    assert_gradients(step.networks.generator, loss, plain.generator)
    assert float(step.running_means.means()["loss_generator"]) > 0


def test_density_regularization_is_made_up_for_its_interval(config: TrainConfig, photos: RealBatch) -> None:
    step = make_step(config, photos)
    plain = copy.deepcopy(step.networks.generator).requires_grad_(True)
    step.density_regularization()
    assert config.density_regularizer is not None
    loss = torch.zeros(())
    for number in range(2):
        z, label, randomness = heads(config, "density", number)
        scheduled = config.schedules.at(STATE.nimg)
        loss = loss + 4 * density_penalty(plain, z, label, scheduled, config.density_regularizer, randomness).loss / 2
    assert_gradients(step.networks.generator, loss, plain)


def test_discriminator_step_follows_the_paper(config: TrainConfig, photos: RealBatch) -> None:
    """-log(1 - sigmoid(D(fake))) - log sigmoid(D(real)), averaged over micro-batches."""
    step = make_step(config, photos)
    plain = copy.deepcopy(step.networks)
    step.discriminator_step()
    plain.discriminator.requires_grad_(True)
    loss = torch.zeros(())
    for number in range(2):
        logits, _ = fake_logits(config, plain, "fakes", number)
        loss = loss - torch.log(1 - torch.sigmoid(logits)).mean() / 2
        loss = loss - F.logsigmoid(plain.discriminator(*real_micro_batch(config, photos, number))).mean() / 2
    assert_gradients(step.networks.discriminator, loss, plain.discriminator)
    assert [logits.shape for logits in step.real_logits] == [(2, 1), (2, 1)]


def test_r1_is_made_up_for_its_interval(config: TrainConfig, photos: RealBatch) -> None:
    step = make_step(config, photos)
    plain = copy.deepcopy(step.networks.discriminator).requires_grad_(True)
    step.r1_regularization()
    loss = torch.zeros(())
    for number in range(2):
        *inputs, label = real_micro_batch(config, photos, number)
        inputs = [x.requires_grad_() for x in inputs]
        image, raw, mask = torch.autograd.grad(plain(*inputs, label).sum(), inputs, create_graph=True)
        penalty = config.loss.r1_gamma / 2 * (image.square().sum() + raw.square().sum())
        penalty = penalty + config.loss.r1_gamma_mask / 2 * mask.square().sum()
        loss = loss + 16 * penalty / config.batch
    assert_gradients(step.networks.discriminator, loss, plain)


def test_each_update_changes_its_own_network(config: TrainConfig, photos: RealBatch) -> None:
    step = make_step(config, photos)
    generator, discriminator = step.networks.generator, step.networks.discriminator
    for update, trained, other in (
        (step.generator_step, generator, discriminator),
        (step.density_regularization, generator, discriminator),
        (step.discriminator_step, discriminator, generator),
        (step.r1_regularization, discriminator, generator),
    ):
        before, before_other = weights(trained), weights(other)
        mean_w = generator.mapping_network.w_avg.clone()
        update()
        assert changed(trained, before) > len(before) // 4, update.__name__
        assert changed(other, before_other) == 0, update.__name__
        moved = not torch.equal(generator.mapping_network.w_avg, mean_w)
        assert moved == (update.__name__ == "discriminator_step"), update.__name__


def test_frozen_networks_rest(config: TrainConfig, photos: RealBatch) -> None:
    """The generator until its first kimg are over, the discriminator for good."""
    frozen = replace(config, frozen_generator_kimg=0.3, frozen_discriminator=True)
    step = make_step(frozen, photos)
    generator, discriminator = weights(step.networks.generator), weights(step.networks.discriminator)
    step.run()
    assert changed(step.networks.generator, generator) == 0
    assert changed(step.networks.discriminator, discriminator) == 0
    later = make_step(frozen, photos, replace(STATE, nimg=300))
    later.run()
    assert changed(later.networks.generator, generator) > 0
    assert changed(later.networks.discriminator, discriminator) == 0


def test_regularizers_run_when_due_and_the_average_follows(config: TrainConfig, photos: RealBatch) -> None:
    due, between = make_step(config, photos), make_step(config, photos, replace(STATE, step=17))
    for step in (due, between):
        before = weights(step.networks.generator_ema)
        step.run()
        assert changed(step.networks.generator_ema, before) > 0
    lazy = {"density_penalty", "r1_image", "r1_mask"}
    assert lazy <= set(due.running_means.means())
    assert not lazy & set(between.running_means.means())


def test_the_discriminator_sees_augmented_inputs(config: TrainConfig, photos: RealBatch) -> None:
    """The same step with and without augmentation: other logits for photos; probability 0 changes nothing."""
    augmented = replace(config, augment=AugmentConfig(probability=1.0))
    logits = []
    for settings, probability in ((config, 0.0), (augmented, 0.0), (augmented, 1.0)):
        step = make_step(settings, photos, replace(STATE, augment_probability=probability))
        step.discriminator_step()
        logits.append(torch.cat(step.real_logits))
    assert torch.equal(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2])
