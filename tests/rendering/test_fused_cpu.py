"""The compiled CPU renderer against the plain one, the original's numbers, and its own laws."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.ops.cpu.jit import available
from panohead.randomness import RenderRandomness
from panohead.rendering import fused_cpu
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RayRendering, RenderConfig, first_depths
from panohead.rendering.renderer import render_rays as plain_render
from panohead.rendering.trigrid import EG3D_AXES, PANOHEAD_AXES, texel_contiguous, unflatten_planes
from parity import golden, recipe

pytestmark = pytest.mark.skipif(not available(), reason="the compiled kernels need numba")

CASES: dict[str, Any] = golden.load("renderer")[1]["cases"]
UNSUPPORTED = {"cull", "binarize", "dnoise"}  # density changed before the march: the plain renderer's business


def make_field(
    *, depth: int = 3, batch: int = 1, channels: int = 32, hidden: int = 64, colors: int = 32, **options: Any
) -> TriGridField:
    """A random field with a density that leaves some rays open; ``options`` go to the field and its decoder."""
    size = 24
    random = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    planes = 2 * normal(batch, 3, channels, depth, size, size)
    output = normal(1 + colors, hidden) / math.sqrt(hidden)
    output[0] *= 6
    output[0] -= output[0].mean()
    first = normal(hidden, channels) / math.sqrt(channels)
    weights = (first, 0.1 * normal(hidden), output, 0.1 * normal(1 + colors))
    decoder = DecoderWeights(*weights, activation=options.pop("activation", "none"))
    return TriGridField(planes, decoder, options.pop("box_warp", 1.0), **options)


def view(count: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    """The first ``count`` rays of an image."""
    side = math.ceil(math.sqrt(count))
    origins, directions = rays_from_camera(Camera.orbit(30, 20).expand(batch), side)
    return origins[:, :count].contiguous(), directions[:, :count].contiguous()


def render_both(
    field: TriGridField, rays: tuple[Tensor, Tensor], config: RenderConfig, randomness: RenderRandomness
) -> tuple[RayRendering, RayRendering]:
    """By the compiled kernel, and plainly."""
    depths = first_depths(*rays, config, randomness.jitter(rays[0], config.depth_samples))
    u = randomness.quantiles(rays[0], config.importance_samples) if config.importance_samples else None
    fused = fused_cpu.render_rays(field, *rays, depths, u, crop_margin=config.crop_margin)
    return RayRendering(*fused), plain_render(field, *rays, config, randomness)


def draw(rays: tuple[Tensor, Tensor], config: RenderConfig) -> RenderRandomness:
    """Random numbers that both renderers are given."""
    random = torch.Generator().manual_seed(3)
    shape = rays[0].shape[:2]
    jitter = torch.rand(*shape, config.depth_samples, generator=random)
    if not config.importance_samples:
        return RenderRandomness(ray_jitter=jitter)
    u = torch.rand(shape.numel(), config.importance_samples, generator=random)
    return RenderRandomness(ray_jitter=jitter, importance_u=u)


def assert_same(ours: RayRendering, plain: RayRendering) -> None:
    """Equal up to rounding; depth only where there is weight enough to speak of one."""
    torch.testing.assert_close(ours.features, plain.features, atol=2e-5, rtol=0)
    torch.testing.assert_close(ours.weight_sum, plain.weight_sum, atol=5e-6, rtol=0)
    seen = plain.weight_sum > 1e-3
    # Depth is a sum divided by the weight, which magnifies the rounding of faint rays: the sums are compared.
    sums = (torch.where(seen, x.depth * plain.weight_sum, 0) for x in (ours, plain))
    torch.testing.assert_close(*sums, atol=2e-5, rtol=0)
    assert float(seen.float().mean()) > 0.02  # a test of nothing but air would be none


def test_deformed_fields() -> None:
    """Random offsets, as large as a cell of the grid: some points leave the box."""
    offsets = 0.1 * torch.randn(2, 3, 5, 5, 5, generator=torch.Generator().manual_seed(4))
    field = make_field(batch=2, deformation=offsets)
    config, rays = RenderConfig(depth_samples=12, importance_samples=10), view(90, 2)
    assert_same(*render_both(field, rays, config, draw(rays, config)))


def test_empty_space() -> None:
    """Samples in cells that are said to be empty do not count, whatever the field is there."""
    random = torch.Generator().manual_seed(5)
    field = make_field(batch=2, occupied=torch.rand(2, 6, 6, 6, generator=random) < 0.5)
    config, rays = RenderConfig(depth_samples=12, importance_samples=10), view(90, 2)
    assert_same(*render_both(field, rays, config, draw(rays, config)))


@pytest.mark.parametrize("name", sorted(CASES.keys() - UNSUPPORTED))
def test_original_numbers(name: str) -> None:
    case = CASES[name]
    options = case["options"]
    planes = 2 * golden.normal(f"rend/planes{case['D']}", (2, 96 * case["D"], 12, 12))
    decoder = DecoderWeights(
        torch.from_numpy(recipe.make("decoder.net.0.weight", (64, 32))) / math.sqrt(32),
        torch.from_numpy(recipe.make("decoder.net.0.bias", (64,))),
        torch.from_numpy(recipe.make("decoder.net.2.weight", (33, 64))) / 8,
        torch.from_numpy(recipe.make("decoder.net.2.bias", (33,))),
        case["activation"],
    )
    config = RenderConfig(
        depth_samples=12,
        importance_samples=options["depth_resolution_importance"],
        ray_start=options["ray_start"],
        ray_end=options["ray_end"],
        box_warp=options["box_warp"],
        disparity=options["disparity_space_sampling"],
        crop_margin=case["call"].get("triplane_crop", 0.1),
        official_missed_rays=True,
    )
    randomness = RenderRandomness(ray_jitter=0.5, importance_u=0.5)
    if name != "half":
        jitter = golden.uniform(f"rend/{name}/jitter", (2, 64, 12, 1))[..., 0]
        u = golden.uniform(f"rend/{name}/u", (128, 12)) if config.importance_samples else None
        randomness = RenderRandomness(ray_jitter=jitter, importance_u=u)
    rays = rays_from_camera(Camera.from_label(golden.tensor("renderer", "labels")), 8)
    field = TriGridField(unflatten_planes(planes, case["D"]), decoder, config.box_warp)
    result, _ = render_both(field, rays, config, randomness)
    added = 1 - result.weight_sum if options.get("white_back") else 0
    golden.assert_close("renderer", f"{name}/rgb", result.features + added)
    golden.assert_close("renderer", f"{name}/wsum", result.weight_sum)
    expected = golden.tensor("renderer", f"{name}/depth")
    seen = golden.tensor("renderer", f"{name}/wsum") > 1e-3
    golden.assert_close("renderer", f"{name}/depth", torch.where(seen, result.depth, expected))


@pytest.mark.parametrize(
    ("rays", "samples", "options"),
    [
        (81, (24, 24), {}),
        (81, (24, 24), {"activation": "sigmoid"}),
        (81, (24, 24), {"activation": "lrelu", "batch": 2}),
        (81, (24, 24), {"depth": 1, "axes": EG3D_AXES, "interpolation": "bilinear"}),
        (81, (24, 24), {"axes": EG3D_AXES, "box_warp": 1.4}),
        (81, (16, 16), {"channels": 16, "hidden": 40, "colors": 5, "activation": "sigmoid"}),
        (81, (16, 16), {"channels": 48, "hidden": 100, "colors": 70}),
        (37, (30, 0), {"batch": 2}),
        (1, (48, 48), {}),
        (70, (4, 4), {}),
    ],
    ids=["plain", "sigmoid", "lrelu", "triplane", "eg3d", "narrow", "wide", "one_pass", "one_ray", "few_samples"],
)  # fmt: skip
def test_equals_the_plain_renderer(rays: int, samples: tuple[int, int], options: dict[str, Any]) -> None:
    field = make_field(**options)
    config = RenderConfig(depth_samples=samples[0], importance_samples=samples[1], box_warp=field.box_warp)
    given = view(rays, field.planes.shape[0])
    # One ray: the one through the middle.
    given = given if rays > 1 else (given[0] * 0 + torch.tensor([0.0, 0.0, 2.7]), torch.tensor([[[0.0, 0.0, -1.0]]]))
    assert_same(*render_both(field, given, config, draw(given, config)))


@pytest.mark.parametrize("extra", [10.0, 100.0, 2000.0])
def test_opaque_fields(extra: float) -> None:
    """Samples behind an opaque wall are not evaluated, which changes nothing."""
    field = make_field()
    bias = field.decoder.output_bias.clone()
    bias[0] += extra
    solid = replace(field, decoder=replace(field.decoder, output_bias=bias))
    rays, config = view(100), RenderConfig(crop_margin=0.0)
    ours, plain = render_both(solid, rays, config, draw(rays, config))
    assert_same(ours, plain)
    assert float(plain.weight_sum.min()) > 0.5


def test_emptiness() -> None:
    """Without any density the weight is zero, and depth the farthest there is."""
    field = make_field()
    bias = field.decoder.output_bias - 1e4
    empty = replace(field, decoder=replace(field.decoder, output_bias=bias))
    rays, config = view(16), RenderConfig(depth_samples=8, importance_samples=8)
    randomness = draw(rays, config)
    ours, plain = render_both(empty, rays, config, randomness)
    assert float(ours.weight_sum.abs().max()) < 1e-30
    torch.testing.assert_close(ours.weight_sum, plain.weight_sum, atol=1e-30, rtol=0)
    farthest = first_depths(*rays, config, randomness.jitter(rays[0], 8)).max()
    aside = (rays[0] + torch.tensor([5.0, 0.0, 0.0]), rays[1])
    ours, _ = render_both(field, aside, config, randomness)
    assert bool((ours.depth == farthest).all())
    assert float(ours.features.abs().max()) == 0


def test_cropped_texels_are_not_read() -> None:
    """NaN where only cropped samples lie does no harm: they are skipped, not multiplied by zero."""
    field, rays, config = make_field(), view(64), RenderConfig(depth_samples=16, importance_samples=16, crop_margin=0.2)
    planes = field.planes.clone()
    planes[:, 0, ..., :3] = math.nan  # x below -0.4, wherever y is
    randomness = draw(rays, config)
    ours, _ = render_both(replace(field, planes=planes), rays, config, randomness)
    assert_same(ours, render_both(field, rays, config, randomness)[1])


def test_broken_numbers_show() -> None:
    field, rays, config = make_field(), view(16), RenderConfig(depth_samples=8, importance_samples=8)
    randomness = draw(rays, config)
    ours, _ = render_both(replace(field, planes=field.planes * math.nan), rays, config, randomness)
    assert bool(ours.features.isnan().any())
    # Rays that are not numbers may give anything, but nothing outside the tri-grid's memory.
    render_both(field, (rays[0], rays[1] * math.nan), config, randomness)


def test_result_depends_on_neither_threads_nor_neighbors() -> None:
    field, rays = make_field(batch=2), view(225, 2)
    depths = first_depths(*rays, RenderConfig(), torch.rand(2, 225, 20))
    u = torch.rand(2, 225, 20)
    points = torch.rand(2, 500, 3) - 0.5
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = (*fused_cpu.render_rays(field, *rays, depths, u), fused_cpu.query_density(field, points))
        torch.set_num_threads(3)
        together = (*fused_cpu.render_rays(field, *rays, depths, u), fused_cpu.query_density(field, points))
    finally:
        torch.set_num_threads(threads)
    assert all(bool((a == b).all()) for a, b in zip(alone, together, strict=True))
    shuffled = torch.randperm(225)[:200]
    part = fused_cpu.render_rays(field, rays[0][:, shuffled], rays[1][:, shuffled], depths[:, shuffled], u[:, shuffled])
    # All but depth, which is clamped to the range of all samples of the call; and the color layer is torch's own.
    assert bool((part[2] == alone[2][:, shuffled]).all())
    torch.testing.assert_close(part[0], alone[0][:, shuffled], atol=1e-6, rtol=0)


def test_callers_in_several_threads() -> None:
    field = make_field()
    points = [torch.rand(1, 300, 3, generator=torch.Generator().manual_seed(i)) - 0.5 for i in range(4)]
    expected = [fused_cpu.query_density(field, p) for p in points]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda p: fused_cpu.query_density(field, p), points * 5))
    assert all(bool((a == b).all()) for a, b in zip(found, expected * 5, strict=True))


def test_order_of_quantiles_is_irrelevant() -> None:
    field, rays = make_field(), view(50)
    depths = first_depths(*rays, RenderConfig(), torch.full((1, 50, 16), 0.5))
    u = torch.rand(1, 50, 16)
    u[..., 0], u[..., 1] = 0.0, 1.0
    results = [fused_cpu.render_rays(field, *rays, depths, order) for order in (u, u.sort(dim=-1)[0], u.flip(-1))]
    assert all(bool((a == b).all()) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(
    "options",
    [{}, {"depth": 1}, {"depth": 1, "interpolation": "bilinear", "axes": EG3D_AXES}, {"batch": 3, "box_warp": 1.7}],
    ids=["trigrid", "one_slice", "triplane", "batch"],
)
@pytest.mark.parametrize("count", [1, 24, 331])
def test_density_equals_the_plain_field(count: int, options: dict[str, Any]) -> None:
    field = make_field(**options)
    points = (torch.rand(field.planes.shape[0], count, 3) - 0.5) * 1.3 * field.box_warp  # some lie outside
    ours = fused_cpu.query_density(field, points)
    assert ours.shape == (field.planes.shape[0], count, 1)
    torch.testing.assert_close(ours, field.density(points), atol=3e-5, rtol=1e-6)


def test_accuracy_of_the_softplus() -> None:
    """A field that passes one coordinate through a single hidden unit, against double precision."""
    planes = torch.zeros(1, 3, 32, 1, 64, 64)
    ramp = (torch.arange(64) + 0.5) / 32 - 1
    planes[0, 0, 0, 0] = 3 * ramp  # the mean over planes makes it x itself
    weight, output = torch.zeros(64, 32), torch.zeros(2, 64)
    weight[0, 0], output[0, 0] = 40.0, 1.0
    decoder = DecoderWeights(weight, torch.zeros(64), output, torch.zeros(2))
    field = TriGridField(planes, decoder, 2.0, PANOHEAD_AXES, "bilinear")
    x = torch.linspace(-0.98, 0.98, 2001)
    points = torch.stack([x, 0 * x, 0 * x], dim=-1)[None]
    expected = torch.nn.functional.softplus(40 * x.double(), threshold=1e9)
    error = (fused_cpu.query_density(field, points)[0, :, 0].double() - expected).abs()
    assert float((error / expected).max()) < 2e-5  # of which most comes from rounding the coordinate
    assert float(error.max()) < 1e-5


def test_memory_layouts() -> None:
    field = make_field(batch=2)
    ours = texel_contiguous(field.planes)
    assert bool((ours == field.planes).all())
    assert ours.shape == field.planes.shape
    assert ours.stride(2) == 1
    assert texel_contiguous(ours) is ours
    # As a channels-last convolution would write it: row, column, plane, slice, channel.
    written = field.planes.permute(0, 4, 5, 1, 3, 2).contiguous().permute(0, 3, 5, 4, 1, 2)
    assert texel_contiguous(written) is written
    second = texel_contiguous(ours[1:])
    assert second.data_ptr() == ours[1:].data_ptr()
    points = torch.rand(2, 100, 3) - 0.5
    expected = fused_cpu.query_density(field, points)
    for planes in (ours, written):
        assert bool((fused_cpu.query_density(replace(field, planes=planes), points) == expected).all())
    alone = fused_cpu.query_density(replace(field, planes=second), points[1:])
    assert bool((alone == expected[1:]).all())


def test_reasons_to_decline(monkeypatch: pytest.MonkeyPatch) -> None:
    field, points = make_field(), torch.zeros(1, 1, 3)
    assert fused_cpu.unsupported(field, points) is None
    assert "float32" in str(fused_cpu.unsupported(field, points.double()))
    assert "channels" in str(fused_cpu.unsupported(make_field(channels=8)))
    assert "CPU" in str(fused_cpu.unsupported(field, points.to("meta")))
    learned = replace(field, planes=field.planes.clone().requires_grad_())
    assert "gradients" in str(fused_cpu.unsupported(learned, points))
    with torch.no_grad():
        assert fused_cpu.unsupported(learned, points) is None
    monkeypatch.setattr(fused_cpu, "available", lambda: False)
    assert "numba" in str(fused_cpu.unsupported(field, points))


def test_too_few_samples() -> None:
    rays = view(4)
    with pytest.raises(ValueError, match="at least 4 samples"):
        fused_cpu.render_rays(make_field(), *rays, torch.rand(1, 4, 3).sort(dim=-1)[0], None)
