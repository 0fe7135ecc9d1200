"""Kinds of noise at places: their statistics, directions and scales."""

import numpy as np
import torch

from panohead.models.surface_noise import (
    DOME,
    SKULL,
    GrainNoise,
    HairNoise,
    PlaneNoise,
    StrandNoise,
    finer_points,
)

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


def sheet(side: int, width: float = 0.25, height: float = 0.25) -> torch.Tensor:
    """Points where parallel rays hit the front of the skull's cylinder and its dome, side by side."""
    line = (torch.arange(side) + 0.5) / side - 0.5
    y, x = torch.meshgrid(-line * height - 0.1, line * width, indexing="ij")
    z = (DOME**2 - x.square()).sqrt()
    return (torch.stack([x, y, z], dim=-1) + torch.tensor(SKULL)).flatten(0, 1)[None]


def test_channels_are_grain_then_strands_then_fine_ones() -> None:
    points = torch.cat([sheet(16), sheet(16) + 0.02], dim=1)  # two squares a head
    for count, grains, wide, fine in ((1, 1, 0, 0), (2, 1, 1, 0), (7, 4, 3, 0), (20, 6, 6, 2)):
        found = HairNoise(count)(points, 16)
        assert found.shape == (1, 512, count)
        torch.testing.assert_close(found[..., :grains], GrainNoise(grains)(points))
        if wide:
            torch.testing.assert_close(found[..., grains : grains + wide], StrandNoise(wide)(points, 16))
        assert found.shape[2] - grains - wide == 4 * fine


def test_fine_strands_are_those_of_the_pixels() -> None:
    """The four places of a ray are the pixels' own, so a finer grid of rays finds the same noise."""
    torch.testing.assert_close(  # interpolated: not at the border
        finer_points(sheet(32), 32).unflatten(1, (64, 64))[:, 2:-2, 2:-2],
        sheet(64).unflatten(1, (64, 64))[:, 2:-2, 2:-2],
        atol=1e-4,
        rtol=0,
    )
    found = HairNoise(16)(sheet(32), 32)[0, :, 8:].unflatten(0, (32, 32)).unflatten(2, (2, 4))
    for number, parts in enumerate(found.permute(2, 0, 1, 3)):
        pixels = StrandNoise(2, (256,), seed=3)(sheet(64), 64)[0, :, number].unflatten(0, (32, 2, 32, 2))
        expected = pixels.transpose(1, 2).flatten(2)
        torch.testing.assert_close(parts[2:-2, 2:-2], expected[2:-2, 2:-2], rtol=0, atol=0.02)


def test_strands_run_from_the_crown_down() -> None:
    """Along a line of falling hair the noise hardly changes over a distance at which it is another across it."""
    side = 64
    noise = StrandNoise(3)(sheet(side, 0.3, 0.3), side)[0].unflatten(0, (side, side))  # height width channel
    inner = noise[4:-4, 4:-4]
    assert 0.15 < float(inner.flatten(0, 1).std(0).min()) <= float(inner.flatten(0, 1).std(0).max()) < 1.2
    down = (inner[4:] - inner[:-4]).square().mean((0, 1))
    across = (inner[:, 4:] - inner[:, :-4]).square().mean((0, 1))
    assert (down < 0.3 * across).all()


def test_strands_have_no_seam_behind() -> None:
    side = 8
    line = torch.linspace(-0.02, 0.02, side)
    y, x = torch.meshgrid(torch.linspace(-0.2, -0.1, side), line, indexing="ij")
    behind = torch.stack([x, y, -(DOME**2 - x.square()).sqrt()], dim=-1) + torch.tensor(SKULL)
    noise = StrandNoise(1)(behind.flatten(0, 1)[None], side)[0, :, 0].unflatten(0, (side, side))
    steps = (noise[:, 1:] - noise[:, :-1]).abs()
    assert float(steps[:, side // 2 - 1].max()) < 2 * float(steps.max()) / 1.5


def test_strands_fade_where_rays_are_wider_apart() -> None:
    """At the crown, and for few rays: nothing from three texels a ray on, and the finest maps first."""
    top = sheet(16, 0.2, 0.2)
    x, z = top[..., 0], top[..., 1] + 0.1 - SKULL[1]
    crown = torch.stack([x * 0.02, torch.full_like(x, DOME), z * 0.02], dim=-1) + torch.tensor(SKULL)
    found = StrandNoise(3)(crown, 16)[0].unflatten(0, (16, 16))[7:9, 7:9]
    assert float(found.abs().max()) < 0.2
    dense, coarse = (StrandNoise(3)(sheet(side), side)[0].std(0) for side in (64, 6))
    assert float(coarse[0]) == 0
    assert float(dense[0]) > 0.3
    assert float(coarse[2]) > 0.3 * float(dense[2])
