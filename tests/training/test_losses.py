"""The adversarial losses: golden values and gradients, then laws."""

from dataclasses import replace

import pytest
import torch

from panohead.models.discriminator import Discriminator, DiscriminatorConfig
from panohead.ops.resize import gaussian_blur
from panohead.training.conditioning import LossRandomness, background_ws, conditioning_label
from panohead.training.losses import (
    GradientPenalty,
    LossConfig,
    RealBatch,
    discriminator_fake_loss,
    discriminator_real_loss,
    fake_inputs,
    generator_loss,
    r1_penalty,
    real_inputs,
    render_heads,
)
from panohead.training.regularizers import camera_offset_penalty
from panohead.training.schedules import Scheduled
from parity import training_case as golden
from parity.golden import assert_close, load, tensor, uniform
from parity.training_case import BATCH, RAYS, draw

PHASES = ("late", "early")


def golden_randomness(case: str, monkeypatch: pytest.MonkeyPatch) -> LossRandomness:
    """The random numbers of a main phase; density noise has no argument of its own and goes in by the back door."""
    numbers = iter(range(2))
    monkeypatch.setattr(
        "panohead.randomness.standard_normal",
        lambda like, _: draw(case, next(numbers), tuple(like.shape), "randn_like"),
    )
    depths = load("loss")[1]["generator"]["depth_resolution"]
    return LossRandomness(
        pose_swap=draw(case, 0, (BATCH, 1))[:, 0],
        background_swap=draw(case, 1, (BATCH, 1, 1))[:, 0, 0],
        ray_jitter=draw(case, 0, (BATCH, RAYS**2, depths, 1), "rand_like")[..., 0],
        importance_u=draw(case, 2, (BATCH * RAYS**2, depths)),
        noise_mode="none",
    )


def z_and_label() -> tuple[torch.Tensor, torch.Tensor]:
    return tensor("loss", "gen_z"), tensor("loss", "gen_c")


@pytest.mark.parametrize("phase", PHASES)
def test_generator_loss_is_golden(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = f"Gmain_{phase}"
    generator, discriminator = golden.generator(), golden.discriminator().requires_grad_(False)
    scheduled, (z, label) = golden.scheduled(case), z_and_label()
    rendering, offset = render_heads(generator, z, label, scheduled, LossConfig(), golden_randomness(case, monkeypatch))
    logits = fake_inputs(rendering, label, scheduled).logits(discriminator)
    adversarial, penalty = generator_loss(logits), camera_offset_penalty(offset) * LossConfig().camera_offset_weight
    (adversarial.mean() + penalty).backward()
    assert_close("loss", f"{case}/stat/Loss/scores/fake", logits)
    assert_close("loss", f"{case}/stat/Loss/signs/fake", logits.sign())
    assert_close("loss", f"{case}/stat/Loss/G/loss", adversarial)
    assert_close("loss", f"{case}/stat/Loss/G/trans_reg_loss", penalty)
    golden.assert_gradients(case, generator)


@pytest.mark.parametrize("phase", PHASES)
def test_discriminator_loss_is_golden(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = f"Dmain_{phase}"
    generator, discriminator = golden.generator(), golden.discriminator()
    scheduled, (z, label) = golden.scheduled(case), z_and_label()
    with torch.no_grad():
        randomness = golden_randomness(case, monkeypatch)
        rendering, _ = render_heads(generator, z, label, scheduled, LossConfig(), randomness, update_w_avg=True)
    fake_logits = fake_inputs(rendering, label, scheduled).logits(discriminator)
    fake = discriminator_fake_loss(fake_logits)
    fake.mean().backward()
    real_logits = real_inputs(golden.photos(), scheduled, LossConfig()).logits(discriminator)
    real = discriminator_real_loss(real_logits)
    real.mean().backward()
    assert_close("loss", f"{case}/stat/Loss/scores/fake", fake_logits)
    assert_close("loss", f"{case}/stat/Loss/scores/real", real_logits)
    assert_close("loss", f"{case}/stat/Loss/D/loss", fake + real)
    golden.assert_gradients(case, discriminator)
    assert all(p.grad is None for p in generator.parameters())
    # Only this phase moves the running means.
    assert generator.camera_alignment is not None
    assert_close("loss", f"{case}/w_avg_after", generator.mapping_network.w_avg[:8])
    assert_close("loss", f"{case}/t_w_avg_after", generator.camera_alignment.mapping.w_avg)


def r1_of(
    discriminator: Discriminator, photos: RealBatch, scheduled: Scheduled, config: LossConfig | None = None
) -> GradientPenalty:
    """The penalty at photos as the discriminator gets them."""
    config = config or LossConfig()
    return r1_penalty(discriminator, real_inputs(photos, scheduled, config), config)


@pytest.mark.parametrize("phase", PHASES)
def test_r1_penalty_is_golden(phase: str) -> None:
    case = f"Dreg_{phase}"
    discriminator = golden.discriminator()
    result = r1_of(discriminator, golden.photos(), golden.scheduled(case))
    result.loss.backward()
    with torch.no_grad():
        logits = real_inputs(golden.photos(), golden.scheduled(case), LossConfig()).logits(discriminator)
    assert_close("loss", f"{case}/stat/Loss/scores/real", logits)
    assert_close("loss", f"{case}/stat/Loss/r1_penalty", result.image_penalty)
    assert_close("loss", f"{case}/stat/Loss/r1_penalty_seg", result.mask_penalty)
    assert_close("loss", f"{case}/stat/Loss/D/reg", (result.image_penalty + result.mask_penalty) / 2)
    golden.assert_gradients(case, discriminator, gain=16)


PLAIN = Scheduled(blur_sigma=0.0, density_noise=0.0, pose_swap_probability=0.5, neural_resolution=8)


def test_r1_gammas_weigh_their_own_part() -> None:
    discriminator, photos = golden.discriminator(), golden.photos()
    result = r1_of(discriminator, photos, PLAIN, LossConfig(r1_gamma=3.0, r1_gamma_mask=0.5))
    expected = (1.5 * result.image_penalty + 0.25 * result.mask_penalty).mean()
    torch.testing.assert_close(result.loss, expected)
    assert (result.mask_penalty > 0).all()


@pytest.mark.parametrize("variant", ["single", "dual"])
def test_r1_of_an_unused_input_is_zero(variant: str) -> None:
    torch.manual_seed(0)
    config = DiscriminatorConfig(variant=variant, resolution=16, channel_base=64, channel_max=8)  # type: ignore[arg-type]
    discriminator = Discriminator(config)
    photos = RealBatch(torch.randn(2, 3, 16, 16), torch.rand(2, 1, 16, 16), golden.photos().label[:2].clone())
    result = r1_of(discriminator, photos, PLAIN)
    result.loss.backward()
    assert result.mask_penalty.tolist() == [0, 0]
    assert (result.image_penalty > 0).all()


def test_r1_is_the_slope_of_the_logits() -> None:
    discriminator, photos = golden.discriminator(), golden.photos()
    batch = real_inputs(photos, PLAIN, LossConfig())
    inputs = [x.clone().requires_grad_() for x in (batch.image, batch.image_raw)]
    logits = replace(batch, image=inputs[0], image_raw=inputs[1]).logits(discriminator)
    gradients = torch.autograd.grad(logits.sum(), inputs)
    length = torch.cat([g.flatten() for g in gradients]).norm()

    @torch.no_grad()
    def ahead(distance: float) -> float:
        steps = [distance * g / length for g in gradients]
        moved = replace(
            batch,
            image=batch.image + steps[0],
            image_raw=batch.image_raw + steps[1],
        )
        return float(moved.logits(discriminator).double().sum())

    # Measured in steps along the gradient, the slope is the gradient's length.
    slope = (ahead(0.02) - ahead(-0.02)) / 0.04
    total = float(r1_of(discriminator, photos, PLAIN).image_penalty.sum().detach())
    assert total == pytest.approx(slope**2, rel=0.01)


def test_photos_are_brought_into_range_and_size() -> None:
    image = torch.tensor([0, 255], dtype=torch.uint8).repeat(96).reshape(1, 3, 8, 8)
    photos = RealBatch.from_uint8(image, image[:, :1], torch.zeros(1, 25))
    assert photos.image.unique().tolist() == [-1, 1]
    assert photos.mask.unique().tolist() == [0, 1]
    batch = real_inputs(photos, replace(PLAIN, neural_resolution=4), LossConfig())
    assert batch.image_raw.shape == (1, 3, 4, 4)
    # Columns of black and white have no mean at any smaller size but 0 and 1/2 (away from the sides).
    torch.testing.assert_close(batch.image_raw[..., 1:3], torch.zeros(1, 3, 4, 2))
    torch.testing.assert_close(batch.mask[..., 1:3], torch.full((1, 1, 4, 2), 0.5))
    assert torch.equal(batch.image, photos.image)


def test_blur_touches_the_images_the_original_blurs() -> None:
    blurred = replace(PLAIN, blur_sigma=1.0)
    photos = golden.photos()
    sharp, batch = (real_inputs(photos, s, LossConfig()) for s in (PLAIN, blurred))
    torch.testing.assert_close(batch.image, gaussian_blur(sharp.image, 1.0))
    torch.testing.assert_close(batch.image_raw, gaussian_blur(sharp.image_raw, 1.0))
    assert torch.equal(batch.mask, sharp.mask)

    z, label = z_and_label()
    with torch.no_grad():
        heads, _ = render_heads(golden.generator(), z, label, PLAIN, LossConfig(), LossRandomness(generator=_seeded()))
    batch = fake_inputs(heads, label, blurred)
    torch.testing.assert_close(batch.image, gaussian_blur(heads.image, 1.0))
    assert torch.equal(batch.image_raw, heads.image_raw)
    assert torch.equal(batch.label, label)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_all_randomness_comes_from_the_generator() -> None:
    network, (z, label) = golden.generator(), z_and_label()
    noisy = replace(PLAIN, density_noise=0.5)

    def image(generator: torch.Generator) -> torch.Tensor:
        with torch.no_grad():
            return render_heads(network, z, label, noisy, LossConfig(), LossRandomness(generator=generator))[0].image

    before = torch.get_rng_state()
    first, second, other = image(_seeded()), image(_seeded()), image(torch.Generator().manual_seed(6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_conditioning_swaps_with_the_neighbor() -> None:
    label = torch.arange(4.0)[:, None].expand(4, 25).contiguous()
    randomness = torch.tensor([0.1, 0.6, 0.2, 0.9])
    assert conditioning_label(label, 0.5, randomness)[:, 0].tolist() == [3, 1, 1, 3]
    assert torch.equal(conditioning_label(label, 0.0, randomness), label)
    assert conditioning_label(label, 1.0, randomness)[:, 7].tolist() == [3, 0, 1, 2]
    assert not conditioning_label(label, None, randomness).any()
    ws = torch.arange(4.0)[:, None, None].expand(4, 2, 3).contiguous()
    assert background_ws(ws, 0.5, randomness)[:, 1, 2].tolist() == [3, 1, 1, 3]


def test_swaps_happen_as_often_as_asked() -> None:
    label = torch.arange(25.0).expand(20000, 25) + torch.arange(20000.0)[:, None]
    swapped = conditioning_label(label, 0.3, uniform("swap", (20000,)))
    share = (swapped != label).any(dim=1).float().mean()
    assert float(share) == pytest.approx(0.3, abs=0.02)
