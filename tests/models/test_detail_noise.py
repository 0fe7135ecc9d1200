"""Noise of hair: statistics, directions, widths, and the same numbers for ever."""

import math

import pytest
import torch

from panohead.models.detail_noise import DETAIL_CHANNELS, DETAIL_WIDTHS, GRAINS, STRANDS, DetailNoise
from panohead.models.surface_noise import DOME, SKULL
from panohead.ops import fast_paths
from panohead.ops.cpu.jit import available

NOISE = DetailNoise()


def on_dome(count: int, lowest_deg: float = 80.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random angles around and from the crown (radians), and the points of the dome there."""
    rng = torch.Generator().manual_seed(seed)
    around = (torch.rand(count, generator=rng) * 2 - 1) * math.pi
    down = (0.2 + torch.rand(count, generator=rng) * (math.radians(lowest_deg) - 0.2)).clamp_min(0)
    return around, down, place(around, down)


def place(around: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    flat = torch.stack([down.sin() * around.sin(), down.cos(), down.sin() * around.cos()], dim=1)
    return flat * DOME + torch.tensor(SKULL)


def test_every_channel_has_mean_0_and_variance_1_and_is_unlike_the_others() -> None:
    noise = NOISE(on_dome(20_000)[2])
    assert noise.shape == (20_000, DETAIL_CHANNELS)
    assert float(noise.mean(dim=0).abs().max()) < 0.15
    assert 0.8 < float(noise.var(dim=0).min()) <= float(noise.var(dim=0).max()) < 1.2
    assert float((torch.corrcoef(noise.T) - torch.eye(DETAIL_CHANNELS)).abs().max()) < 0.1


def test_strands_run_from_the_crown_down() -> None:
    """Along a strand the noise changes much less than across it; grain has no direction."""
    around, down, points = on_dome(10_000)
    step = 0.004
    along = NOISE(place(around, down + step / DOME)) - NOISE(points)
    across = NOISE(place(around + step / (DOME * down.sin()), down)) - NOISE(points)
    ratio = (along.square().mean(dim=0) / across.square().mean(dim=0)).sqrt()
    assert float(ratio[: len(STRANDS)].max()) < 0.4
    assert 0.8 < float(ratio[len(STRANDS) :].min()) <= float(ratio[len(STRANDS) :].max()) < 1.25


@pytest.mark.parametrize("channel", range(len(STRANDS)))
def test_strands_are_as_wide_near_the_crown_as_below(channel: int) -> None:
    around = torch.rand(8_000, generator=torch.Generator().manual_seed(2)) * 6
    step = DETAIL_WIDTHS[channel] / 3
    changes = []
    for degrees in (25.0, 50.0, 80.0):
        down = torch.full_like(around, math.radians(degrees))
        moved = around + step / (DOME * math.sin(math.radians(degrees)))
        changes.append(float((NOISE(place(moved, down)) - NOISE(place(around, down)))[:, channel].square().mean()))
    # A table has half as many strands as the next; tables of one number alone would differ 5.4 times.
    assert max(changes) < 2.5 * min(changes), changes


def test_around_the_head_there_is_no_border() -> None:
    down = torch.linspace(0.4, 1.4, 200)
    left, right = (NOISE(place(torch.full_like(down, angle), down)) for angle in (math.pi - 1e-4, -math.pi + 1e-4))
    assert float((left - right).abs().max()) < 0.1


def test_below_the_dome_strands_fall_straight() -> None:
    """Apart from their waves: a short step down changes little, however far below."""
    rng = torch.Generator().manual_seed(3)
    angle = torch.rand(4_000, generator=rng) * 6
    points = torch.stack([0.2 * angle.sin(), -0.3 * torch.rand(4_000, generator=rng), 0.2 * angle.cos()], dim=1)
    points = points + torch.tensor(SKULL)
    lower, beside = points.clone(), points.clone()
    lower[:, 1] -= 0.003
    beside[:, 0] += 0.003 * angle.cos()
    beside[:, 2] -= 0.003 * angle.sin()
    along, across = (((NOISE(x) - NOISE(points))[:, : len(STRANDS)].square().mean(dim=0)) for x in (lower, beside))
    assert bool((along < 0.15 * across).all())


def test_grains_have_their_widths() -> None:
    points = (torch.rand(10_000, 3, generator=torch.Generator().manual_seed(1)) - 0.5) * 0.3
    moved = points + torch.tensor([0.004, 0, 0])
    change = (NOISE(moved) - NOISE(points))[:, len(STRANDS) :].square().mean(dim=0)
    assert float(change[0] / change[1]) > 1.4 * (GRAINS[1] / GRAINS[0]) / 2


def test_noise_is_the_same_everywhere_and_always() -> None:
    """Numbers of RandomState(4), whose stream NumPy guarantees, and what was read from them once."""
    assert NOISE.get_buffer("wave")[0, 0, :3].tolist() == pytest.approx([0.05056171, 0.49995133, -0.99590893])
    found = NOISE(torch.tensor([[0.1, 0.2, 0.1], [0.0, -0.1, -0.25]]))
    expected = [0.97080, -0.12915, -0.05021, -1.58532, -1.39083], [0.48947, 1.60505, 0.50672, -2.40866, -0.71021]
    assert found.tolist() == [pytest.approx(row, abs=2e-4) for row in expected]


@pytest.mark.skipif(not available(), reason="numba is not installed")
def test_the_compiled_loop_reads_the_same_noise() -> None:
    """Also beyond the tables' borders, exactly behind the head and at the crown."""
    rng = torch.Generator().manual_seed(5)
    points = (torch.rand(4_000, 3, generator=rng) - 0.5) * 1.6
    points[0], points[1] = torch.tensor(SKULL), torch.tensor(SKULL) + torch.tensor([0.0, 0.1, -0.2])
    with fast_paths.plain_only():
        plain = NOISE(points)
    # Points a rounding apart may lie in two tables or on two sides of the seam.
    close = (NOISE(points) - plain).abs().amax(dim=1) < 2e-3
    assert float(close.float().mean()) > 0.999
    assert bool(close[1])
