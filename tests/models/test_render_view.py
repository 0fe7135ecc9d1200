"""``Generator.render_view``: the second half of ``synthesis``, and views that share one field."""

from dataclasses import replace

import pytest
import torch

import tiny
from panohead.geometry import Camera
from panohead.models.generator import Generator, Rendering
from panohead.randomness import RenderRandomness
from panohead.rendering.dispatch import prepare

CAMERAS = [Camera.orbit(yaw, pitch) for yaw, pitch in ((0, 0), (70, 10), (180, -15))]
LABELS = torch.stack([camera.to_label() for camera in CAMERAS])
FIELDS = ("image", "image_raw", "depth", "mask", "features", "weights")


@pytest.fixture(scope="module")
def generator() -> Generator:
    """A tiny generator that uses every random number: density noise, and noise in super-resolution."""
    rendering = replace(tiny.CONFIG.rendering, density_noise=0.1)
    superresolution = replace(tiny.CONFIG.superresolution, noise_mode="random")
    return tiny.generator(config=replace(tiny.CONFIG, rendering=rendering, superresolution=superresolution))


@pytest.fixture(scope="module")
def plain() -> Generator:
    """The tiny generator, which is deterministic with even rays."""
    return tiny.generator()


@pytest.fixture(scope="module")
def ws(plain: Generator) -> torch.Tensor:
    """ws of three heads."""
    return plain.mapping(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)), LABELS)


def assert_equal(one: Rendering, other: Rendering) -> None:
    assert [name for name in FIELDS if not torch.equal(getattr(one, name), getattr(other, name))] == []


@pytest.mark.parametrize("noise_mode", ["random", "const", "none"])
def test_synthesis_is_field_and_view_bit_for_bit(generator: Generator, ws: torch.Tensor, noise_mode: str) -> None:
    whole = generator.synthesis(
        ws,
        LABELS,
        noise_mode=noise_mode,
        ws_background=ws.roll(1, 0),
        density_noise=0.3,
        neural_rendering_resolution=12,
        generator=torch.Generator().manual_seed(2),
    )
    randomness = RenderRandomness.seeded(2, noise_mode=noise_mode)
    halves = generator.render_view(
        generator.field(ws, randomness),
        ws,
        Camera.from_label(LABELS),
        resolution=12,
        randomness=randomness,
        ws_background=ws.roll(1, 0),
        density_noise=0.3,
    )
    assert_equal(whole, halves)
    other = generator.synthesis(ws, LABELS, noise_mode=noise_mode, generator=torch.Generator().manual_seed(3))
    assert not torch.equal(whole.image, other.image)


def test_without_randomness_rays_are_even(plain: Generator, ws: torch.Tensor) -> None:
    before = torch.get_rng_state()
    view = plain.render_view(plain.field(ws), ws, Camera.from_label(LABELS))
    assert torch.equal(torch.get_rng_state(), before)
    assert_equal(view, plain.synthesis(ws, LABELS, ray_jitter=0.5, importance_u="even"))


@pytest.mark.parametrize("prepared", [False, True])
def test_views_of_one_head_share_its_field(plain: Generator, ws: torch.Tensor, prepared: bool) -> None:
    field, one = plain.field(ws[:1]), ws[:1]
    field = prepare(field) if prepared else field
    together = plain.render_view(field, one, Camera.from_label(LABELS))
    assert together.image.shape == (3, 3, 128, 128)
    for i, camera in enumerate(CAMERAS):
        alone = plain.render_view(field, one, camera)
        assert alone.image.shape == (1, 3, 128, 128)
        for name in ("image", "image_raw", "mask", "features"):
            torch.testing.assert_close(getattr(together, name)[i], getattr(alone, name)[0], atol=1e-4, rtol=1e-4)


def test_kept_background_features_serve_as_well(plain: Generator, ws: torch.Tensor) -> None:
    field, camera = plain.field(ws), Camera.from_label(LABELS)
    features = plain.background_features(ws.roll(1, 0))
    kept = plain.render_view(field, ws, camera, background=features)
    assert_equal(kept, plain.render_view(field, ws, camera, ws_background=ws.roll(1, 0)))
    assert not torch.equal(kept.image, plain.render_view(field, ws, camera).image)


def test_without_superresolution_the_image_is_the_raw_one(plain: Generator, ws: torch.Tensor) -> None:
    view = plain.render_view(plain.field(ws), ws, Camera.from_label(LABELS), superresolve=False, resolution=9)
    assert view.image.shape == (3, 3, 9, 9)
    assert torch.equal(view.image, view.image_raw)


def test_cameras_that_do_not_fit_are_refused(plain: Generator, ws: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="3 cameras do not fit a field of 2 heads"):
        plain.render_view(plain.field(ws[:2]), ws[:2], Camera.from_label(LABELS))


def test_gradients_reach_field_latent_and_camera(plain: Generator, ws: torch.Tensor) -> None:
    latent, labels = ws.clone().requires_grad_(), LABELS.clone().requires_grad_()
    field = plain.field(latent)
    view = plain.render_view(field, latent, Camera.from_label(labels), resolution=8)
    wanted = (field.planes, latent, labels)
    gradients = torch.autograd.grad(view.image.square().mean() + view.mask.mean(), wanted)
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients)
