"""R3GAN's objective, mismatched cameras and discriminators of two views against their formulas written out plainly."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from panohead.errors import UsageError
from panohead.geometry import Camera
from panohead.later_methods import LATER_METHODS, mismatched_cameras, r3gan, two_views
from panohead.models.discriminator import Discriminator
from panohead.presets import demo_64, pi_gan_64, tiny
from panohead.training.conditioning import LossRandomness
from panohead.training.config import TrainConfig
from panohead.training.distributed.ranks import Ranks
from panohead.training.losses import RealBatch, real_inputs, render_heads
from panohead.training.mismatched import MismatchConfig, angles_deg, mismatched_loss
from panohead.training.networks import TrainingNetworks, make_networks
from panohead.training.randomness import seeded
from panohead.training.relativistic import R3ganConfig
from panohead.training.run.running_means import RunningMeans
from panohead.training.step import StepState, TrainingStep

CPU = torch.device("cpu")
STATE = StepState(nimg=1000, step=16)
CAMERAS = torch.stack([Camera.orbit(yaw).to_label() for yaw in range(0, 360, 45)])


class Cameras:
    """A source of cameras without a dataset; the second view of a head lies opposite of its first."""

    def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
        return CAMERAS[torch.randint(len(CAMERAS), (count,), generator=generator)]

    def random_views(self, heads: int, generator: torch.Generator) -> Tensor:
        first = torch.randint(len(CAMERAS), (heads,), generator=generator)
        return torch.cat([CAMERAS[first], CAMERAS[(first + 4) % 8]])


@pytest.fixture
def plain() -> TrainConfig:
    """Two micro-batches of two photos a step, without schedules of images."""
    schedules = replace(tiny().schedules, blur_init_sigma=0.0, density_noise_fade_kimg=0.0)
    return replace(tiny(), batch=4, micro_batch=2, schedules=schedules)


def photos(config: TrainConfig) -> RealBatch:
    random, size = torch.Generator().manual_seed(0), config.resolution
    image = torch.rand(config.batch, 3, size, size, generator=random) * 2 - 1
    mask = torch.rand(config.batch, 1, size, size, generator=random)
    return RealBatch(image, mask, CAMERAS[[0, 4, 1, 2]])


def make_step(config: TrainConfig) -> TrainingStep:
    ranks = Ranks(rank=0, world_size=1, local_rank=0, device=CPU)
    return TrainingStep(
        config.checked(), make_networks(config, CPU), Cameras(), ranks, RunningMeans(), STATE, photos(config)
    )


def real_part(config: TrainConfig, number: int) -> list[Tensor]:
    """Every second photo: image, raw image, mask, label."""
    batch = real_inputs(photos(config), config.schedules.at(STATE.nimg), config.loss)
    return [x[number::2].detach().clone() for x in (batch.image, batch.image_raw, batch.mask, batch.label)]


def fake_part(config: TrainConfig, networks: TrainingNetworks, purpose: str, number: int) -> list[Tensor]:
    rng = seeded(CPU, config.seed, purpose, STATE.step, number)  # type: ignore[arg-type]
    z = torch.randn(config.micro_batch, config.generator.z_dim, generator=rng)
    label = Cameras().random_labels(config.micro_batch, rng)
    scheduled = config.schedules.at(STATE.nimg)
    made, _ = render_heads(networks.generator, z, label, scheduled, config.loss, LossRandomness(generator=rng))
    return [made.image, made.image_raw, made.mask, label]


def assert_gradients(network: torch.nn.Module, loss: Tensor, expected: torch.nn.Module) -> None:
    parameters = dict(expected.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
        if gradient is None:
            assert parameter.grad is None or not parameter.grad.any(), name
            continue
        assert parameter.grad is not None, name
        scale = float(gradient.abs().max())
        torch.testing.assert_close(parameter.grad, gradient, rtol=2e-3, atol=2e-4 * scale + 1e-9, msg=name)


def squared(discriminator: Discriminator, part: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, and summed squared gradients of colors and mask."""
    *inputs, label = part
    inputs = [x.detach().requires_grad_() for x in inputs]
    logits = discriminator(*inputs, label)
    image, raw, mask = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return logits, image.square().sum() + raw.square().sum(), mask.square().sum()


def test_r3gan_discriminator_follows_its_formula(plain: TrainConfig) -> None:
    """Mean of -log sigmoid(D(real) - D(fake)) plus gamma/2 (R1 + R2), gammas ten times larger at the start."""
    config = replace(r3gan(plain), r3gan=R3ganConfig(burn_in_kimg=2.0))
    step = make_step(config)
    kept = copy.deepcopy(step.networks)
    step.discriminator_step()
    kept.discriminator.requires_grad_(True)
    loss = torch.zeros(())
    for number in range(2):
        fake, colors2, mask2 = squared(kept.discriminator, fake_part(config, kept, "fakes", number))
        real, colors1, mask1 = squared(kept.discriminator, real_part(config, number))
        loss = loss - F.logsigmoid(real - fake).mean() / 2
        factor = 1 + 9 * 0.5  # 1 of 2 kimg: half of a half cosine
        gammas = config.loss.r1_gamma * (colors1 + colors2) + config.loss.r1_gamma_mask * (mask1 + mask2)
        loss = loss + factor * gammas / 2 / config.batch
    assert_gradients(step.networks.discriminator, loss, kept.discriminator)
    assert {"r1_image", "r2_image", "loss_paired"} <= set(step.running_means.means())


def test_r3gan_generator_follows_its_formula(plain: TrainConfig) -> None:
    """Mean of -log sigmoid(D(fake) - D(real)), beside the camera offset penalty."""
    config = r3gan(plain)
    config = replace(config, loss=replace(config.loss, camera_offset_weight=0.0))
    step = make_step(config)
    kept = copy.deepcopy(step.networks)
    step.generator_step()
    kept.generator.requires_grad_(True)
    loss = torch.zeros(())
    for number in range(2):
        fake = kept.discriminator(*fake_part(config, kept, "generator", number))
        real = kept.discriminator(*real_part(config, number)).detach()
        loss = loss - F.logsigmoid(fake - real).mean() / 2
    assert_gradients(step.networks.generator, loss, kept.generator)


def test_r3gan_schedules_are_half_cosines(plain: TrainConfig) -> None:
    schedule = R3ganConfig(burn_in_kimg=4.0)
    first, quarter, last, after = (schedule.at(nimg) for nimg in (0, 1000, 4000, 9000))
    assert (first.gamma, first.rate, first.burnt_in) == (10.0, 1.0, 0.0)
    assert quarter.gamma == pytest.approx(1 + 9 * (1 + 2**-0.5) / 2)
    assert quarter.rate == pytest.approx(0.25 + 0.75 * (1 + 2**-0.5) / 2)
    assert (last.gamma, last.rate, last.burnt_in) == (pytest.approx(1), pytest.approx(0.25), pytest.approx(1))
    assert after == last
    config = replace(r3gan(plain), r3gan=R3ganConfig(burn_in_kimg=0.5))
    step = make_step(config)
    before = [p.detach().clone() for p in step.networks.generator.parameters()]
    step.run()
    for optimizer, adam in (
        (step.networks.generator_optimizer, config.generator_adam),
        (step.networks.discriminator_optimizer, config.discriminator_adam),
    ):
        (group,) = optimizer.param_groups
        assert group["lr"] == pytest.approx(adam.learning_rate / 4)
        assert group["betas"] == pytest.approx(adam.betas)
    assert any(not torch.equal(a, b) for a, b in zip(before, step.networks.generator.parameters(), strict=True))
    assert step.networks.generator_optimizer.param_groups[0]["lr"] > 0


@pytest.mark.parametrize("relativistic", [False, True])
def test_mismatched_cameras_follow_their_formula(plain: TrainConfig, *, relativistic: bool) -> None:
    """Photos with their neighbor's camera are fakes where it is 30 degrees away or more."""
    config = replace(mismatched_cameras(plain), mismatch=MismatchConfig(weight=3.0, min_angle_deg=60))
    step = make_step(r3gan(config) if relativistic else config)
    kept = copy.deepcopy(step.networks)
    network = kept.discriminator.requires_grad_(True)
    # Micro-batch 0 holds yaws 0 and 45: nothing is wrong there; 1 holds 180 and 90.
    for number, wrong in ((0, 0.0), (1, 1.0)):
        *images, label = real_part(config, number)
        real = step._real(number, "photos")
        own = network(*images, label)
        other = network(*images, label.flip(0))
        expected = 3 * wrong * F.softplus(other - own if relativistic else other).mean()
        found = mismatched_loss(network, real, config.mismatch, own if relativistic else None)
        torch.testing.assert_close(found, expected)
    if relativistic:
        return
    step.discriminator_step()
    assert step.running_means.means()["loss_mismatched"] > 0
    loss = torch.zeros(())
    for number in range(2):
        fake = fake_part(config, kept, "fakes", number)
        *images, label = real_part(config, number)
        loss = (
            loss + (F.softplus(network(*[x.detach() for x in fake])) + F.softplus(-network(*images, label))).mean() / 2
        )
        loss = loss + number * 3 * F.softplus(network(*images, label.flip(0))).mean() / 2
    assert_gradients(step.networks.discriminator, loss, network)


def test_angles_are_those_between_positions() -> None:
    for yaw in (0.0, 0.01, 30.0, 180.0):
        first, second = (Camera.orbit(one).to_label()[None] for one in (10.0, 10.0 + yaw))
        assert float(angles_deg(first, second)) == pytest.approx(yaw, abs=1e-3)


def test_two_views_are_more_channels_and_a_longer_label() -> None:
    """One logit a head: the same network as one of twice the channels and labels."""
    config = replace(tiny().discriminator, views=2)
    torch.manual_seed(0)
    network = Discriminator(config)
    image, raw, mask = torch.randn(8, 3, 32, 32), torch.randn(8, 3, 16, 16), torch.rand(8, 1, 16, 16)
    label = CAMERAS
    logits = network(image, raw, mask, label)
    assert logits.shape == (4, 1)
    swapped = torch.tensor([1, 0, 2, 3, 5, 4, 6, 7])  # heads 0 and 1 exchanged, views and all
    again = network(image[swapped], raw[swapped], mask[swapped], label[swapped])
    torch.testing.assert_close(again, logits[[1, 0, 2, 3]])
    mixed = torch.tensor([0, 1, 2, 3, 5, 4, 6, 7])  # the second views alone
    assert not torch.allclose(network(image[mixed], raw[mixed], mask[mixed], label[mixed]), logits, atol=1e-4)
    with pytest.raises(ValueError, match="not 2 views"):
        network(image[:7], raw[:7], mask[:7], label[:7])


def test_views_of_a_head_are_renders_of_one_field(plain: TrainConfig) -> None:
    generator = make_networks(plain, CPU).generator
    scheduled = replace(plain.schedules.at(0), pose_swap_probability=None)
    z, label = torch.randn(2, plain.generator.z_dim), CAMERAS[[0, 1, 4, 5]]
    config = replace(plain.loss, background_swap_probability=0.0)

    def rendered(z: Tensor, label: Tensor) -> Tensor:
        quiet = LossRandomness(noise_mode="none", ray_jitter=0.5, importance_u=0.5)
        return render_heads(generator, z, label, scheduled, config, quiet)[0].image

    both = rendered(z, label)
    assert both.shape[0] == 4
    torch.testing.assert_close(both, torch.cat([rendered(z, label[:2]), rendered(z, label[2:])]), rtol=1e-4, atol=1e-4)


def test_photos_of_a_micro_batch_hold_first_views_then_second_ones(plain: TrainConfig) -> None:
    config = replace(two_views(plain), batch=8, micro_batch=4)
    ranks = Ranks(rank=0, world_size=1, local_rank=0, device=CPU)
    label = torch.arange(8.0)[:, None].expand(8, 25)  # heads 0 1 | 2 3 | 4 5 | 6 7
    given = RealBatch(torch.zeros(8, 3, 32, 32), torch.zeros(8, 1, 32, 32), label)
    step = TrainingStep(config, make_networks(config, CPU), Cameras(), ranks, RunningMeans(), STATE, given)
    assert [step._real(number, "photos").label[:, 0].tolist() for number in (0, 1)] == [[0, 4, 1, 5], [2, 6, 3, 7]]
    z, cameras = step._random_heads(torch.Generator().manual_seed(0))
    assert (len(z), len(cameras)) == (2, 4)
    assert angles_deg(cameras[:2], cameras[2:]).tolist() == pytest.approx([180, 180], abs=0.01)


def test_r1_of_two_views_is_that_of_the_logit(plain: TrainConfig) -> None:
    config = two_views(replace(plain, micro_batch=4))
    step = make_step(config)
    kept = copy.deepcopy(step.networks.discriminator).requires_grad_(True)
    step.r1_regularization()
    part = [
        torch.cat([x[::2], x[1::2]])
        for x in (torch.cat([a, b])[[0, 2, 1, 3]] for a, b in zip(*(real_part(config, n) for n in (0, 1)), strict=True))
    ]
    _, colors, mask = squared(kept, part)
    loss = 16 * (config.loss.r1_gamma * colors + config.loss.r1_gamma_mask * mask) / 2 / 2  # two logits
    assert_gradients(step.networks.discriminator, loss, kept)


def test_all_methods_together_and_what_does_not_fit() -> None:
    config = demo_64()
    for change in LATER_METHODS.values():
        config = change(config)
    assert config.checked().r3gan is not None
    for wrong, words in (
        (replace(demo_64(), r3gan=R3ganConfig()), "interval=null"),
        (mismatched_cameras(pi_gan_64()), "given cameras"),
        (replace(two_views(demo_64()), micro_batch=1), "2 views of each head"),
    ):
        with pytest.raises(UsageError, match=words):
            wrong.checked()
