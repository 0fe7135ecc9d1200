"""Renderer stages and whole renders against the original's numbers."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from panohead.geometry import Camera, rays_from_camera
from panohead.randomness import RenderRandomness
from panohead.rendering.compositing import clamp_depth, composite, interval_weights
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.density import clean_density, nearly_transparent, outside_crop
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RenderConfig, first_depths, render_rays
from panohead.rendering.sampling import importance_depths, ray_box_limits, sample_pdf
from panohead.rendering.trigrid import PANOHEAD_AXES, project_points, sample_planes, unflatten_planes
from parity import golden, recipe

_, META = golden.load("renderer")
CASES: dict[str, Any] = META["cases"]
RAYS = rays_from_camera(Camera.from_label(golden.tensor("renderer", "labels")), 8)


def _made(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(recipe.make(name, shape))


def _planes(depth: int) -> torch.Tensor:
    return unflatten_planes((2 * golden.normal(f"rend/planes{depth}", (2, 3, 32 * depth, 12, 12))).flatten(1, 2), depth)


def field_of(case: dict[str, Any]) -> TriGridField:
    """The tri-grid and decoder of a golden case."""
    decoder = DecoderWeights(
        _made("decoder.net.0.weight", (64, 32)) / math.sqrt(32),
        _made("decoder.net.0.bias", (64,)),
        _made("decoder.net.2.weight", (33, 64)) / math.sqrt(64),
        _made("decoder.net.2.bias", (33,)),
        case["activation"],
    )
    return TriGridField(_planes(case["D"]), decoder, case["options"]["box_warp"])


def config_of(case: dict[str, Any]) -> RenderConfig:
    """The renderer's settings of a golden case."""
    options, call = case["options"], case["call"]
    return RenderConfig(
        depth_samples=options["depth_resolution"],
        importance_samples=options["depth_resolution_importance"],
        ray_start=options["ray_start"],
        ray_end=options["ray_end"],
        box_warp=options["box_warp"],
        disparity=options["disparity_space_sampling"],
        white_background=options.get("white_back", False),
        crop_margin=call.get("triplane_crop", 0.1),
        cull_clouds=call.get("cull_clouds"),
        binarize_clouds=call.get("binarize_clouds"),
        density_noise=options.get("density_noise", 0.0),
        official_missed_rays=True,
    )


def randomness_of(name: str) -> RenderRandomness:
    """The random numbers of a golden case."""
    if name == "half":
        return RenderRandomness(ray_jitter=0.5, importance_u=0.5)
    return RenderRandomness(
        ray_jitter=golden.uniform(f"rend/{name}/jitter", (2, 64, 12, 1))[..., 0],
        importance_u=golden.uniform(f"rend/{name}/u", (128, 12)),
    )


@pytest.mark.parametrize("hidden", [True, False], ids=["composites_hidden_units", "composites_colours"])
@pytest.mark.parametrize("name", list(CASES))
def test_render(name: str, hidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    noise = iter([golden.normal(f"rend/dnoise/density_noise{i}", (2, 768, 1)) for i in range(2)])
    monkeypatch.setattr("panohead.randomness.standard_normal", lambda like, _: next(noise).reshape(like.shape))
    field = field_of(case)
    result = render_rays(field if hidden else field.__call__, *RAYS, config_of(case), randomness_of(name))
    golden.assert_close("renderer", f"{name}/rgb", result.features)
    golden.assert_close("renderer", f"{name}/wsum", result.weight_sum)
    # Where there is hardly any weight, depth is a ratio of two tiny numbers.
    expected = golden.tensor("renderer", f"{name}/depth")
    visible = golden.tensor("renderer", f"{name}/wsum") > 1e-3
    golden.assert_close("renderer", f"{name}/depth", torch.where(visible, result.depth, expected))


@pytest.mark.parametrize("name", ["std_d3", "std_d1", "auto_d3"])
def test_every_stage(name: str) -> None:
    case = CASES[name]
    field, config, randomness = field_of(case), config_of(case), randomness_of(name)
    origins, directions = RAYS
    box = {"box_warp": config.box_warp, "crop_margin": config.crop_margin}

    depths = first_depths(origins, directions, config, randomness.jitter(origins, 12))
    golden.assert_close("renderer", f"{name}/depths_coarse", depths)
    points = (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)
    density = field.density(points)
    golden.assert_close("renderer", f"{name}/sigma_coarse_uncropped", density)
    coarse = clean_density(density, points, **box).reshape(depths.shape)
    weights = interval_weights(coarse, depths)
    golden.assert_close("renderer", f"{name}/weights_coarse", weights)
    fine_depths = importance_depths(depths, weights, randomness.quantiles(origins, 12))
    golden.assert_close("renderer", f"{name}/depths_fine", fine_depths)

    points = (origins[:, :, None] + fine_depths[..., None] * directions[:, :, None]).flatten(1, 2)
    fine = clean_density(field.density(points), points, **box).reshape(depths.shape)
    merged, order = torch.cat([depths, fine_depths], dim=-1).sort(dim=-1)
    densities = torch.cat([coarse, fine], dim=-1).gather(-1, order)
    golden.assert_close("renderer", f"{name}/all_depths", merged)
    golden.assert_close("renderer", f"{name}/all_densities", densities)
    golden.assert_close("renderer", f"{name}/all_weights", interval_weights(densities, merged))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_planes_are_sampled(depth: int) -> None:
    points = golden.tensor("renderer", "pts")
    golden.assert_close("renderer", f"planesample_D{depth}", sample_planes(_planes(depth), points, box_warp=1.0))


def test_wide_box_and_projection() -> None:
    points = golden.tensor("renderer", "pts")
    golden.assert_close("renderer", "planesample_D3_bw1.6", sample_planes(_planes(3), points, box_warp=1.6))
    golden.assert_close("renderer", "projected", project_points(points, PANOHEAD_AXES))


def test_crop_masks_are_exact() -> None:
    points = golden.tensor("renderer", "pts") * 1.5
    # The golden masks mark what is emptied or what is kept, whichever it is for all points alike.
    for key, box, margin in (("cropmask_0.1", 1.0, 0.1), ("cropmask_0.2_bw1.6", 1.6, 0.2)):
        assert torch.equal(outside_crop(points, box_warp=box, margin=margin), golden.tensor("renderer", key))


def test_march() -> None:
    colors = golden.normal("rend/mcol", (2, 10, 9, 4))
    density = 12 * golden.normal("rend/mden", (2, 10, 9, 1))
    density[0, 0], density[1, 3] = -1e3, 1e3
    depths = golden.tensor("renderer", "march_depths")[..., 0]
    result = composite(colors, density[..., 0], depths)
    golden.assert_close("renderer", "march_weights_wb0", result.weights)
    golden.assert_close("renderer", "march_rgb_wb0", result.features)
    golden.assert_close("renderer", "march_rgb_wb1", result.features + 1 - result.weight_sum)
    golden.assert_close("renderer", "march_depth_wb0", clamp_depth(result.depth, depths))


def test_importance_sampling() -> None:
    bins, weights = golden.tensor("renderer", "pdf_bins"), golden.tensor("renderer", "pdf_w")
    golden.assert_close("renderer", "pdf_rand", sample_pdf(bins, weights, golden.uniform("rend/pdf_u", (6, 7))))
    even = torch.linspace(0, 1, 7).expand(6, 7)
    golden.assert_close("renderer", "pdf_det", sample_pdf(bins, weights, even))
    z, w = golden.tensor("renderer", "imp_z")[..., 0], golden.tensor("renderer", "imp_w")[..., 0]
    u = golden.uniform("rend/imp_u", (10, 6)).reshape(2, 5, 6)
    golden.assert_close("renderer", "imp_out", importance_depths(z, w, u))


@pytest.mark.parametrize("box", [1.0, 1.6])
def test_box_limits(box: float) -> None:
    origins, directions = golden.tensor("camera", "box_ro"), golden.tensor("camera", "box_rd")
    start, end = ray_box_limits(origins, directions, box_warp=box)
    golden_start, golden_end = golden.tensor("camera", f"box{box}_start"), golden.tensor("camera", f"box{box}_end")
    missed = golden_start == -1  # marked so before the limits are filled in
    assert bool((golden_end[missed] == -2).all())
    golden.assert_close("camera", f"box{box}_start", torch.where(missed, golden_start, start))
    golden.assert_close("camera", f"box{box}_end", torch.where(missed, golden_end, end))
    torch.testing.assert_close(start[missed], golden_start[~missed].min().expand(int(missed.sum())))
    torch.testing.assert_close(end[missed], golden_end[~missed].max().expand(int(missed.sum())))


def test_cloud_threshold_is_the_stated_opacity() -> None:
    density = torch.tensor([[[0.0], [1.0], [3.0]]])
    opacity = 1 - torch.exp(-torch.nn.functional.softplus(density - 1))
    assert torch.equal(nearly_transparent(density, 0.5), opacity < 0.5)


def test_one_ray_alone_renders() -> None:
    case = CASES["std_d3"]
    alone = render_rays(
        field_of(case),
        RAYS[0][:, :1],
        RAYS[1][:, :1],
        config_of(case),
        RenderRandomness(ray_jitter=0.5, importance_u=0.5),
    )
    assert alone.features.shape == (2, 1, 32)
    one_pass = replace(config_of(case), importance_samples=0)
    assert render_rays(field_of(case), RAYS[0][:, :1], RAYS[1][:, :1], one_pass).depth.isfinite().all()
