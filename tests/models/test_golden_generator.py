"""Whole generators against the original's numbers: four small ones, and the full-size network."""

import contextlib
from collections.abc import Iterator

import pytest
import torch

from models.official_cases import NAMES, draws, golden_generator, mixed_ws, statistics
from panohead.geometry.camera import translate_label
from panohead.models.generator import Generator, Rendering
from panohead.ops import fast_paths
from panohead.randomness import RenderRandomness
from parity import golden

PLAIN = ("gen_p2", "gen_p3", "gen_p4")


@pytest.fixture(scope="module", params=[(name, True) for name in NAMES] + [(name, False) for name in PLAIN], ids=str)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[str, Generator]]:
    """A golden generator by name, with the compiled fast paths and in plain PyTorch."""
    name, fast = request.param
    with contextlib.nullcontext() if fast else fast_paths.plain_only():
        yield name, golden_generator(name)


def _check(name: str, key: str, actual: torch.Tensor) -> None:
    if key in golden.load(name)[0]:
        golden.assert_close(name, key, actual)


def _check_rendering(name: str, prefix: str, result: Rendering) -> None:
    resolution = result.mask.shape[-1]
    stride = 16 if resolution > 32 else 4 if resolution > 16 else 1
    _check(name, f"{prefix}/feature", result.features.flatten(2).transpose(1, 2)[:, ::stride])
    _check(name, f"{prefix}/weights", result.weights.flatten(2).transpose(1, 2))
    _check(name, f"{prefix}/mask", result.mask)
    if f"{prefix}/depth" in golden.load(name)[0]:
        expected = golden.tensor(name, f"{prefix}/depth")
        _check(name, f"{prefix}/depth", torch.where(result.weights > 1e-3, result.depth, expected))
    _check(name, f"{prefix}/image_raw_before_sr", result.image_raw)
    _check(name, f"{prefix}/image_raw", result.image_raw)
    size = result.image.shape[-1]
    half = size // 2
    _check(name, f"{prefix}/image", result.image)
    _check(name, f"{prefix}/image_sub", result.image[:, :, :: size // 64, :: size // 64])
    _check(name, f"{prefix}/image_crop", result.image[:, :, half - 24 : half + 24, half - 10 : half + 38])
    _check(name, f"{prefix}/image_stat", statistics(result.image))


def test_mapping_and_camera_offset(case: tuple[str, Generator]) -> None:
    name, generator = case
    z, label = golden.tensor(name, "z"), golden.tensor(name, "c")
    _check(name, "ws", generator.mapping(z, label)[:, :1])
    _check(name, "ws_cond", generator.mapping(z, golden.tensor(name, "c_cond"))[:, :1])
    _check(name, "ws_psi0.7", generator.mapping(z, label, truncation_psi=0.7)[:, :1])
    cut = generator.mapping(z, label, truncation_psi=0.6, truncation_cutoff=5)
    _check(name, "ws_psi0.6_cut5_first_last", cut[:, [0, 4, 5, -1]])
    offset = generator.align_camera(z, label)
    _check(name, "delta_c", offset)
    _check(name, "c_new", translate_label(label, offset))
    truncated = generator.align_camera(z, label, truncation_psi=0.7, truncation_cutoff=14)
    _check(name, "delta_c_psi0.7_cut14", truncated)


def test_trigrid_and_queries(case: tuple[str, Generator]) -> None:
    name, generator = case
    arrays = golden.load(name)[0]
    if "pts" not in arrays:
        pytest.skip("this file is trimmed")
    ws = mixed_ws(name, generator)
    planes = generator.backbone(ws, randomness=RenderRandomness(noise_mode="const"))
    step = planes.shape[-1] // 16
    _check(name, "planes", planes[: len(arrays.get("planes", planes))])
    _check(name, "planes_sub", planes[:1, :, ::step, ::step])
    _check(name, "planes_crop", planes[:1, ::5, 2:14, 3:15])
    points = golden.tensor(name, "pts")
    conditioned = generator.mapping(
        golden.tensor(name, "z"), golden.tensor(name, "c_cond"), truncation_psi=0.7, truncation_cutoff=14
    )
    density, features = generator.query(points, conditioned)
    _check(name, "sample_sigma", density)
    _check(name, "sample_rgb", features)
    _check(name, "sample_mixed_none_sigma", generator.query(points, ws, noise_mode="none")[0])


def test_renders(case: tuple[str, Generator]) -> None:
    name, generator = case
    ws, label = mixed_ws(name, generator), golden.tensor(name, "c")
    samples = generator.config.rendering.depth_samples
    prefixes = {key.split("/")[0] for key in golden.load(name)[0] if "/" in key} - {"forward_psi0.7_cut14"}
    smallest = min((int(p.split("_")[0][1:]) for p in prefixes if p != "half"), default=16)
    for prefix in sorted(prefixes):
        if prefix == "half":
            options = {"ray_jitter": 0.5, "importance_u": 0.5, "noise_mode": NAMES[name]}
            resolution = smallest
        else:
            resolution = int(prefix.split("_")[0][1:])
            options = {**draws(len(ws), resolution, samples), "noise_mode": prefix.split("_")[1]}
        if prefix.endswith("swapbg"):
            options["ws_background"] = ws.roll(1, 0)
        result = generator.synthesis(ws, label, neural_rendering_resolution=resolution, **options)
        _check_rendering(name, prefix, result)


def test_forward(case: tuple[str, Generator]) -> None:
    name, generator = case
    prefix = "forward_psi0.7_cut14"
    if f"{prefix}/mask" not in golden.load(name)[0]:
        pytest.skip("this file is trimmed")
    z, label = golden.tensor(name, "z"), golden.tensor(name, "c")
    resolution = int(golden.load(name)[0][f"{prefix}/mask"].shape[-1])
    result = generator(
        z,
        label,
        truncation_psi=0.7,
        truncation_cutoff=14,
        neural_rendering_resolution=resolution,
        noise_mode=NAMES[name],
        **draws(len(z), resolution, generator.config.rendering.depth_samples),
    )
    _check_rendering(name, prefix, result)
    assert result.camera_offset is not None


def test_raw_image_is_not_overwritten_by_super_resolution() -> None:
    """The original's 2x module adds its first block's image into the raw image at R = 64; ours returns it intact."""
    generator = golden_generator("gen_p3")
    result = generator.synthesis(
        mixed_ws("gen_p3", generator), golden.tensor("gen_p3", "c"), neural_rendering_resolution=64, **draws(1, 64, 12)
    )
    golden.assert_close("gen_p3", "r64_const/image_raw_before_sr", result.image_raw)
    corrupted = golden.tensor("gen_p3", "r64_const/image_raw_returned")
    assert float((result.image_raw[:, :, ::2, ::2] - corrupted).abs().max()) > 1


def test_full_size_network() -> None:
    generator = golden_generator("full512")
    assert sum(p.numel() for p in generator.parameters()) == 53_741_548
    z, label, condition = (golden.tensor("full512", key) for key in ("z", "c", "c_cond"))
    ws = generator.mapping(z, condition, truncation_psi=0.7, truncation_cutoff=14)
    golden.assert_close("full512", "ws_first", ws[:, :1])
    result = generator.synthesis(ws + 0.7 * golden.normal("wsmix", (1, 14, 512)), label, **draws(1, 64, 48))
    _check_rendering("full512", "r64_const", result)
