"""Augmentation: each transform against the paper's description, images against analytic ones, the adaptive rule."""

import math
import sys
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.files.read_json import from_plain
from panohead.ops.resample import fir_filter, upfirdn2d
from panohead.training.augmentation import (
    AdaptiveProbability,
    AugmentConfig,
    TransformMultipliers,
    TransformStrengths,
    augment,
)
from panohead.training.augmentation.transforms import color_matrices, geometric_matrices
from panohead.training.augmentation.warp import HALF_BAND_TAPS, downsampling_matrix, upsampling_matrix, warp

GEOMETRY = (
    "x_flip",
    "quarter_turn",
    "integer_translation",
    "isotropic_scale",
    "rotation",
    "anisotropic_scale",
    "fractional_translation",
)
COLOR = ("brightness", "contrast", "luma_flip", "hue", "saturation")
CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(*names: str) -> AugmentConfig:
    """These transforms and no others."""
    return AugmentConfig(multipliers=TransformMultipliers(**{name: float(name in names) for name in GEOMETRY + COLOR}))


def images(batch: int, size: int, raw_size: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    rng = seeded(7)
    image = torch.rand(batch, 3, size, size, generator=rng, dtype=dtype) * 2 - 1
    raw = torch.rand(batch, 3, raw_size, raw_size, generator=rng, dtype=dtype) * 2 - 1
    return image, raw, torch.rand(batch, 1, raw_size, raw_size, generator=rng, dtype=dtype)


def places(batch: int, config: AugmentConfig, *, probability: float = 1.0, pixels: int = 32, seed: int = 0) -> Tensor:
    return geometric_matrices(batch, pixels, probability=probability, config=config, generator=seeded(seed))


def colors(batch: int, config: AugmentConfig, *, probability: float = 1.0, seed: int = 0) -> Tensor:
    return color_matrices(batch, probability=probability, config=config, generator=seeded(seed))


def waves(x: Tensor, y: Tensor) -> Tensor:
    """A smooth image over all the plane that is its own reflection about the edges at -1 and 1."""

    def wave(k: int, t: Tensor) -> Tensor:
        return torch.cos(math.pi * k * (t + 1) / 2)

    channels = [wave(3, x) * wave(2, y), wave(5, x) + wave(1, y), wave(1, x) * wave(7, y)]
    return torch.stack(channels) * 0.5


def centers(size: int) -> tuple[Tensor, Tensor]:
    along = (torch.arange(size) + 0.5) / (size / 2) - 1
    y, x = torch.meshgrid(along, along, indexing="ij")
    return x, y


def seen_through(function: Callable[[Tensor, Tensor], Tensor], sources: Tensor, size: int) -> Tensor:
    """The plain reference of a warp: the image's function at every pixel's source."""
    x, y = centers(size)
    result = []
    for (a, b, c), (d, e, f), _ in sources.tolist():
        result.append(function(a * x + b * y + c, d * x + e * y + f))
    return torch.stack(result)


# ---- the whole ----


def test_probability_zero_gives_the_very_tensors_and_draws_nothing() -> None:
    inputs, rng = images(2, 16, 8), seeded()
    state = rng.get_state()
    result = augment(*inputs, probability=0.0, config=AugmentConfig(), generator=rng)
    assert all(a is b for a, b in zip(result, inputs, strict=True))
    assert torch.equal(rng.get_state(), state)


def test_probability_one_changes_every_sample_and_is_repeatable() -> None:
    inputs = images(6, 32, 16)
    first, again, other = (
        augment(*inputs, probability=1.0, config=AugmentConfig(), generator=seeded(seed)) for seed in (1, 1, 2)
    )
    for before, a, b, c in zip(inputs, first, again, other, strict=True):
        assert a.shape == before.shape
        assert a.dtype == before.dtype
        assert torch.equal(a, b)
        assert ((a - before).abs().flatten(1).amax(1) > 0.05).all()
        assert not torch.equal(a, c)


def test_samples_that_draw_nothing_stay_to_the_bit() -> None:
    inputs = images(32, 16, 16)
    sources = places(32, AugmentConfig(), probability=0.1, pixels=16)
    still = (sources == torch.eye(3)).flatten(1).all(1)
    assert 4 < still.sum() < 28
    geometry = replace(AugmentConfig(), multipliers=only(*GEOMETRY[2:]).multipliers)
    result = augment(*inputs, probability=0.1, config=geometry, generator=seeded())
    for before, after in zip(inputs, result, strict=True):
        assert torch.equal((before == after).flatten(1).all(1), still)


def test_half_precision_keeps_its_type_and_the_values_of_fp32() -> None:
    image, raw, mask = images(3, 16, 8)
    halves = image.half(), raw.half(), mask.half()
    result = augment(*halves, probability=1.0, config=AugmentConfig(), generator=seeded())
    precise = augment(*(x.float() for x in halves), probability=1.0, config=AugmentConfig(), generator=seeded())
    for a, b in zip(result, precise, strict=True):
        assert a.dtype == torch.float16
        torch.testing.assert_close(a.float(), b, atol=5e-3, rtol=5e-3)


def test_autocast_does_not_make_it_coarse() -> None:
    inputs = images(3, 16, 8)
    expected = augment(*inputs, probability=1.0, config=AugmentConfig(), generator=seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = augment(*inputs, probability=1.0, config=AugmentConfig(), generator=seeded())
    for a, b in zip(result, expected, strict=True):
        assert torch.equal(a, b)


def test_gradient_is_that_of_finite_differences() -> None:
    inputs = tuple(x.requires_grad_() for x in images(2, 8, 6, torch.float64))

    def function(image: Tensor, raw: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return augment(image, raw, mask, probability=0.9, config=AugmentConfig(), generator=seeded(3))

    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    gradients = torch.autograd.grad(sum(x.sum() for x in function(*inputs)), inputs)
    assert all((g.abs().flatten(1).amax(1) > 0).all() for g in gradients)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_the_same_transform_gives_the_same_images() -> None:
    inputs = tuple(x.cuda() for x in images(4, 32, 16))
    first, again = (
        augment(*inputs, probability=1.0, config=AugmentConfig(), generator=torch.Generator("cuda").manual_seed(1))
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    sources = places(4, AugmentConfig())
    torch.testing.assert_close(warp(inputs[0], sources.cuda()).cpu(), warp(inputs[0].cpu(), sources), atol=1e-2, rtol=0)


# ---- geometry ----


def disc(x: Tensor, y: Tensor) -> Tensor:
    """1 in a disc off the center, with an edge as soft as a pixel of 64."""
    return torch.sigmoid((0.4 - torch.hypot(x - 0.15, y + 0.1)) * 64)[None]


def test_image_raw_image_and_mask_stay_aligned() -> None:
    batch, size, raw_size = 16, 128, 64
    image = (disc(*centers(size)) * 2 - 1).expand(batch, 3, -1, -1)
    raw = (disc(*centers(raw_size)) * 2 - 1).expand(batch, 3, -1, -1)
    mask = disc(*centers(raw_size)).expand(batch, 1, -1, -1)
    config = only(*GEOMETRY)
    sources = places(batch, config, pixels=raw_size, seed=5)
    image, raw, mask = augment(image, raw, mask, probability=1.0, config=config, generator=seeded(5))
    expected = seen_through(lambda x, y: disc(_reflected(x), _reflected(y)), sources, raw_size)

    def overlap(a: Tensor, b: Tensor) -> float:
        union = ((a > 0.5) | (b > 0.5)).flatten(1).sum(1)
        return float((((a > 0.5) & (b > 0.5)).flatten(1).sum(1) / union).min())

    assert overlap(mask, raw.mean(1, keepdim=True) / 2 + 0.5) == 1.0
    assert overlap(mask, F.avg_pool2d(image.mean(1, keepdim=True) / 2 + 0.5, 2)) > 0.98
    assert overlap(mask, expected) > 0.98


def _reflected(t: Tensor) -> Tensor:
    return 1 - (((t + 1) % 4) - 2).abs()


@pytest.mark.parametrize(("size", "allowed"), [(32, 0.015), (64, 0.004)])
def test_warp_is_the_image_seen_elsewhere(size: int, allowed: float) -> None:
    sources = places(12, only(*GEOMETRY), pixels=size)
    image = waves(*centers(size)).expand(12, 3, size, size)
    error = (warp(image, sources) - seen_through(waves, sources, size)).abs()
    assert error.max() < allowed
    assert error.mean() < allowed / 5


def test_rotating_there_and_back_gives_the_image_back() -> None:
    size = 64
    smooth = F.interpolate(torch.randn(2, 3, 16, 16, generator=seeded(3)), size=size, mode="bicubic")
    turn = torch.tensor([[math.cos(0.7), -math.sin(0.7), 0], [math.sin(0.7), math.cos(0.7), 0], [0, 0, 1]])
    there = warp(smooth, turn.expand(2, 3, 3))
    back = warp(there, turn.T.expand(2, 3, 3))
    x, y = centers(size)
    inside = torch.hypot(x, y) < 0.9  # what never leaves the image
    error = (back - smooth)[..., inside].square().mean().sqrt()
    assert (there - smooth)[..., inside].square().mean().sqrt() > 0.5
    assert error < 0.03 * smooth.std()
    # The paper's reason for upsampling: sampling the image itself loses much more.
    plain = smooth
    for matrix in (turn, turn.T):
        grid = F.affine_grid(matrix[:2].expand(2, 2, 3), [2, 3, size, size], align_corners=False)
        plain = F.grid_sample(plain, grid, padding_mode="reflection", align_corners=False)
    assert error < 0.4 * (plain - smooth)[..., inside].square().mean().sqrt()


def test_warp_by_nothing_whole_pixels_and_quarter_turns_keeps_pixels() -> None:
    x, eye, size = images(1, 32, 8)[0], torch.eye(3), 32
    shift = eye.clone()
    shift[0, 2], shift[1, 2] = -2 * 5 / size, 2 * 3 / size  # right by 5, up by 3
    shifted = torch.cat([x[..., :5].flip(-1), x[..., :-5]], dim=-1)
    shifted = torch.cat([shifted[..., 3:, :], shifted[..., -3:, :].flip(-2)], dim=-2)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for sources, expected in ((eye, x), (shift, shifted), (turn, x.rot90(1, (2, 3)))):
        torch.testing.assert_close(warp(x, sources[None]), expected, atol=0.01, rtol=0)
    mirrored = warp(x, torch.diag(torch.tensor([-1.0, 1, 1]))[None])
    torch.testing.assert_close(mirrored, warp(x, eye[None]).flip(3), atol=1e-5, rtol=0)


def test_resampling_matrices_are_the_filters_convolutions() -> None:
    taps = torch.tensor((*HALF_BAND_TAPS, *reversed(HALF_BAND_TAPS)))
    assert taps.sum().item() == pytest.approx(1, abs=1e-6)
    low_pass = fir_filter(taps.tolist())
    x, fine = images(1, 9, 28)[:2]
    reflected = torch.cat([x[..., :3].flip(-1), x, x[..., -3:].flip(-1)], dim=-1)
    reflected = torch.cat([reflected[..., :3, :].flip(-2), reflected, reflected[..., -3:, :].flip(-2)], dim=-2)
    enlarge, shrink = upsampling_matrix(9, CPU), downsampling_matrix(9, CPU)
    enlarged = upfirdn2d(reflected, low_pass, up=2, padding=(0, -1, 0, -1), gain=4)
    torch.testing.assert_close(enlarge @ x @ enlarge.T, enlarged, atol=1e-5, rtol=0)
    torch.testing.assert_close(shrink @ fine @ shrink.T, upfirdn2d(fine, low_pass, down=2), atol=1e-5, rtol=0)


def test_filter_gives_back_what_was_enlarged_and_stops_what_would_alias() -> None:
    taps = torch.tensor((*HALF_BAND_TAPS, *reversed(HALF_BAND_TAPS)), dtype=torch.float64)
    frequency = torch.linspace(0, math.pi, 501, dtype=torch.float64)
    response = (torch.exp(-1j * frequency[:, None] * torch.arange(12)) @ taps.to(torch.complex128)).abs()
    assert (response**2 + response.flip(0) ** 2 - 1).abs().max() < 0.004
    assert response[frequency > 0.75 * math.pi].max() < 0.02


def test_geometry_composes_in_the_papers_order() -> None:
    singles = [places(8, only(name)) for name in GEOMETRY if name != "rotation"]
    product = torch.eye(3)
    for single in singles:  # sources are the inverses: the last transform is looked through first
        product = product @ single
    torch.testing.assert_close(places(8, only(*(n for n in GEOMETRY if n != "rotation"))), product)


def test_rotation_comes_before_and_after_the_stretch() -> None:
    rotation = places(64, only("rotation"))[:, :2, :2]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(2).expand(64, 2, 2), atol=1e-6, rtol=0)
    stretch = places(64, only("anisotropic_scale"))[:, :2, :2]
    both = places(64, only("rotation", "anisotropic_scale"))[:, :2, :2]
    torch.testing.assert_close(torch.linalg.svdvals(both), torch.linalg.svdvals(stretch), atol=1e-5, rtol=0)
    for other in (rotation @ stretch, stretch @ rotation):
        assert (both - other).abs().max() > 0.05


def test_geometry_is_unbiased_and_as_strong_as_the_paper_says() -> None:
    count = 20000
    scale = places(count, only("isotropic_scale"))[:, 0, 0].log2()
    assert scale.mean().abs() < 0.01
    assert scale.std().item() == pytest.approx(0.2, rel=0.03)
    stretch = places(count, only("anisotropic_scale"))
    torch.testing.assert_close(stretch[:, 0, 0] * stretch[:, 1, 1], torch.ones(count))
    assert stretch[:, 0, 0].log2().mean().abs() < 0.01
    assert stretch[:, 0, 0].log2().std().item() == pytest.approx(0.2, rel=0.03)
    part = places(count, only("fractional_translation"))[:, :2, 2] / 2
    assert part.mean(0).abs().max() < 0.005
    assert part.std(0).tolist() == pytest.approx([0.125, 0.125], rel=0.03)
    whole = places(count, only("integer_translation"), pixels=64)[:, :2, 2] / 2 * 64
    assert torch.equal(whole, whole.round())
    assert whole.abs().max() == 8
    assert whole.mean(0).abs().max() < 0.15
    rotation = places(count, only("rotation"))
    assert rotation[:, :2, 0].mean(0).abs().max() < 0.02
    assert (places(count, only("x_flip"))[:, 0, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    turned = places(count, only("quarter_turn"))[:, :2, :2]
    assert torch.equal(turned, turned.round())
    assert turned.mean(0).abs().max() < 0.03


@pytest.mark.parametrize(
    "name", ["isotropic_scale", "rotation", "anisotropic_scale", "fractional_translation", "hue", "brightness"]
)
def test_transforms_are_drawn_as_often_as_asked(name: str) -> None:
    draw, eye = (colors, torch.eye(4)) if name in COLOR else (places, torch.eye(3))
    for multiplier, expected in ((1.0, 0.3), (0.5, 0.15), (10.0, 1.0), (0.0, 0.0)):
        config = AugmentConfig(multipliers=replace(only().multipliers, **{name: multiplier}))
        changed = (draw(5000, config, probability=0.3) != eye).flatten(1).any(1).float().mean().item()
        assert changed == pytest.approx(expected, abs=0.025)


def test_more_probability_adds_transforms_and_ablation_leaves_the_others() -> None:
    eye = torch.eye(3)
    few, many = (places(200, only("isotropic_scale"), probability=p) for p in (0.2, 0.7))
    drawn = (few != eye).flatten(1).any(1)
    assert 10 < drawn.sum() < 100
    assert torch.equal(few[drawn], many[drawn])
    assert (many != eye).flatten(1).any(1).sum() > drawn.sum()


# ---- color ----


def test_color_moves_no_pixel_and_leaves_the_mask() -> None:
    batch = 8
    regions = torch.randint(0, 4, (16, 16), generator=seeded(1))
    palette = torch.rand(4, 3, generator=seeded(2)) * 2 - 1
    image = palette[regions].permute(2, 0, 1).expand(batch, 3, 16, 16)
    raw, mask = image[:, :, ::2, ::2], images(batch, 8, 8)[2]
    new_image, new_raw, new_mask = augment(image, raw, mask, probability=1.0, config=only(*COLOR), generator=seeded(4))
    assert new_mask is mask
    assert torch.equal(new_raw, new_image[:, :, ::2, ::2])
    # The plain reference: color by color; the numbers of the geometry are drawn first.
    rng = seeded(4)
    geometric_matrices(batch, 8, probability=1.0, config=only(*COLOR), generator=rng)
    matrices = color_matrices(batch, probability=1.0, config=only(*COLOR), generator=rng)
    for sample in range(batch):
        for k in range(4):
            expected = (matrices[sample] @ torch.cat([palette[k], torch.ones(1)]))[:3]
            found = new_image[sample][:, regions == k]
            torch.testing.assert_close(found, expected[:, None].expand_as(found), atol=1e-5, rtol=1e-5)


def test_color_composes_in_the_papers_order() -> None:
    product = torch.eye(4)
    for name in COLOR:
        product = colors(8, only(name)) @ product
    torch.testing.assert_close(colors(8, only(*COLOR)), product, atol=1e-5, rtol=1e-5)


def test_each_color_transform_does_what_its_name_says() -> None:
    count = 20000
    gray = torch.full((3,), 3**-0.5)
    brightness = colors(count, only("brightness"))
    assert torch.equal(brightness[:, :3, :3], torch.eye(3).expand(count, 3, 3))
    assert torch.equal(brightness[:, 0, 3], brightness[:, 2, 3])
    assert brightness[:, 0, 3].mean().abs() < 0.01
    assert brightness[:, 0, 3].std().item() == pytest.approx(0.2, rel=0.03)

    contrast = colors(count, only("contrast"))[:, 0, 0]
    assert contrast.log2().mean().abs() < 0.02
    assert contrast.log2().std().item() == pytest.approx(0.5, rel=0.03)

    flip = colors(count, only("luma_flip"))[:, :3, :3]
    assert torch.linalg.det(flip).sign().mean().abs() < 0.02
    luma = flip @ gray
    torch.testing.assert_close(luma, torch.linalg.det(flip).sign()[:, None] * gray, atol=1e-5, rtol=0)

    hue = colors(count, only("hue"))[:, :3, :3]
    torch.testing.assert_close(hue @ hue.mT, torch.eye(3).expand(count, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(hue @ gray, gray.expand(count, 3), atol=1e-5, rtol=0)
    assert torch.linalg.det(hue).min() > 0.99
    angle = ((torch.diagonal(hue, dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1).acos()
    assert angle.mean().item() == pytest.approx(math.pi / 2, rel=0.03)

    saturation = colors(count, only("saturation"))[:, :3, :3]
    torch.testing.assert_close(saturation @ gray, gray.expand(count, 3), atol=1e-4, rtol=0)
    chroma = saturation @ torch.tensor([1.0, -1.0, 0.0])
    assert chroma[:, 0].log2().mean().abs() < 0.03
    assert chroma[:, 0].log2().std().item() == pytest.approx(1.0, rel=0.03)


# ---- configuration and the adaptive rule ----


def test_config_is_plain_json_and_refuses_nonsense() -> None:
    config = AugmentConfig(probability=0.2, multipliers=TransformMultipliers(hue=0.5))
    assert from_plain(AugmentConfig, asdict(config)) == config
    assert (config.multipliers.x_flip, config.multipliers.quarter_turn) == (0, 0)
    assert TransformStrengths() == AugmentConfig().strengths
    for wrong in ({"probability": 1.5}, {"target": 1.0}, {"speed_kimg": 0.0}, {"interval": 0}):
        with pytest.raises(PanoHeadError, match=str(next(iter(wrong.values())))):
            AugmentConfig(**wrong)
    with pytest.raises(PanoHeadError, match="hue"):
        TransformMultipliers(hue=-1)


def test_adaptive_rule_is_the_hand_computation() -> None:
    adaptive = AdaptiveProbability(AugmentConfig(target=0.6, speed_kimg=1.0, interval=4))
    assert adaptive.probability == 0
    adaptive.observe(torch.tensor([[3.0], [0.5], [1.0]]))
    adaptive.observe(torch.tensor([[2.0], [-0.1]]))
    assert adaptive.sums() == (3.0, 5.0)
    # The mean sign is 0.6, the target exactly: nothing changes, and it is forgotten.
    adaptive.probability = 0.5
    assert adaptive.update(32) == 0.5
    assert adaptive.sums() == (0.0, 0.0)
    adaptive.probability = 0.0
    adaptive.observe(torch.ones(4, 1))
    assert adaptive.update(32) == pytest.approx(32 * 4 / 1000)
    adaptive.observe(torch.ones(4, 1))
    assert adaptive.update(16) == pytest.approx(32 * 4 / 1000 + 16 * 4 / 1000)
    adaptive.observe(-torch.ones(4, 1))
    assert adaptive.update(32) == pytest.approx(16 * 4 / 1000)
    adaptive.observe(-torch.ones(4, 1))
    assert adaptive.update(32) == 0.0
    assert adaptive.update(32, sign_sum=64.0, count=64.0) == pytest.approx(0.128)
    assert adaptive.update(32) == pytest.approx(0.128)  # nothing observed
    for _ in range(10):
        last = adaptive.update(32, sign_sum=70.0, count=100.0)
    assert last == 1.0


def test_other_ranks_sums_outweigh_the_own() -> None:
    mine, theirs = (AdaptiveProbability(AugmentConfig()) for _ in range(2))
    mine.observe(torch.ones(2, 1))
    theirs.observe(-torch.ones(6, 1))
    (a, m), (b, n) = mine.sums(), theirs.sums()
    mine.probability = theirs.probability = 0.5
    assert mine.update(8, a + b, m + n) == theirs.update(8, a + b, m + n) < 0.5


def test_broken_logits_count_as_undecided() -> None:
    adaptive = AdaptiveProbability(AugmentConfig())
    adaptive.observe(torch.tensor([[math.nan], [math.inf], [-math.inf], [1.0]]))
    assert adaptive.sums() == (1.0, 4.0)


def test_adaptation_resumes_from_plain_numbers() -> None:
    first = AdaptiveProbability(AugmentConfig())
    first.update(32, 1.0, 1.0)
    first.observe(torch.ones(3, 1))
    state = first.state_dict()
    assert all(type(x) is float for x in state.values())
    second = AdaptiveProbability(AugmentConfig())
    second.load_state_dict(state)
    assert second.state_dict() == state
    assert second.update(32) == first.update(32) > 0


def test_fixed_probability_stays() -> None:
    fixed = AdaptiveProbability(AugmentConfig(probability=0.3))
    assert fixed.update(32, 1.0, 1.0) == 0.3
    fixed.load_state_dict(AdaptiveProbability(AugmentConfig()).state_dict())
    assert fixed.probability == 0.3


def test_without_asking_the_device_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU all samples are warped and recolored, and the identity's results are dropped."""
    image, raw, mask = torch.rand(6, 3, 32, 32) * 2 - 1, torch.rand(6, 3, 16, 16) * 2 - 1, torch.rand(6, 1, 16, 16)

    def run() -> tuple[torch.Tensor, ...]:
        rng = torch.Generator().manual_seed(1)
        return augment(image, raw, mask, probability=0.2, config=AugmentConfig(), generator=rng)

    expected = run()
    monkeypatch.setattr(sys.modules["panohead.training.augmentation.augment"], "reading_waits", lambda device: True)
    for found, wanted in zip(run(), expected, strict=True):
        assert torch.equal(found, wanted)
