"""Laws of the generator on the smallest one that has every part."""

import ast
import inspect
import textwrap
from dataclasses import replace

import pytest
import torch

import tiny
from panohead.geometry import Camera
from panohead.models.background import composite_over
from panohead.models.generator import Generator
from panohead.ops import fast_paths
from panohead.rendering.trigrid import EG3D_AXES

LABEL = Camera.orbit(30, 10).expand(2).to_label()


@pytest.fixture(scope="module")
def generator() -> Generator:
    """The tiny generator."""
    return tiny.generator()


@pytest.fixture(scope="module")
def ws(generator: Generator) -> torch.Tensor:
    """ws of two heads."""
    return generator.mapping(torch.randn(2, 8, generator=torch.Generator().manual_seed(1)), LABEL)


def test_same_arguments_same_image(generator: Generator, ws: torch.Tensor) -> None:
    first = generator.synthesis(ws, LABEL, ray_jitter=0.5, importance_u=0.5)
    second = generator.synthesis(ws, LABEL, ray_jitter=0.5, importance_u=0.5)
    assert torch.equal(first.image, second.image)
    seeded = [
        generator.synthesis(ws, LABEL, noise_mode="random", generator=torch.Generator().manual_seed(3)).image
        for _ in range(2)
    ]
    assert torch.equal(*seeded)
    other = generator.synthesis(ws, LABEL, noise_mode="random", generator=torch.Generator().manual_seed(4)).image
    assert not torch.equal(seeded[0], other)


def test_batch_equals_one_by_one(generator: Generator, ws: torch.Tensor) -> None:
    both = generator.synthesis(ws, LABEL, ray_jitter=0.5, importance_u=0.5)
    for i in range(2):
        one = generator.synthesis(ws[i : i + 1], LABEL[i : i + 1], ray_jitter=0.5, importance_u=0.5)
        torch.testing.assert_close(one.image[0], both.image[i], atol=1e-4, rtol=1e-4)


def test_forward_is_mapping_offset_synthesis(generator: Generator) -> None:
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(2))
    result = generator(z, LABEL, truncation_psi=0.7, ray_jitter=0.5, importance_u=0.5)
    offset = generator.align_camera(z, LABEL, truncation_psi=0.7)
    ws = generator.mapping(z, LABEL, truncation_psi=0.7)
    moved = Camera.from_label(LABEL).translated(offset).to_label()
    assert result.camera_offset is not None
    assert torch.equal(result.camera_offset, offset)
    assert torch.equal(result.image, generator.synthesis(ws, moved, ray_jitter=0.5, importance_u=0.5).image)


def test_fields_have_the_stated_shapes(generator: Generator, ws: torch.Tensor) -> None:
    result = generator.synthesis(ws, LABEL, neural_rendering_resolution=12)
    shapes = {name: tuple(getattr(result, name).shape) for name in ("image", "image_raw", "depth", "mask", "features")}
    assert shapes == {
        "image": (2, 3, 128, 128),
        "image_raw": (2, 3, 12, 12),
        "depth": (2, 1, 12, 12),
        "mask": (2, 1, 12, 12),
        "features": (2, 8, 12, 12),
    }
    torch.testing.assert_close(result.mask, result.weights * 1.002 - 0.001)
    assert result.camera_offset is None


def test_background_of_another_head_changes_only_what_is_behind(generator: Generator, ws: torch.Tensor) -> None:
    options = {"ray_jitter": 0.5, "importance_u": 0.5}
    own = generator.synthesis(ws, LABEL, **options)
    swapped = generator.synthesis(ws, LABEL, ws_background=ws.flip(0), **options)
    assert torch.equal(own.features, swapped.features)
    assert torch.equal(own.mask, swapped.mask)
    assert not torch.equal(own.image_raw, swapped.image_raw)


def test_compositing_is_over() -> None:
    foreground, background = torch.full((1, 2, 4, 4), 0.3), torch.full((1, 2, 4, 4), 2.0)
    weight = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(1, 1, 4, 4)
    result = composite_over(foreground, weight, background, antialias=True)
    torch.testing.assert_close(result, 0.3 + (1 - weight) * 2.0 * torch.ones(1, 2, 4, 4))


def test_query_gives_raw_density_without_crop(generator: Generator, ws: torch.Tensor) -> None:
    points = torch.tensor([[[0.45, 0.0, 0.0], [0.0, 0.0, 0.45], [0.1, 0.2, 0.3]]]).repeat(2, 1, 1)
    density, features = generator.query(points, ws)
    assert density.shape == (2, 3, 1)
    assert features.shape == (2, 3, 8)
    assert float(density.min()) > -900, "the crop would give -1000"


def test_unconditional_generator_ignores_the_label() -> None:
    generator = tiny.generator(config=replace(tiny.CONFIG, conditioning_scale=0.0))
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(5))
    assert torch.equal(generator.mapping(z, LABEL), generator.mapping(z, LABEL * -3))


def test_eg3d_has_neither_background_nor_moving_camera() -> None:
    config = replace(
        tiny.CONFIG,
        trigrid_depth=1,
        interpolation="bilinear",
        plane_axes=EG3D_AXES,
        decoder_activation="sigmoid",
        use_background=False,
        use_camera_alignment=False,
        use_torgb_raw=False,
    )
    generator = tiny.generator(config=config)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(6))
    result = generator(z, LABEL, ray_jitter=0.5, importance_u=0.5)
    assert result.camera_offset is not None
    assert float(result.camera_offset.abs().max()) == 0
    torch.testing.assert_close(result.image_raw, result.features[:, :3] * 2 - 1)


def test_gradients_reach_every_parameter() -> None:
    generator = tiny.generator().train().requires_grad_(True)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(7))
    result = generator(z, LABEL, noise_mode="random", generator=torch.Generator().manual_seed(8))
    (result.image.square().mean() + result.image_raw.mean() + result.mask.mean()).backward()
    missing = [name for name, p in generator.named_parameters() if p.grad is None]
    # Super-resolution runs without pixel noise, so the strengths of its noise have no gradient.
    assert all(name.startswith("superresolution") and name.endswith("noise_strength") for name in missing), missing
    assert all(bool(p.grad.isfinite().all()) for p in generator.parameters() if p.grad is not None)


@pytest.mark.parametrize("activation", ["none", "sigmoid", "lrelu"])
def test_fast_paths_agree_with_plain_pytorch(activation: str) -> None:
    config = replace(
        tiny.CONFIG,
        decoder_activation=activation,
        trigrid_channels=16,
        feature_channels=32,
        channel_base=1024,
        channel_max=32,
        superresolution=replace(tiny.CONFIG.superresolution, channels=None),
    )
    generator = tiny.generator(config=config)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(9))
    fast = generator(z, LABEL, ray_jitter=0.5, importance_u=0.3)
    with fast_paths.plain_only():
        plain = generator(z, LABEL, ray_jitter=0.5, importance_u=0.3)
    assert not torch.equal(fast.image, plain.image), "the fast paths were not taken"
    for name in ("image", "image_raw", "mask", "depth", "features"):
        torch.testing.assert_close(getattr(fast, name), getattr(plain, name), atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("through_data", [False, True])
def test_changed_weights_are_noticed_by_the_fast_paths(through_data: bool) -> None:
    config = replace(tiny.CONFIG, superresolution=replace(tiny.CONFIG.superresolution, channels=None))
    generator = tiny.generator(config=config)
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(10))
    options = {"ray_jitter": 0.5, "importance_u": 0.5}
    before = generator(z, LABEL[:1], **options).image
    weight = generator.superresolution.block1.conv1.weight
    (weight.data if through_data else weight).mul_(0.5)[0] += 1
    after = generator(z, LABEL[:1], **options).image
    assert not torch.equal(before, after)
    with fast_paths.plain_only():
        torch.testing.assert_close(after, generator(z, LABEL[:1], **options).image, atol=1e-4, rtol=1e-4)


def test_forward_is_short_enough_to_read() -> None:
    for method in (Generator.forward, Generator.synthesis):
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(method)))
        function = ast.parse(source).body[0]
        assert isinstance(function, ast.FunctionDef)
        assert function.end_lineno - function.lineno + 1 <= 45
    forward = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(Generator.forward)))).body[0]
    assert isinstance(forward, ast.FunctionDef)
    assert forward.end_lineno - forward.lineno + 1 < 40
