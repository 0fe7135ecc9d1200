"""The weight-free distance: laws of a distance, of degradations, and of sampling."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from panohead.errors import PanoHeadError
from panohead.evaluation.distributions.pyramid_patches import _enlarge, laplacian_pyramid
from panohead.evaluation.distributions.sliced_wasserstein import PyramidPatches, describe, join, sliced_wasserstein


def random_images(count: int, seed: int, side: int = 32) -> torch.Tensor:
    """Smooth random colors with texture: images that differ in place, color and grain."""
    generator = torch.Generator().manual_seed(seed)
    coarse = interpolate(torch.randn(count, 3, 4, 4, generator=generator), size=(side, side), mode="bilinear")
    return (0.4 * coarse + 0.15 * torch.randn(count, 3, side, side, generator=generator)).clamp(-1, 1)


def described(images: torch.Tensor, **options: int) -> PyramidPatches:
    return describe(images, seed=0, patches_per_image=16, **options)


def distance(first: torch.Tensor, second: torch.Tensor) -> float:
    return sliced_wasserstein(described(first), described(second), seed=0, projections=32, bootstrap=0).value


def test_identical_sets_are_at_distance_zero() -> None:
    result = sliced_wasserstein(described(random_images(20, 0)), described(random_images(20, 0)), seed=0)
    assert (result.value, result.low) == (0.0, 0.0)
    assert list(result.per_level) == [32, 16, 8]


def test_one_level_equals_the_plain_definition() -> None:
    first, second = described(random_images(9, 0)), described(random_images(9, 1))
    found = sliced_wasserstein(first, second, seed=3, projections=8, bootstrap=0).per_level[16]
    directions = np.random.default_rng((3, 16)).standard_normal((147, 8))
    directions /= np.linalg.norm(directions, axis=0)
    a, b = first.descriptors[16].double().numpy(), second.descriptors[16].double().numpy()
    mean, spread = a.mean(axis=(0, 1, 3), keepdims=True), a.std(axis=(0, 1, 3), keepdims=True, ddof=1)
    a, b = (((x - mean) / spread).reshape(-1, 147) @ directions for x in (a, b))
    assert found == pytest.approx(
        np.mean([np.abs(np.sort(a[:, k]) - np.sort(b[:, k])).mean() for k in range(8)]), rel=1e-5
    )


def test_the_distance_is_symmetric_up_to_normalization() -> None:
    first, second = random_images(60, 0), 0.5 * random_images(60, 1)
    # In units of one set's spread, twice as large as the other's, the same gap is half as wide.
    assert distance(second, first) == pytest.approx(2 * distance(first, second), rel=0.1)
    assert distance(first, random_images(60, 1)) == pytest.approx(distance(random_images(60, 1), first), rel=0.06)


@pytest.mark.parametrize("change", ["noise", "blur", "darker"])
def test_the_distance_grows_with_every_degradation(change: str) -> None:
    reference, base = random_images(80, 0), random_images(80, 1)
    noise = torch.randn(base.shape, generator=torch.Generator().manual_seed(5))
    degraded = {
        "noise": [base + amount * noise for amount in (0.0, 0.1, 0.3, 1.0)],
        "blur": [base, *(interpolate(avg_pool2d(base, k), scale_factor=k, mode="bilinear") for k in (2, 4, 8))],
        "darker": [base - amount for amount in (0.0, 0.2, 0.5, 0.8)],
    }[change]
    values = [distance(reference, images) for images in degraded]
    assert values == sorted(values)
    assert values[-1] > 3 * values[0]


def test_the_whole_image_is_compared() -> None:
    """Images upside down have the same fine patches: the coarsest level tells them apart."""
    ramp = torch.linspace(-0.5, 0.5, 32)[None, None, :, None]
    reference, other = random_images(80, 0) + ramp, (random_images(80, 1) + ramp).flip(2)
    levels = sliced_wasserstein(described(reference), described(other), seed=0, bootstrap=0).per_level
    assert levels[8] > 10 * levels[32]


def test_the_floor_falls_with_the_square_root_of_the_number_of_images() -> None:
    few = np.mean([distance(random_images(25, 2 * k), random_images(25, 2 * k + 1)) for k in range(6)])
    many = np.mean([distance(random_images(400, 100 + 2 * k), random_images(400, 101 + 2 * k)) for k in range(3)])
    assert few / many == pytest.approx(math.sqrt(400 / 25), rel=0.3)


def test_batches_of_any_size_give_the_same_numbers() -> None:
    images = random_images(11, 0)
    batches = join(described(images[i : i + 4], first_index=i) for i in (0, 4, 8))
    for side, whole in described(images).descriptors.items():
        torch.testing.assert_close(batches.descriptors[side], whole, rtol=0, atol=1e-6)


def test_the_pyramid_adds_up_to_the_image() -> None:
    images = random_images(2, 0, side=64)
    levels = list(laplacian_pyramid(images).values())
    total = levels[-1]
    for level in reversed(levels[:-1]):
        total = _enlarge(total) + level
    torch.testing.assert_close(total, images)
    flat = laplacian_pyramid(torch.ones(1, 3, 64, 64))
    torch.testing.assert_close(flat[16], torch.ones(1, 3, 16, 16))


def test_the_interval_is_that_of_repeated_draws() -> None:
    """Its width against the spread of the value over new sets, at a distance well above the baseline."""
    results = [
        sliced_wasserstein(
            described(random_images(60, 2 * k)),
            described(random_images(60, 2 * k + 1) * 0.6 - 0.3),
            seed=0,
            projections=32,
        )
        for k in range(25)
    ]
    spread = np.std([result.value for result in results])
    width = np.mean([result.high - result.low for result in results]) / (2 * 1.96)
    assert all(result.low <= result.value <= result.high for result in results)
    assert 0.7 < width / spread < 1.5


def test_sets_of_different_size_can_be_compared() -> None:
    images = random_images(200, 0)
    assert distance(images, images[:100]) < 0.5 * distance(images, images[:100] - 0.2)


def test_bad_sets_are_refused_in_one_sentence() -> None:
    with pytest.raises(PanoHeadError, match="at least two"):
        distance(random_images(1, 0), random_images(5, 0))
    with pytest.raises(PanoHeadError, match="different levels"):
        distance(random_images(5, 0), random_images(5, 0, side=64))
    with pytest.raises(PanoHeadError, match="square"):
        described(torch.zeros(2, 3, 16, 32))
    with pytest.raises(PanoHeadError, match="levels"):
        describe(random_images(2, 0), seed=0, levels=[20])
