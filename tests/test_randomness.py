"""The random numbers of a rendering: given ones stay, others are drawn in their order from the given generator."""

import pytest
import torch

from panohead.randomness import RenderRandomness
from panohead.training.conditioning import LossRandomness

RAYS = torch.zeros(2, 5, 3)


def test_even_is_the_middle_of_strata_and_quantiles() -> None:
    even = RenderRandomness.even()
    assert torch.equal(even.jitter(RAYS, 4), torch.full((2, 5, 4), 0.5))
    expected = torch.tensor([0.125, 0.375, 0.625, 0.875]).expand(2, 5, 4)
    assert torch.equal(even.quantiles(RAYS, 4), expected)
    assert even.quantiles(RAYS.double(), 4).dtype == torch.float64
    assert even.noise_mode == "const"


def test_even_draws_nothing() -> None:
    before = torch.get_rng_state()
    even = RenderRandomness.even()
    even.jitter(RAYS, 4), even.quantiles(RAYS, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_given_numbers_stay() -> None:
    jitter, u = torch.rand(2, 5, 4), torch.rand(10, 3)
    given = RenderRandomness(ray_jitter=jitter, importance_u=u)
    assert torch.equal(given.jitter(RAYS, 4), jitter)
    assert torch.equal(given.quantiles(RAYS, 3), u.reshape(2, 5, 3))
    one_for_all = RenderRandomness(ray_jitter=0.25, importance_u=0.75)
    assert torch.equal(one_for_all.jitter(RAYS, 4), torch.full((2, 5, 4), 0.25))
    assert torch.equal(one_for_all.quantiles(RAYS, 3), torch.full((2, 5, 3), 0.75))


def test_numbers_of_another_shape_are_refused() -> None:
    with pytest.raises(RuntimeError, match="expand"):
        RenderRandomness(ray_jitter=torch.rand(2, 5, 3)).jitter(RAYS, 4)


def test_missing_numbers_come_from_the_generator_in_the_order_of_calls() -> None:
    seeded, plain = RenderRandomness.seeded(3, noise_mode="random"), torch.Generator().manual_seed(3)
    assert seeded.noise_mode == "random"
    assert torch.equal(seeded.jitter(RAYS, 4), torch.rand(2, 5, 4, generator=plain))
    assert torch.equal(seeded.normal(None, RAYS), torch.randn(2, 5, 3, generator=plain))
    assert torch.equal(seeded.quantiles(RAYS, 3), torch.rand(10, 3, generator=plain).reshape(2, 5, 3))
    assert not torch.equal(RenderRandomness.seeded(4).jitter(RAYS, 4), RenderRandomness.seeded(3).jitter(RAYS, 4))


def test_a_loss_has_the_random_numbers_of_its_rendering_and_more() -> None:
    assert isinstance(LossRandomness(), RenderRandomness)
    assert LossRandomness().noise_mode == "random"
    even = LossRandomness.even()
    assert isinstance(even, LossRandomness)
    assert (even.noise_mode, even.pose_swap) == ("const", None)
