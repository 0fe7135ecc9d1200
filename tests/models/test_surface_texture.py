"""Noise on surfaces: a place keeps its noise whatever the camera, and nothing changes before it is trained."""

from pathlib import Path

import torch

from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.geometry import Camera, rays_from_camera
from panohead.models.generator import Generator
from panohead.randomness import RenderRandomness
from panohead.rendering.deformation import canonical_points
from small_generator import BOX, small_config


def small(texture: int = 4, *, trained: bool = False, deformation: int = 0) -> Generator:
    torch.manual_seed(0)
    generator = Generator(small_config(deformation=deformation, deformation_rank=3, surface_texture=texture)).eval()
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
    expected = generator.surface_texture(points, 6) * found.weight_sum
    assert found.texture is not None
    torch.testing.assert_close(found.texture, expected)
    # Two views of one head at once.
    both = generator.render(field, Camera.orbit(30, 10).expand(2), 6, RenderRandomness.even())
    assert both.texture is not None
    for view in both.texture:
        torch.testing.assert_close(view, found.texture[0], rtol=1e-4, atol=1e-4)


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
