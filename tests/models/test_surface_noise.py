"""Kinds of noise at places: their statistics, directions and scales."""

import math

import numpy as np
import torch

from panohead.models import surface_noise
from panohead.models.surface_noise import GrainNoise, HairNoise, PlaneNoise, StrandNoise, points_within_rays

BOX = 0.8


def some_points(count: int = 200) -> torch.Tensor:
    return (torch.rand(2, count, 3, generator=torch.Generator().manual_seed(1)) - 0.5) * BOX


def test_planes_are_noise() -> None:
    """Mean 0, variance near 1, channels unlike each other; the second half is long along y."""
    planes = PlaneNoise(6, box_warp=BOX)
    noise = planes(some_points(4000), 1).flatten(0, 1)
    assert float(noise.mean(0).abs().max()) < 0.1
    # Between texels bilinear interpolation averages: 4/9 of the variance is left on the whole.
    assert 0.3 < float(noise.var(0).min()) <= float(noise.var(0).max()) < 0.7
    correlation = torch.corrcoef(noise.T) - torch.eye(6)
    assert float(correlation.abs().max()) < 0.1
    step = BOX / 128  # a texel
    for axis, long in ((0, False), (1, True), (2, False)):
        moved = some_points(4000)
        moved[..., axis] += step
        change = (planes(moved, 1) - planes(some_points(4000), 1)).flatten(0, 1).square().mean(0)
        isotropic, falling = change[:3].mean(), change[3:].mean()
        assert (float(falling) < 0.3 * float(isotropic)) == long, axis


def test_noise_is_the_same_everywhere_and_always() -> None:
    """Three numbers of RandomState(0), whose stream NumPy guarantees."""
    maps = PlaneNoise(2, box_warp=BOX).maps
    np.testing.assert_allclose(maps[0, 0, 0, :3].numpy(), [1.7640524, 0.4001572, 0.978738], rtol=1e-6)


def test_grain_is_noise_of_three_scales_without_a_direction() -> None:
    grain, points = GrainNoise(5), some_points(4000)
    noise = grain(points).flatten(0, 1)
    assert float(noise.mean(0).abs().max()) < 0.1
    # Between texels trilinear interpolation averages: 8/27 of the variance is left on the whole.
    assert 0.2 < float(noise.var(0).min()) / 0.05**2 <= float(noise.var(0).max()) / 0.05**2 < 0.45
    correlation = torch.corrcoef(noise.T) - torch.eye(5)
    assert float(correlation.abs().max()) < 0.1
    for axis in range(3):
        moved = points.clone()
        moved[..., axis] += 0.02  # a texel of channels 0 and 3, half a one of 1 and 4, a quarter of 2
        change = (grain(moved).flatten(0, 1) - noise).square().mean(0)
        assert float(change[[0, 3]].min()) > 1.5 * float(change[[1, 4]].max()) > 2 * float(change[2]), axis


def test_channels_are_grain_then_strands_then_fine_ones() -> None:
    points = some_points(2 * 9 * 9)  # two squares a head
    for count, grains, wide, fine in ((1, 1, 0, 0), (2, 1, 1, 0), (7, 4, 3, 0), (20, 6, 6, 2)):
        found = HairNoise(count)(points, 9)
        assert found.shape == (2, 162, count)
        torch.testing.assert_close(found[..., :grains], GrainNoise(grains)(points))
        if wide:
            torch.testing.assert_close(found[..., grains : grains + wide], StrandNoise(wide)(points))
        assert found.shape[2] - grains - wide == 4 * fine


def test_fine_strands_are_those_of_the_pixels() -> None:
    """On a plane the four places of a ray are the pixels' own, so a finer grid of rays finds the same noise."""

    def plane(side: int) -> torch.Tensor:
        line = (torch.arange(side) + 0.5) / side - 0.5
        y, x = torch.meshgrid(line, line, indexing="ij")
        return torch.stack([x, -y, 0.2 + 0.1 * x], dim=-1).flatten(0, 1)[None]

    torch.testing.assert_close(
        points_within_rays(plane(8), 8).unflatten(1, (8, 8, 2, 2))[:, 1:-1, 1:-1],  # interpolated: not at the border
        plane(16).unflatten(1, (8, 2, 8, 2)).transpose(2, 3)[:, 1:-1, 1:-1],
    )
    found = HairNoise(16)(plane(32), 32)[0, :, 8:].unflatten(0, (32, 32)).unflatten(2, (2, 4))
    for map_, parts in enumerate(found.permute(2, 0, 1, 3)):
        pixels = StrandNoise(2, (256,), seed=3)(plane(64))[0, :, map_].unflatten(0, (32, 2, 32, 2))
        torch.testing.assert_close(
            parts[1:-1, 1:-1], pixels.transpose(1, 2).flatten(2)[1:-1, 1:-1], rtol=1e-3, atol=1e-3
        )


def on_the_head(around: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
    """Points of a cylinder of the skull's radius, ``height`` below its center."""
    center, radius = torch.tensor(surface_noise._SKULL), surface_noise._DOME
    x, y, z = radius * torch.sin(around), -height, radius * torch.cos(around)
    return (torch.stack([x, y, z], dim=-1) + center)[None]


def test_strands_run_from_the_crown_down() -> None:
    """Along a line of falling hair the noise hardly changes over a distance at which it is another across it."""
    strands, random = StrandNoise(3), torch.Generator().manual_seed(0)
    around = (torch.rand(4000, generator=random) * 2 - 1) * math.pi
    height = torch.rand(4000, generator=random) * 0.3
    here = strands(on_the_head(around, height))[0]
    assert float(here.mean(0).abs().max()) < 0.15
    assert 0.3 < float(here.var(0).min()) <= float(here.var(0).max()) < 0.8
    width = 2 * math.pi * surface_noise._DOME / 128  # of a texel of the finest map
    below = strands(on_the_head(around, height + width))[0]
    beside = strands(on_the_head(around + 2 * math.pi / 128, height))[0]
    down, across = ((x - here).square().mean(0) for x in (below, beside))
    assert (down < 0.1 * across).all()
    # The dome: the same angle higher up is the same strand.
    for angle in (0.3, 0.6):
        line = torch.tensor(surface_noise._SKULL) + surface_noise._DOME * torch.stack(
            [math.sin(angle) * around.sin(), torch.full_like(around, math.cos(angle)), math.sin(angle) * around.cos()],
            dim=-1,
        )
        on_dome, above = strands(line[None])[0], strands((line + torch.tensor([0, 0.002, 0]))[None])[0]
        assert float((on_dome - above).square().mean()) < 0.02


def test_strands_have_no_seam_behind_and_fade_at_the_crown() -> None:
    strands = StrandNoise(4)
    height = torch.linspace(0, 0.3, 100)
    left, right = (strands(on_the_head(torch.full((100,), x), height)) for x in (math.pi - 1e-4, -math.pi + 1e-4))
    assert left.shape == (1, 100, 4)
    torch.testing.assert_close(left, right, atol=2e-2, rtol=0)
    crown = torch.tensor(surface_noise._SKULL) + torch.tensor([0, surface_noise._DOME, 0])
    assert not strands(crown[None, None]).any()
