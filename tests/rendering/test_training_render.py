"""Rendering as training does against the plain renderer: images, every gradient, random numbers, ways out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.ops import fast_paths
from panohead.ops.cpu.jit import available
from panohead.randomness import RenderRandomness
from panohead.rendering import dispatch, fused_gradient, training_render
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RayRendering, RenderConfig, render_rays
from panohead.rendering.trigrid import EG3D_AXES

CONFIG = RenderConfig(depth_samples=14, importance_samples=12)
SIDE = 9
NAMES = "planes", "hidden_weight", "hidden_bias", "output_weight", "output_bias", "origins", "directions", "deformation"

needs_numba = pytest.mark.skipif(not available(), reason="numba is not installed")
WAYS = [
    pytest.param(("torch", torch.float64, 1e-10), id="torch-float64"),
    pytest.param(("torch", torch.float32, 2e-4), id="torch-float32"),
    pytest.param(("compiled", torch.float32, 2e-4), id="compiled", marks=needs_numba),
]


def make_leaves(dtype: torch.dtype, *, hidden: int = 40, opaque: float = 0.0) -> list[Tensor]:
    """Everything that can have a gradient, by ``NAMES``; about half of the rays meet something."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(shape, generator=random, dtype=torch.float64) * scale).to(dtype)

    leaves = [normal(2, 3, 16, 3, 7, 8), normal(hidden, 16, scale=0.25), normal(hidden, scale=0.1)]
    leaves += [normal(9, hidden, scale=0.2), normal(9)]
    leaves[3][0] *= 6
    leaves[3][0] -= leaves[3][0].mean()
    leaves[4][0] += opaque
    labels = torch.stack([Camera.orbit(20, 10).to_label(), Camera.orbit(150, -20).to_label()])
    leaves += [x.contiguous() for x in rays_from_camera(Camera.from_label(labels.to(dtype)), SIDE)]
    return [x.requires_grad_() for x in leaves]


def make_offsets(dtype: torch.dtype) -> Tensor:
    """A deformation with gradient."""
    offsets = 0.05 * torch.randn(2, 3, 5, 5, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return offsets.to(dtype).requires_grad_()


def make_field(leaves: list[Tensor], **options: Any) -> TriGridField:
    activation = options.pop("activation", "none")
    box_warp = options.pop("box_warp", 1.0)
    options["deformation"] = leaves[7] if len(leaves) > 7 else None
    if options.pop("with_empty_space", False):
        options["occupied"] = torch.rand(2, 6, 6, 6, generator=torch.Generator().manual_seed(6)) < 0.7
    return TriGridField(leaves[0], DecoderWeights(*leaves[1:5], activation=activation), box_warp, **options)


def draws(dtype: torch.dtype, config: RenderConfig) -> RenderRandomness:
    """Given jitter and quantiles; noise is drawn."""
    random = torch.Generator().manual_seed(1)
    jitter = torch.rand(2, SIDE**2, config.depth_samples, generator=random, dtype=dtype)
    u = torch.rand(2 * SIDE**2, config.importance_samples, generator=random, dtype=dtype)
    return RenderRandomness(ray_jitter=jitter, importance_u=u if u.numel() else None, generator=random)


def pulled(result: RayRendering, *, depth: bool = True) -> Tensor:
    """A number that depends on everything in the result; on depth only where there is weight enough to speak of one."""
    random = torch.Generator().manual_seed(2)

    def random_sum(x: Tensor) -> Tensor:
        return (x * torch.randn(x.shape, generator=random, dtype=torch.float64).to(x)).sum()

    seen = result.depth[result.weight_sum > 1e-2]
    return random_sum(result.features) + random_sum(result.weight_sum) + (random_sum(seen) if depth else 0)


def results(render: Callable[..., RayRendering], leaves: list[Tensor], config: RenderConfig, **options: Any) -> Any:
    """The rendering and the gradients of all leaves."""
    depth = options.pop("depth", True)
    field = make_field(leaves, box_warp=config.box_warp, **options)
    rendering = render(field, *leaves[5:7], config, draws(leaves[0].dtype, config))
    return rendering, torch.autograd.grad(pulled(rendering, depth=depth), leaves)


def assert_same(found: Any, expected: Any, tolerance: float) -> None:
    """Equal up to ``tolerance`` of the largest entry."""
    for name in ("features", "weight_sum"):
        ours, plain = getattr(found[0], name), getattr(expected[0], name)
        torch.testing.assert_close(ours, plain, rtol=0, atol=tolerance * float(plain.detach().abs().max()), msg=name)
    seen = expected[0].weight_sum > 1e-2
    assert 0.2 < float(seen.double().mean()) <= 1
    torch.testing.assert_close(found[0].depth[seen], expected[0].depth[seen], rtol=tolerance, atol=0)
    for name, ours, plain in zip(NAMES, found[1], expected[1], strict=False):
        largest = float(plain.abs().max())
        assert largest > 0, name
        torch.testing.assert_close(ours, plain, rtol=0, atol=tolerance * largest, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(params=WAYS)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.dtype, float]:
    """One of the fast ways, and only that one."""
    kind, dtype, tolerance = request.param
    if kind == "torch":
        monkeypatch.setattr(fused_gradient, "unsupported", lambda *arguments: "not in this test")
    else:
        monkeypatch.setattr(training_render, "composite_hidden", None)
    return dtype, tolerance


CHANGES: list[dict[str, Any]] = [
    {},
    {"importance_samples": 0, "crop_margin": 0.3},
    {"crop_margin": 0.0, "disparity": True},
    {"density_noise": 2.0},
    {"density_noise": 1.0, "importance_samples": 0},
    {"white_background": True, "box_warp": 1.3},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_images_and_gradients_are_those_of_the_plain_renderer(
    implementation: tuple[torch.dtype, float], changes: dict[str, Any]
) -> None:
    dtype, tolerance = implementation
    config = replace(CONFIG, **changes)
    leaves = make_leaves(dtype)
    # The plain depth of a ray without any weight has the gradient NaN.
    depth = config.crop_margin == 0
    assert dispatch.why_not_in_training(make_field(leaves), config, *leaves[5:]) is None
    ours, plain = (results(render, leaves, config, depth=depth) for render in (dispatch.render, render_rays))
    assert_same(ours, plain, tolerance)


def test_deformed_fields(implementation: tuple[torch.dtype, float]) -> None:
    """Images and gradients through a deformation, its own included; points outside the box move like its border."""
    dtype, tolerance = implementation
    leaves = [*make_leaves(dtype), make_offsets(dtype)]
    assert_same(results(dispatch.render, leaves, CONFIG), results(render_rays, leaves, CONFIG), tolerance)


def test_empty_space(implementation: tuple[torch.dtype, float]) -> None:
    """Cells that are said to be empty have neither weight nor gradient."""
    dtype, tolerance = implementation
    leaves = make_leaves(dtype)
    ours, plain, whole = (
        results(render, leaves, CONFIG, depth=False, with_empty_space=known)
        for render, known in ((dispatch.render, True), (render_rays, True), (render_rays, False))
    )
    assert_same(ours, plain, tolerance)
    assert float((ours[0].weight_sum - whole[0].weight_sum).detach().abs().max()) > 0.1


@needs_numba
def test_hard_surfaces_make_no_denormal_numbers() -> None:
    """Opaque intervals in a row beside space of very negative density: arithmetic with denormals is slow."""
    leaves = make_leaves(torch.float32)
    with torch.no_grad():
        leaves[3][0] *= 100  # raw densities of thousands, positive and negative
    ours, plain = (results(render, leaves, CONFIG, depth=False) for render in (dispatch.render, render_rays))
    smallest = torch.finfo(torch.float32).smallest_normal
    for name, grad, expected in zip(NAMES[:5], ours[1], plain[1], strict=False):
        assert not ((grad != 0) & (grad.abs() < smallest)).any(), name
        largest = float(expected.abs().max())
        torch.testing.assert_close(grad, expected, rtol=0, atol=5e-3 * largest, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize(
    "options", [{"axes": EG3D_AXES}, {"interpolation": "bilinear", "axes": EG3D_AXES}], ids=["axes", "tri-plane"]
)
def test_other_planes(implementation: tuple[torch.dtype, float], options: dict[str, Any]) -> None:
    dtype, tolerance = implementation
    config, leaves = replace(CONFIG, crop_margin=0.0), make_leaves(dtype, hidden=64)
    ours, plain = (results(render, leaves, config, **options) for render in (dispatch.render, render_rays))
    assert_same(ours, plain, tolerance)


def test_behind_a_wall_nothing_has_a_gradient(implementation: tuple[torch.dtype, float]) -> None:
    """The kernels stop where no light arrives; the plain renderer computes gradients of nothing there."""
    dtype, tolerance = implementation
    config, leaves = replace(CONFIG, crop_margin=0.0), make_leaves(dtype, opaque=60.0)
    ours, plain = (results(render, leaves, config) for render in (dispatch.render, render_rays))
    assert_same(ours, plain, 10 * tolerance)


def test_rays_without_weight_are_as_far_as_can_be(implementation: tuple[torch.dtype, float]) -> None:
    dtype, tolerance = implementation
    config, leaves = replace(CONFIG, crop_margin=0.5), make_leaves(dtype)
    (ours, gradients), (plain, _) = (
        results(render, leaves, config, depth=False) for render in (dispatch.render, render_rays)
    )
    assert float(ours.weight_sum.detach().abs().max()) == 0
    torch.testing.assert_close(ours.depth, plain.depth, rtol=tolerance, atol=0)
    assert all(bool(x.isfinite().all()) for x in gradients)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_random_numbers_are_drawn_alike(implementation: tuple[torch.dtype, float], noise: float) -> None:
    """One seed, one image, whatever renders; and the generator is left in the same state. Also without gradients."""
    dtype, tolerance = implementation
    config, leaves = replace(CONFIG, density_noise=noise), make_leaves(dtype)
    images, states = [], []
    for render in (render_rays, dispatch.render, torch.no_grad()(dispatch.render)):
        random = torch.Generator().manual_seed(5)
        images.append(render(make_field(leaves), *leaves[5:], config, RenderRandomness(generator=random)).features)
        states.append(random.get_state())
    for image, state in zip(images[1:], states[1:], strict=True):
        torch.testing.assert_close(image, images[0], rtol=0, atol=10 * tolerance)
        assert torch.equal(state, states[0])


@pytest.mark.parametrize(("deformed", "empty"), [(False, False), (True, True)])
def test_a_gradient_of_the_gradient_is_the_plain_one(
    implementation: tuple[torch.dtype, float], deformed: bool, empty: bool
) -> None:
    dtype, tolerance = implementation
    found = []
    for render in (dispatch.render, render_rays):
        leaves = make_leaves(dtype) + ([make_offsets(dtype)] if deformed else [])
        field = make_field(leaves, with_empty_space=empty)
        result = render(field, *leaves[5:7], CONFIG, draws(dtype, CONFIG))
        asked = [leaves[0], leaves[1], leaves[5], *leaves[7:]]
        slopes = torch.autograd.grad(pulled(result, depth=False), asked, create_graph=True)
        slope = sum(x.square().sum() / float(x.detach().square().sum()) for x in slopes)
        assert isinstance(slope, Tensor)
        found.append(torch.autograd.grad(slope, leaves[:3]))
    for ours, plain in zip(*found, strict=True):
        assert float(plain.abs().max()) > 0
        torch.testing.assert_close(ours, plain, rtol=0, atol=10 * tolerance * float(plain.abs().max()))


def test_gradients_of_a_part_and_twice(implementation: tuple[torch.dtype, float]) -> None:
    """Only the weight is pulled, only planes and origins ask, and the graph is used twice."""
    dtype, tolerance = implementation
    leaves = make_leaves(dtype)
    for leaf in (*leaves[1:5], leaves[6]):
        leaf.requires_grad_(False)
    wanted = [leaves[0], leaves[5]]
    found = []
    for render in (dispatch.render, render_rays):
        weight = render(make_field(leaves), *leaves[5:], CONFIG, draws(dtype, CONFIG)).weight_sum
        found.append(torch.autograd.grad(weight.sum(), wanted, retain_graph=True))
        again = torch.autograd.grad(weight.sum(), wanted)
        assert all(torch.equal(x, y) for x, y in zip(found[-1], again, strict=True))
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=tolerance * float(plain.abs().max()))


@needs_numba
def test_the_number_of_threads_changes_nothing() -> None:
    leaves, before, found = make_leaves(torch.float32), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            rendering, gradients = results(dispatch.render, leaves, CONFIG, depth=False)
            # A thread has no say in the kernels; torch's own products outside them may be cut differently.
            found.append((rendering.weight_sum, gradients[0], gradients[2], gradients[5]))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6 * float(one.detach().abs().max()))


REASONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"cull_clouds": 0.1}, {}, "clouds"),
    ({"binarize_clouds": 0.1}, {}, "clouds"),
    ({"ray_start": "auto", "ray_end": "auto"}, {}, "depths have gradients"),
    ({}, {"activation": "sigmoid"}, "hidden units"),
]


@pytest.mark.parametrize(("changes", "options", "reason"), REASONS)
def test_it_steps_aside(changes: dict[str, Any], options: dict[str, Any], reason: str) -> None:
    config, leaves = replace(CONFIG, **changes), make_leaves(torch.float32)
    field = make_field(leaves, **options)
    assert reason in str(dispatch.why_not_in_training(field, config, *leaves[5:]))
    ours, plain = (
        render(field, *leaves[5:], config, draws(torch.float32, config)) for render in (dispatch.render, render_rays)
    )
    assert torch.equal(ours.features, plain.features)


def test_it_steps_aside_when_told_to_or_not_needed() -> None:
    leaves = make_leaves(torch.float32)
    with fast_paths.plain_only():
        assert dispatch.why_not_in_training(make_field(leaves), CONFIG) == "fast paths are switched off"
    with torch.no_grad():
        assert "neither" in str(dispatch.why_not_in_training(make_field(leaves), CONFIG, *leaves[5:]))
    for leaf in leaves:
        leaf.requires_grad_(False)
    assert "neither" in str(dispatch.why_not_in_training(make_field(leaves), CONFIG, *leaves[5:]))
    fixed = replace(CONFIG, ray_start="auto", ray_end="auto", density_noise=1.0)
    assert dispatch.why_not_in_training(make_field(leaves), fixed, *leaves[5:]) is None
