"""Noise on surfaces: a place keeps its noise whatever the camera, and nothing changes before it is trained."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.geometry import Camera, rays_from_camera
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.models.surface_texture import _DOME, _SKULL, Strands, SurfaceTexture
from panohead.randomness import RenderRandomness
from panohead.rendering.deformation import canonical_points
from panohead.rendering.renderer import RenderConfig
from panohead.system.bounds import OutOfRange

BOX = 0.8


def small(texture: int = 4, *, trained: bool = False, deformation: int = 0) -> Generator:
    torch.manual_seed(0)
    generator = Generator(
        GeneratorConfig(
            z_dim=8,
            w_dim=16,
            trigrid_resolution=16,
            trigrid_channels=16,
            feature_channels=8,
            channel_base=256,
            channel_max=16,
            neural_rendering_resolution=16,
            rendering=RenderConfig(depth_samples=8, importance_samples=8, ray_start=2.3, ray_end=3.1, box_warp=BOX),
            superresolution=SuperResolutionConfig(kind="2x", from_resolution=16, half_precision=False, channels=(8, 8)),
            use_background=False,
            use_camera_alignment=False,
            deformation=deformation,
            deformation_rank=3,
            surface_texture=texture,
        )
    ).eval()
    if trained:
        assert generator.surface_texture is not None
        torch.nn.init.normal_(generator.surface_texture.weight)
    return generator


def some_points(count: int = 200) -> torch.Tensor:
    return (torch.rand(2, count, 3, generator=torch.Generator().manual_seed(1)) - 0.5) * BOX


@torch.no_grad()
def test_untrained_it_changes_nothing() -> None:
    textured, plain = small(), small(0)
    assert textured.state_dict().keys() - plain.state_dict().keys() == {"surface_texture.weight"}
    textured.load_state_dict(plain.state_dict(), strict=False)
    ws, label = torch.randn(2, textured.backbone.num_ws, 16), Camera.orbit(30, 10).to_label().expand(2, -1)
    ours, theirs = (g.synthesis(ws, label, ray_jitter=0.5, importance_u=0.5).image for g in (textured, plain))
    assert torch.equal(ours, theirs)


@torch.no_grad()
def test_trained_it_changes_the_image_alone() -> None:
    textured, plain = small(trained=True), small(0)
    plain.load_state_dict(textured.state_dict(), strict=False)
    ws, label = torch.randn(1, plain.backbone.num_ws, 16), Camera.orbit(0, 0).to_label()[None]
    ours, theirs = (g.synthesis(ws, label, ray_jitter=0.5, importance_u=0.5) for g in (textured, plain))
    for name in ("image_raw", "depth", "features", "weights"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert float((ours.image - theirs.image).abs().max()) > 1e-3


@torch.no_grad()
def test_rows_of_rays_hit_the_noise_of_their_points() -> None:
    """By hand: depth along every ray, the network at that point of canonical space, times the weight."""
    generator = small(trained=True, deformation=3)
    assert generator.surface_texture is not None
    assert generator.deformation is not None
    torch.nn.init.normal_(generator.deformation.offsets.bias)
    ws, camera = torch.randn(1, generator.backbone.num_ws, 16), Camera.orbit(30, 10)
    field, views = generator.field(ws), camera.expand(1)
    found = generator.render(field, views, 6, RenderRandomness.even())
    origins, directions = rays_from_camera(views, 6)
    points = canonical_points(origins + found.depth * directions, field.deformation, BOX)  # type: ignore[arg-type]
    expected = generator.surface_texture(points) * found.weight_sum
    assert found.texture is not None
    torch.testing.assert_close(found.texture, expected)
    # Two views of one head at once.
    both = generator.render(field, Camera.orbit(30, 10).expand(2), 6, RenderRandomness.even())
    assert both.texture is not None
    for view in both.texture:
        torch.testing.assert_close(view, found.texture[0], rtol=1e-4, atol=1e-4)


def test_noise_is_noise() -> None:
    """Mean 0, variance near 1, channels unlike each other; the second half is long along y."""
    texture = SurfaceTexture(6, 3, box_warp=BOX)
    noise = texture.noise(some_points(4000)).flatten(0, 1)
    assert float(noise.mean(0).abs().max()) < 0.1
    # Between texels bilinear interpolation averages: 4/9 of the variance is left on the whole.
    assert 0.3 < float(noise.var(0).min()) <= float(noise.var(0).max()) < 0.7
    correlation = torch.corrcoef(noise.T) - torch.eye(6)
    assert float(correlation.abs().max()) < 0.1
    step = BOX / 128  # a texel
    for axis, long in ((0, False), (1, True), (2, False)):
        moved = some_points(4000)
        moved[..., axis] += step
        change = (texture.noise(moved) - texture.noise(some_points(4000))).flatten(0, 1).square().mean(0)
        isotropic, falling = change[:3].mean(), change[3:].mean()
        assert (float(falling) < 0.3 * float(isotropic)) == long, axis


def test_noise_is_the_same_everywhere_and_always() -> None:
    """Three numbers of RandomState(0), whose stream NumPy guarantees."""
    maps = SurfaceTexture(2, 1, box_warp=BOX).maps
    np.testing.assert_allclose(maps[0, 0, 0, :3].numpy(), [1.7640524, 0.4001572, 0.978738], rtol=1e-6)


def test_gradients_reach_the_layer_and_not_the_depth() -> None:
    generator = small(trained=True)
    assert generator.surface_texture is not None
    ws = torch.randn(1, generator.backbone.num_ws, 16, requires_grad=True)
    found = generator.render(generator.field(ws), Camera.orbit(0, 0).expand(1), 8, RenderRandomness.even())
    assert found.texture is not None
    grads = torch.autograd.grad(
        found.texture.sum(), [generator.surface_texture.weight, found.weight_sum], retain_graph=True
    )
    assert all(float(x.abs().max()) > 0 for x in grads)
    assert torch.autograd.grad(found.texture.sum(), found.depth, allow_unused=True) == (None,)


def test_files_hold_the_layer_and_not_the_noise(tmp_path: Path) -> None:
    generator = small(trained=True)
    path = tmp_path / "head.safetensors"
    save_checkpoint(path, {"G_ema": generator})
    again = load_checkpoint(path).networks["G_ema"]
    assert isinstance(again, Generator)
    assert again.config == generator.config
    ws, label = torch.randn(1, generator.backbone.num_ws, 16), Camera.orbit(30, 10).to_label()[None]
    with torch.no_grad():
        ours, theirs = (g.synthesis(ws, label, ray_jitter=0.5, importance_u=0.5).image for g in (generator, again))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def on_the_head(around: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
    """Points of a cylinder of the skull's radius, ``height`` below its center."""
    center, radius = torch.tensor(_SKULL), _DOME
    x, y, z = radius * torch.sin(around), -height, radius * torch.cos(around)
    return (torch.stack([x, y, z], dim=-1) + center)[None]


def test_strands_run_from_the_crown_down() -> None:
    """Along a line of falling hair the noise hardly changes over a distance at which it is another across it."""
    strands, random = Strands(3), torch.Generator().manual_seed(0)
    around = (torch.rand(4000, generator=random) * 2 - 1) * math.pi
    height = torch.rand(4000, generator=random) * 0.3
    here = strands(on_the_head(around, height))[0]
    assert float(here.mean(0).abs().max()) < 0.15
    assert 0.3 < float(here.var(0).min()) <= float(here.var(0).max()) < 0.8
    width = 2 * math.pi * _DOME / 128  # of a texel of the finest map
    below = strands(on_the_head(around, height + width))[0]
    beside = strands(on_the_head(around + 2 * math.pi / 128, height))[0]
    down, across = ((x - here).square().mean(0) for x in (below, beside))
    assert (down < 0.1 * across).all()
    # The dome: the same angle higher up is the same strand.
    for angle in (0.3, 0.6):
        line = torch.tensor(_SKULL) + _DOME * torch.stack(
            [math.sin(angle) * around.sin(), torch.full_like(around, math.cos(angle)), math.sin(angle) * around.cos()],
            dim=-1,
        )
        on_dome, above = strands(line[None])[0], strands((line + torch.tensor([0, 0.002, 0]))[None])[0]
        assert float((on_dome - above).square().mean()) < 0.02


def test_strands_have_no_seam_behind_and_fade_at_the_crown() -> None:
    strands = Strands(4)
    height = torch.linspace(0, 0.3, 100)
    left, right = (strands(on_the_head(torch.full((100,), x), height)) for x in (math.pi - 1e-4, -math.pi + 1e-4))
    assert left.shape == (1, 100, 4)
    torch.testing.assert_close(left, right, atol=2e-2, rtol=0)
    crown = torch.tensor(_SKULL) + torch.tensor([0, _DOME, 0])
    assert not strands(crown[None, None]).any()


def test_strands_without_a_texture_are_refused() -> None:
    with pytest.raises(OutOfRange, match="surface_strands is 2 without a surface_texture"):
        GeneratorConfig(surface_strands=2)
