"""The renderer on a ball with a known image, laws of compositing, and gradients against finite differences."""

import math

import pytest
import torch

from panohead.geometry import Camera, rays_from_camera
from panohead.randomness import RenderRandomness
from panohead.rendering.compositing import composite, interval_weights
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.dispatch import density
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RenderConfig, render_rays
from panohead.rendering.sampling import ray_box_limits, stratified_depths
from panohead.rendering.trigrid import EG3D_AXES, sample_trigrid
from rendering.analytic import RADIUS, Ball, chord, optical_depth

FINE = RenderConfig(depth_samples=400, importance_samples=400, crop_margin=0.0)
EVEN = RenderRandomness(ray_jitter=0.5, importance_u=torch.linspace(0.001, 0.999, 400)[None])


def _rays_at(distances: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Parallel rays along -z that pass the center at the given distances."""
    origins = torch.tensor([[[d, 0.0, 2.7] for d in distances]])
    return origins, torch.tensor([0.0, 0.0, -1.0]).expand_as(origins)


@pytest.mark.parametrize("raw_density", [2.0, 5.0, 20.0])
def test_weight_of_a_ball_is_its_opacity(raw_density: float) -> None:
    distances = [0.0, 0.1, 0.2, 0.28, 0.35]
    result = render_rays(Ball(raw_density), *_rays_at(distances), FINE, EVEN)
    expected = [1 - math.exp(-optical_depth(raw_density, chord(d))) for d in distances]
    torch.testing.assert_close(result.weight_sum[0, :, 0], torch.tensor(expected), atol=0.01, rtol=0)


def test_depth_of_a_dense_ball_is_its_surface() -> None:
    distances = [0.0, 0.1, 0.2]
    result = render_rays(Ball(2000.0), *_rays_at(distances), FINE, EVEN)
    expected = torch.tensor([2.7 - chord(d) / 2 for d in distances])
    torch.testing.assert_close(result.depth[0, :, 0], expected, atol=2e-3, rtol=0)
    # The features are positions: the composite is the surface point itself.
    surface = torch.tensor([[d, 0.0, chord(d) / 2] for d in distances])
    torch.testing.assert_close(result.features[0], surface, atol=3e-3, rtol=0)


def test_depth_of_a_thin_ball_is_its_mean() -> None:
    """With almost no absorption every part of the chord counts alike, so the mean depth is the center's."""
    result = render_rays(Ball(-4.0), *_rays_at([0.0, 0.15]), FINE, EVEN)
    torch.testing.assert_close(result.depth[0, :, 0], torch.full((2,), 2.7), atol=2e-3, rtol=0)


def test_missing_everything_gives_nothing() -> None:
    result = render_rays(Ball(20.0), *_rays_at([0.45]), FINE, EVEN)
    assert float(result.weight_sum.abs().max()) == 0
    assert result.depth.isfinite().all()


def test_a_camera_sees_a_round_silhouette() -> None:
    origins, directions = rays_from_camera(Camera.orbit(70, 20).expand(1), 33)
    mask = render_rays(Ball(2000.0), origins, directions, FINE, EVEN).weight_sum.reshape(33, 33) > 0.5
    assert torch.equal(mask, mask.flip(0))
    assert torch.equal(mask, mask.T)
    seen_radius = 4.2647 * math.tan(math.asin(RADIUS / 2.7)) * 33
    # Sub-pixel agreement of the area; the silhouette is a circle whose radius exceeds the image's half.
    in_image = sum(math.hypot(i - 16, j - 16) < seen_radius for i in range(33) for j in range(33))
    assert abs(int(mask.sum()) - in_image) <= 24


def test_compositing_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    density = torch.randn(1, 2, 6, generator=generator) * 4
    depths = torch.rand(1, 2, 6, generator=generator).sort(dim=-1).values + 2
    features = torch.randn(1, 2, 6, 3, generator=generator)
    result = composite(features, density, depths)
    for ray in range(2):
        transmittance, color, depth, total = 1.0, torch.zeros(3), 0.0, 0.0
        for i in range(5):
            step = float(depths[0, ray, i + 1] - depths[0, ray, i])
            raw = float(density[0, ray, i] + density[0, ray, i + 1]) / 2
            alpha = 1 - math.exp(-math.log1p(math.exp(raw - 1)) * step)
            weight = alpha * transmittance
            transmittance *= 1 - alpha + 1e-10
            color += weight * (features[0, ray, i] + features[0, ray, i + 1]) / 2
            depth += weight * float(depths[0, ray, i] + depths[0, ray, i + 1]) / 2
            total += weight
        torch.testing.assert_close(result.features[0, ray], color, atol=1e-5, rtol=1e-5)
        assert float(result.weight_sum[0, ray]) == pytest.approx(total, abs=1e-5)
        assert float(result.depth[0, ray]) == pytest.approx(depth / total, abs=1e-4)


def test_weights_are_a_share() -> None:
    generator = torch.Generator().manual_seed(1)
    density = torch.randn(2, 5, 20, generator=generator) * 100
    depths = (torch.rand(2, 5, 20, generator=generator) * 3).sort(dim=-1).values
    weights = interval_weights(density, depths)
    assert bool((weights >= 0).all())
    assert float(weights.sum(dim=-1).max()) <= 1 + 1e-5


def test_stratified_depths_stay_in_their_strata() -> None:
    jitter = torch.rand(1, 3, 10, generator=torch.Generator().manual_seed(2))
    depths = stratified_depths(2.0, 3.0, jitter)
    lower = 2 + torch.arange(10) / 9
    assert bool((depths >= lower - 1e-6).all())
    assert bool((depths <= lower + 1 / 9 + 1e-6).all())
    inverse = stratified_depths(2.0, 4.0, torch.zeros(1, 1, 3), disparity=True)
    torch.testing.assert_close(inverse[0, 0], torch.tensor([2.0, 8 / 3, 4.0]))


def test_missed_rays_get_the_widest_limits() -> None:
    origins = torch.tensor([[[0.0, 0.0, 2.0], [0.1, 0.0, 3.0], [5.0, 5.0, 2.0]]])
    directions = torch.tensor([0.0, 0.0, -1.0]).expand_as(origins)
    start, end = ray_box_limits(origins, directions, box_warp=1.0)
    torch.testing.assert_close(start[0, :, 0], torch.tensor([1.5, 2.5, 1.5]))
    torch.testing.assert_close(end[0, :, 0], torch.tensor([2.5, 3.5, 3.5]))
    _, official = ray_box_limits(origins, directions, box_warp=1.0, official_missed_rays=True)
    torch.testing.assert_close(official[0, 2, 0], torch.tensor(2.5))


def test_trigrid_equals_a_loop_over_texels() -> None:
    generator = torch.Generator().manual_seed(3)
    planes = torch.randn(1, 3, 2, 3, 4, 5, generator=generator)
    points = torch.randn(1, 7, 3, generator=generator) * 0.4
    box = 1.3
    result = sample_trigrid(planes, points, box_warp=box)
    for n in range(7):
        total = torch.zeros(2)
        for plane, axes in enumerate(((0, 1, 2), (0, 2, 1), (1, 2, 0))):
            place = [
                ((float(points[0, n, axis]) * 2 / box + 1) * size - 1) / 2
                for axis, size in zip(axes, (5, 4, 3), strict=True)
            ]
            for k in range(3):
                for j in range(4):
                    for i in range(5):
                        share = math.prod(max(0.0, 1 - abs(p - q)) for p, q in zip(place, (i, j, k), strict=True))
                        total += share * planes[0, plane, :, k, j, i]
        torch.testing.assert_close(result[0, n], total / 3, atol=1e-5, rtol=1e-5)


def test_triplane_ignores_the_third_axis_and_depth_one_trigrid_fades() -> None:
    planes = torch.ones(1, 3, 2, 1, 8, 8)
    points = torch.tensor([[[0.1, 0.1, 0.1], [0.1, 0.1, 0.4]]])
    flat = sample_trigrid(planes, points, box_warp=1.0, axes=EG3D_AXES, interpolation="bilinear")
    torch.testing.assert_close(flat, torch.ones(1, 2, 2))
    faded = sample_trigrid(planes[:, :1].expand(1, 3, 2, 1, 8, 8), points, box_warp=1.0)
    # Plane 0 has z as its slice: 1 - |t| / 2 with t = 0.2 and 0.8; those of the other planes are y and x.
    torch.testing.assert_close(faded[0, :, 0], torch.tensor([0.9, (0.6 + 0.9 + 0.9) / 3]), atol=1e-6, rtol=0)


def test_a_trigrid_tells_front_from_back_where_a_triplane_cannot() -> None:
    planes = torch.zeros(1, 3, 1, 3, 4, 4)
    planes[:, 0, :, 2] = 1.0
    front, back = torch.tensor([[[0.0, 0.0, 0.35]]]), torch.tensor([[[0.0, 0.0, -0.35]]])
    assert float(sample_trigrid(planes, front, box_warp=1.0)) > 0.3
    assert float(sample_trigrid(planes, back, box_warp=1.0)) == 0


def _small_field(dtype: torch.dtype, *, activation: str = "none") -> tuple[torch.Tensor, DecoderWeights]:
    generator = torch.Generator().manual_seed(4)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    decoder = DecoderWeights(normal(5, 2), normal(5), normal(4, 5), normal(4), activation)  # type: ignore[arg-type]
    return normal(1, 3, 2, 2, 3, 3), decoder


@pytest.mark.parametrize("activation", ["none", "sigmoid", "lrelu"])
def test_gradients_through_the_renderer_agree_with_finite_differences(activation: str) -> None:
    planes, decoder = _small_field(torch.float64, activation=activation)
    origins, directions = rays_from_camera(
        Camera(Camera.orbit(20, 10).cam2world.double()[None], Camera.orbit().intrinsics.double()[None]), 2
    )
    config = RenderConfig(depth_samples=6, importance_samples=0, crop_margin=0.0)

    def image(planes: torch.Tensor, hidden: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights = DecoderWeights(hidden, decoder.hidden_bias, output, decoder.output_bias, decoder.activation)
        field = TriGridField(planes, weights, 1.0)
        result = render_rays(field, origins, directions, config, RenderRandomness(ray_jitter=0.5))
        return result.features, result.weight_sum

    inputs = tuple(t.requires_grad_(True) for t in (planes, decoder.hidden_weight, decoder.output_weight))
    # The random projections of fast mode for the variants, every entry for the one that the paper uses.
    assert torch.autograd.gradcheck(image, inputs, fast_mode=activation != "none")


def test_gradients_of_the_trigrid_agree_with_finite_differences() -> None:
    planes, _ = _small_field(torch.float64)
    points = torch.rand(1, 5, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64) - 0.5

    def sample(planes: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        return sample_trigrid(planes, points, box_warp=1.0)

    assert torch.autograd.gradcheck(sample, (planes.requires_grad_(True), points.requires_grad_(True)))


def test_batch_equals_one_by_one_but_for_the_shared_depth_range() -> None:
    planes, decoder = _small_field(torch.float32)
    planes = torch.cat([planes, planes.flip(3)])
    camera = Camera.from_label(torch.stack([Camera.orbit(0).to_label(), Camera.orbit(120).to_label()]))
    origins, directions = rays_from_camera(camera, 4)
    config = RenderConfig(depth_samples=12, importance_samples=12)
    even = RenderRandomness(ray_jitter=0.5, importance_u=0.3)
    both = render_rays(TriGridField(planes, decoder, 1.0), origins, directions, config, even)
    for i in range(2):
        one = render_rays(
            TriGridField(planes[i : i + 1], decoder, 1.0), origins[i : i + 1], directions[i : i + 1], config, even
        )
        torch.testing.assert_close(one.features[0], both.features[i], atol=1e-5, rtol=1e-5)


def test_density_alone_is_the_density() -> None:
    planes, decoder = _small_field(torch.float32)
    field = TriGridField(planes, decoder, 1.0)
    points = torch.rand(1, 50, 3, generator=torch.Generator().manual_seed(6)) - 0.5
    torch.testing.assert_close(density(field, points), field(points)[0])
