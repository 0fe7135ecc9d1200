"""Detail of surfaces: nothing before it is trained, then strength times noise of the places that pixels show."""

from pathlib import Path

import torch

from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.geometry import Camera
from panohead.models.detail_noise import DETAIL_CHANNELS
from panohead.models.generator import Generator
from panohead.models.surface_detail import SurfaceDetail, rays_to_pixels, with_detail
from panohead.randomness import RenderRandomness
from small_generator import small_config


def small(*, detail: bool = True, trained: bool = False) -> Generator:
    torch.manual_seed(0)
    generator = Generator(small_config(surface_detail=detail)).eval()
    if trained:
        assert generator.surface_detail is not None
        assert generator.surface_detail.strength.bias is not None
        torch.nn.init.constant_(generator.surface_detail.strength.bias, 0.0)
    return generator


def images(generator: Generator, *angles: float, superresolve: bool = True) -> torch.Tensor:
    ws = torch.randn(1, generator.backbone.num_ws, 16, generator=torch.Generator().manual_seed(1))
    field = generator.field(ws)
    cameras = [Camera.orbit(angle, 5).expand(1) for angle in angles]
    with torch.no_grad():
        return torch.cat(
            [generator.render_view(field, ws, camera, superresolve=superresolve).image for camera in cameras]
        )


def test_untrained_it_changes_nothing() -> None:
    plain = small(detail=False)
    plain.load_state_dict(small().state_dict(), strict=False)
    torch.testing.assert_close(images(small(), 0, 50), images(plain, 0, 50), rtol=0, atol=1e-6)


def test_trained_it_changes_the_image_and_no_preview() -> None:
    ours, plain = small(trained=True), small(detail=False)
    plain.load_state_dict(ours.state_dict(), strict=False)
    assert float((images(ours, 0) - images(plain, 0)).abs().max()) > 0.02
    assert torch.equal(images(ours, 0, superresolve=False), images(plain, 0, superresolve=False))


@torch.no_grad()
def test_brightness_changes_by_strength_times_noise() -> None:
    """By hand, for every pixel: the points of rays, interpolated; the noise there; the sum over its channels."""
    generator = small(trained=True)
    detail = generator.surface_detail
    assert detail is not None
    ws = torch.randn(1, generator.backbone.num_ws, 16)
    found = generator.render(generator.field(ws), Camera.orbit(40, 5).expand(1), 16, RenderRandomness.even())
    assert found.points is not None
    whole = generator.finish(found, None, ws).image
    points = rays_to_pixels(found.points, 16, 32)
    strengths = detail.strengths(found.features, found.weight_sum, found.points, ws[:, -1]) * found.weight_sum
    noise = detail.noise_images(points, torch.ones(1, 32, 32, dtype=torch.bool))
    changes = (rays_to_pixels(strengths, 16, 32) * noise).sum(dim=1, keepdim=True)
    raw = generator.torgb_raw(found.features.transpose(1, 2).unflatten(2, (16, 16)), ws[:, -1], fused=False)  # type: ignore[misc]
    smooth = generator.superresolution(raw, found.features.transpose(1, 2).unflatten(2, (16, 16)), ws)
    # Noise below half a level of 255 is not read at all.
    torch.testing.assert_close(whole, with_detail(smooth, changes), rtol=0, atol=0.05)
    torch.testing.assert_close(whole.mean(), with_detail(smooth, changes).mean(), rtol=0, atol=2e-3)


def test_black_stays_black_and_nothing_becomes_darker_than_black() -> None:
    image = torch.tensor([-1.0, -0.5, 0.5])[None, :, None, None].expand(1, 3, 4, 4)
    for change in (-2.0, 0.0, 0.5):
        found = with_detail(image, torch.full((1, 1, 4, 4), change))
        torch.testing.assert_close(found + 1, (image + 1) * torch.tensor(change).exp())
        assert float(found.min()) >= -1


def test_a_place_keeps_its_noise_when_the_camera_turns() -> None:
    """The same points in another order of pixels and another image: the same noise, where both look straight at it."""
    detail = SurfaceDetail(8, w_dim=16, box_warp=0.8)
    line = torch.linspace(-0.05, 0.05, 24)
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x, y, torch.full_like(x, 0.2)])[None]
    wanted = torch.ones(1, 24, 24, dtype=torch.bool)
    noise, turned = detail.noise_images(points, wanted), detail.noise_images(points.transpose(2, 3), wanted)
    torch.testing.assert_close(noise, turned.transpose(2, 3))


def test_it_fades_where_pixels_are_further_apart_than_texels() -> None:
    detail = SurfaceDetail(8, w_dim=16, box_warp=0.8)
    wanted = torch.ones(1, 16, 16, dtype=torch.bool)
    for step, visible in ((0.004, True), (0.1, False)):
        line = torch.arange(16) * step
        y, x = torch.meshgrid(line, line, indexing="ij")
        noise = detail.noise_images(torch.stack([x, y, torch.full_like(x, 0.2)])[None], wanted)
        assert bool(noise.abs().amax(dim=(2, 3)).min() > 0.1) == visible
    nothing = detail.noise_images(torch.zeros(1, 3, 16, 16), torch.zeros(1, 16, 16, dtype=torch.bool))
    assert not nothing.any()
    assert nothing.shape == (1, DETAIL_CHANNELS, 16, 16)


def test_gradients_reach_the_network_and_w() -> None:
    generator = small(trained=True)
    detail = generator.surface_detail
    assert detail is not None
    ws = torch.randn(1, generator.backbone.num_ws, 16, requires_grad=True)
    found = generator.render(generator.field(ws), Camera.orbit(0, 0).expand(1), 16, RenderRandomness.even())
    changed = generator.detail(found, ws, side=16, size=32)
    grads = torch.autograd.grad(changed.square().sum(), [detail.strength.weight, detail.of_head.weight, ws])
    assert all(float(x.abs().max()) > 0 for x in grads)


def test_files_hold_the_network_and_not_the_noise(tmp_path: Path) -> None:
    generator = small(trained=True)
    names = {name for name in generator.state_dict() if name.startswith("surface_detail.")}
    assert names
    assert not any("noise" in name for name in names)
    path = tmp_path / "head.safetensors"
    save_checkpoint(path, {"G_ema": generator})
    again = load_checkpoint(path).networks["G_ema"]
    assert isinstance(again, Generator)
    torch.testing.assert_close(images(generator, 30), images(again, 30), rtol=0, atol=1e-6)
