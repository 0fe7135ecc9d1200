"""Detail fitted to roughness: measured against noise of known strength, then the known strengths are found again."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from panohead.models.detail_noise import DETAIL_CHANNELS, STRANDS
from panohead.models.surface_detail import SurfaceDetail, beside_face
from panohead.training.attribute_fit.detail import DetailConfig, fit_detail, wanted_roughness
from panohead.training.attribute_fit.roughness import (
    Roughness,
    differences,
    noise_roughness,
    true_roughness,
)

CHANNELS, W_DIM = 6, 8


def test_differences_have_scales_and_directions() -> None:
    """A pattern of stripes: nothing along them, everything across; the smallest scale is the plain difference."""
    stripes = (torch.arange(32) % 2).float().expand(1, 1, 32, 32)  # columns alternate
    found = differences(stripes)[0].unflatten(0, (3, 4)).abs().mean(dim=(2, 3))
    assert found[0].tolist() == pytest.approx([1, 0, 1, 1])
    assert float(found[1:].max()) < 0.2  # blurred away


def test_noise_of_known_strength_is_measured() -> None:
    """White noise of deviation 0.1 on gray: differences of independent pixels deviate sqrt(2) as much."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, 96, 96, generator=rng)
    image = (0.1 * noise).expand(-1, 3, -1, -1)  # around 0: a brightness of 1
    inner = (torch.arange(24) - 12).abs() < 9
    whole = (inner[:, None] & inner).flatten()
    true = true_roughness(image)[whole].mean(dim=0)
    # The least of nine estimates is 10 % below their mean, and further where fewer pixels are independent.
    assert true[0].tolist() == pytest.approx([0.9 * 0.1 * 2**0.5 / 1.06] * 4, rel=0.04)
    ratio = true / noise_roughness(noise[0])[whole].mean(dim=(0, 1))
    assert ratio.flatten().tolist() == pytest.approx([0.085 / 1.06] * 12, rel=0.12)


def test_the_border_of_a_rough_region_is_as_smooth_as_its_surroundings() -> None:
    rng = torch.Generator().manual_seed(0)
    image = 0.1 * torch.randn(1, 1, 96, 96, generator=rng).expand(-1, 3, -1, -1)
    image[..., 48:] = 0.0
    found = true_roughness(image)[:, 0, 0].unflatten(0, (24, 24))[2:-2]  # columns: one every four pixels
    assert float(found[:, 3:9].min()) > 0.08
    assert float(found[:, 12:].max()) < 0.01


def test_an_edge_is_not_rough() -> None:
    image = torch.full((1, 3, 64, 64), -0.5)
    image[..., 31:] = 0.5
    inner = (torch.arange(16) - 8).abs() < 6
    found = true_roughness(image).unflatten(0, (16, 16))[inner][:, inner]
    assert float(found[:, :, 0].max()) < 0.01


def places(count: int = 4000) -> tuple[Roughness, Tensor]:
    """Return places of two kinds of hair, told by a feature, whose roughness is that of known strengths."""
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(count, CHANNELS, generator=rng)
    strengths = torch.zeros(count, DETAIL_CHANNELS)
    strengths[:, 0] = torch.where(features[:, 0] > 0, 0.16, 0.08)
    strengths[:, 1] = 0.08
    noise = 0.5 + torch.rand(count, DETAIL_CHANNELS, 3, 4, generator=rng)
    truth = torch.einsum("pn,pnsd->psd", strengths.square(), noise.square()).sqrt()
    behind = torch.tensor([0.0, 0.1, -0.2]) + 0.05 * torch.randn(count, 3, generator=rng)
    w = torch.randn(count, W_DIM, generator=rng)
    return Roughness(features, torch.ones(count, 1), behind, w, torch.zeros(count), truth, noise), truth


def test_known_roughness_is_reached() -> None:
    samples, truth = places()
    detail = SurfaceDetail(CHANNELS, w_dim=W_DIM, box_warp=0.8)
    config = DetailConfig(steps=400, places_per_step=512, grain_weight=0.05)
    said: list[str] = []
    losses = fit_detail(detail, samples, config, said.append)
    assert len(losses) == 400
    assert losses[-1] < 0.3 * losses[0]
    assert not said
    with torch.no_grad():
        inputs = (x[:, None] for x in (samples.features, samples.weights, samples.points))
        strengths = detail.strengths(*inputs, samples.w)[:, 0]
    found = torch.einsum("pn,pnsd->psd", strengths.square(), samples.noise.square()).sqrt()
    assert float(((found - truth) / truth).abs().mean()) < 0.15
    rough = samples.features[:, 0] > 0
    assert float(found[rough].mean() / found[~rough].mean()) == pytest.approx(
        float(truth[rough].mean() / truth[~rough].mean()), rel=0.1
    )


def test_training_is_repeatable_and_starts_anew() -> None:
    samples, _ = places(500)
    config = DetailConfig(steps=5, places_per_step=64)
    first, second = (SurfaceDetail(CHANNELS, w_dim=W_DIM, box_warp=0.8) for _ in range(2))
    assert fit_detail(first, samples, config) == fit_detail(second, samples, config)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert fit_detail(first, samples, config) == fit_detail(second, samples, config)


def test_skin_and_faces_stay_smooth() -> None:
    samples, truth = places(100)
    config = DetailConfig()
    torch.testing.assert_close(wanted_roughness(samples, config), truth)  # hair
    skin = replace(samples, truth=truth * (config.smooth / float(truth.max())))
    assert not wanted_roughness(skin, config).any()
    face = replace(samples, points=torch.tensor([0.0, 0.02, 0.2]).expand(100, 3))
    assert not beside_face(face.points).any()
    assert not wanted_roughness(face, config).any()
    assert bool((beside_face(samples.points) == 1).all())


def test_curls_alone_get_grain() -> None:
    """Where strands explain the roughness as well as grain does, grain's weight decides."""
    samples, _truth = places(1500)
    # Every channel looks the same: nothing but the weight tells them apart.
    noise = samples.noise[:, :1].expand(-1, DETAIL_CHANNELS, -1, -1)
    samples = replace(samples, noise=noise, truth=noise[:, 0] * 0.15)
    detail = SurfaceDetail(CHANNELS, w_dim=W_DIM, box_warp=0.8)
    fit_detail(detail, samples, DetailConfig(steps=200, places_per_step=256, grain_weight=2.0), lambda _: None)
    with torch.no_grad():
        inputs = (x[:, None] for x in (samples.features, samples.weights, samples.points))
        strengths = detail.strengths(*inputs, samples.w)[:, 0].mean(dim=0)
    assert float(strengths[len(STRANDS) :].sum()) < 0.2 * float(strengths[: len(STRANDS)].sum())
