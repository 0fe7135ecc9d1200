"""Losses, cameras that move, plateaus, visibility and LPIPS, each against something plain."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import tiny
from panohead.errors import PanoHeadError
from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.inversion.camera_refinement import moved
from panohead.inversion.losses import FeatureLoss, PyramidLoss, psnr_db, pyramid, ssim
from panohead.inversion.objective import NOISE, PhotoObjective, empty_ray_color
from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.optimize import Plateau, optimize
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.unseen import UnseenViews, coprime, unseen_cameras
from panohead.inversion.visibility import seen_pixels, seen_points
from panohead.inversion.w_space import w_space
from panohead.perceptual.lpips_vgg import LpipsVgg, load_lpips_vgg


def image(seed: int, size: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_levels_of_the_pyramid_sum_to_the_image() -> None:
    levels = pyramid(image(0))
    total = levels[-1]
    for detail in reversed(levels[:-1]):
        total = detail + F.interpolate(total, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(total, image(0))
    assert [level.shape[-1] for level in levels] == [64, 32, 16, 8]


def test_pyramid_loss_is_zero_at_the_target_and_grows_with_shift_and_noise() -> None:
    smooth = F.interpolate(image(1, 8), (64, 64), mode="bicubic").clamp(-1, 1)
    distance = PyramidLoss().toward(smooth)
    assert abs(float(distance(smooth))) < 1e-6
    shifts = [float(distance(smooth.roll(n, dims=-1))) for n in (1, 2, 4)]
    assert 0.01 < shifts[0] < shifts[1] < shifts[2]
    assert float(distance(smooth + 0.1 * image(2))) > 0.01


def test_ssim_of_one_window_by_hand() -> None:
    a, b = image(3, 7).double(), image(4, 7).double()
    expected = []
    for x, y in zip(a[0], b[0], strict=True):
        covariance = (x * y).mean() - x.mean() * y.mean()
        top = (2 * x.mean() * y.mean() + 0.02**2) * (2 * covariance + 0.06**2)
        bottom = (x.mean() ** 2 + y.mean() ** 2 + 0.02**2) * (x.var(correction=0) + y.var(correction=0) + 0.06**2)
        expected.append(top / bottom)
    torch.testing.assert_close(ssim(a, b), torch.stack(expected).mean())
    assert float(ssim(a, a)) == pytest.approx(1)
    assert psnr_db(torch.zeros(4), torch.full((4,), 0.2)) == pytest.approx(20)


def test_feature_loss_sees_at_most_256_pixels_of_0_to_255() -> None:
    seen = []

    def features(x: torch.Tensor) -> torch.Tensor:
        seen.append((x.shape[-1], float(x.min()) >= 0, float(x.max()) > 150))
        return x.flatten(1)

    FeatureLoss(features).toward(image(5, 300))
    assert seen == [(256, True, True)]


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (70, 20), (180, -15)])
def test_a_moved_camera_is_the_orbit_s_neighbor(yaw: float, pitch: float) -> None:
    found = moved(Camera.orbit(yaw, pitch), torch.tensor([6.0, 4.0, 0, 0, 0]))
    torch.testing.assert_close(found.cam2world, Camera.orbit(yaw + 6, pitch + 4).cam2world, atol=1e-5, rtol=0)
    camera = Camera.orbit(yaw, pitch)
    back = moved(camera, torch.tensor([0, 0, 0, 0, -0.3]))
    torch.testing.assert_close(back.position.norm(), torch.tensor(3.0))


def test_plateau_cuts_and_then_ends() -> None:
    plateau = Plateau(patience=3, least_gain=0.1, cuts=1)
    assert [plateau.see(loss) for loss in (10, 8, 7.9, 7.8, 7.7)] == [False, False, False, False, True]
    assert not plateau.over
    assert [plateau.see(loss) for loss in (5, 5, 5, 5)] == [False, False, False, True]
    assert plateau.over


def test_minimize_ends_at_the_best_it_saw() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    seen = []

    def losses(step: int) -> dict[str, torch.Tensor]:
        seen.append(float(x.detach()))
        return {"loss": x.square().sum() if step < 5 else x.square().sum() + 100}

    optimize("search", [(x, 0.5)], losses, 8, OptimizationLog(), Plateau(patience=99))
    assert float(x.detach()) == min(seen[:5], key=abs)


def test_whitening_makes_w_vary_by_one_and_comes_back() -> None:
    space = w_space(tiny.generator(), samples=512)
    whitening = space.whitening()
    v = whitening.from_w(space.samples)
    strong = whitening.deviation > whitening.deviation[0] * 1e-3
    torch.testing.assert_close(v.std(dim=0, correction=0)[strong], torch.ones(int(strong.sum())), atol=0.02, rtol=0)
    torch.testing.assert_close(whitening.to_w(v), space.samples, atol=1e-4, rtol=0)


def sphere(camera: Camera, size: int = 64, radius: float = 0.3) -> Frame:
    """A sphere at the origin as a camera sees it."""
    from panohead.geometry import rays_from_camera

    origins, directions = rays_from_camera(camera.expand(1), size)
    along = (origins * directions).sum(-1)
    inside = along**2 - (origins.square().sum(-1) - radius**2)
    depth = (-along - inside.clamp_min(0).sqrt()).reshape(1, size, size)
    mask = (inside > 0).float().reshape(1, size, size)
    image = torch.zeros(3, size, size)
    return Frame(image, image, torch.where(mask > 0, depth, torch.inf), mask, camera)


def test_seen_is_the_near_side_of_a_sphere() -> None:
    directions = F.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    camera = Camera.orbit(30)
    seen = seen_points(directions * 0.3, [sphere(camera)], directions)
    towards = F.normalize(camera.position, dim=0)
    cosine = directions @ towards
    assert (seen[cosine > 0.5] > 0.3).all()
    assert (seen[cosine < 0] == 0).all()
    both = seen_points(directions * 0.3, [sphere(camera), sphere(Camera.orbit(-150))], directions)
    assert (both[cosine.abs() > 0.5] > 0.3).all()


def test_seen_pixels_of_the_same_and_of_the_opposite_view() -> None:
    front, back = sphere(Camera.orbit(0)), sphere(Camera.orbit(180))
    share = seen_pixels(front, [front]).sum() / front.mask.sum()
    assert share > 0.95
    assert seen_pixels(back, [front]).sum() / back.mask.sum() < 0.02


def test_unseen_cameras_are_far_from_the_photos() -> None:
    found = unseen_cameras([Camera.orbit(0), Camera.orbit(90)], 60)
    assert len(found) >= 4
    for camera in found:
        towards = F.normalize(camera.position, dim=0)
        assert max(float(towards[0]), float(towards[2])) <= 0.5 + 1e-6
    assert unseen_cameras([Camera.orbit(yaw) for yaw in (0, 90, 180, 270)], 60) == []


def test_the_mask_takes_the_background_out_of_the_loss() -> None:
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1
    photo = AlignedPhoto("x", image(6, 32)[0], mask, Camera.orbit(), "given")
    objective = PhotoObjective([photo], PyramidLoss(), empty=None, background_weight=0.0)
    other = torch.where(mask[None] > 0, photo.image[None], image(7, 32))
    assert abs(float(objective.image_distance(0, other))) < 1e-6
    cut = PhotoObjective([photo], PyramidLoss(), empty=torch.ones(3, 1, 1))
    assert abs(float(cut.image_distance(0, torch.where(mask[None] > 0, photo.image[None], torch.ones(()))))) < 1e-6
    wrong = torch.zeros(1, 1, 32, 32)
    assert float(cut.mask_distance(0, wrong)) == pytest.approx(0.25)


def test_empty_color_is_what_a_ray_beside_the_head_shows() -> None:
    from dataclasses import replace

    generator = tiny.generator(config=replace(tiny.CONFIG, use_background=False))
    generator.decoder.output.bias[0] -= 100  # nothing anywhere
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    image = generator.synthesis(ws, Camera.orbit().expand(1).to_label(), ray_jitter=0.5, importance_u=0.5).image_raw
    torch.testing.assert_close(
        empty_ray_color(generator, ws).expand(3, 16, 16), image[0].clamp(-1, 1), atol=1e-4, rtol=0
    )


def test_lpips_distance_is_the_published_formula(tmp_path: Path) -> None:
    network = LpipsVgg()
    state, index = {}, 0
    for i, stage in enumerate(network.stages):
        for layer in stage:
            state[f"features.{index}.weight"] = torch.randn(layer.weight.shape) / layer.weight[0].numel() ** 0.5
            state[f"features.{index}.bias"] = 0.1 * torch.randn(layer.bias.shape)
            index += 2
        index += 1
        state[f"lin{i}.model.1.weight"] = torch.rand(1, layer.weight.shape[0], 1, 1)
    torch.save(state, tmp_path / "lpips.pth")
    network = load_lpips_vgg(tmp_path / "lpips.pth")
    a, b = ((image(seed) + 1) * 127.5 for seed in (8, 9))

    def activations(x: torch.Tensor) -> list[torch.Tensor]:
        mean, deviation = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x = (x / 127.5 - 1 - mean[:, None, None]) / deviation[:, None, None]
        found = []
        for number in range(30):
            if f"features.{number}.weight" in state:
                x = F.relu(F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1))
                if number in (2, 7, 14, 21, 28):
                    found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
            elif number in (4, 9, 16, 23):
                x = F.max_pool2d(x, 2)
        return found

    expected = sum(
        ((p - q).square() * state[f"lin{i}.model.1.weight"]).sum(1).mean()
        for i, (p, q) in enumerate(zip(activations(a), activations(b), strict=True))
    )
    found = (network(a) - network(b)).square().sum()
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-3, atol=1e-6)
    with pytest.raises(PanoHeadError, match="there are no LPIPS weights"):
        load_lpips_vgg(tmp_path / "none.pth")
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(PanoHeadError, match="does not hold VGG16"):
        load_lpips_vgg(tmp_path / "empty.pth")


def test_unseen_views_pull_a_changed_head_back() -> None:
    generator = tiny.generator()
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    unseen = UnseenViews(generator, ws, [Camera.orbit(0)], least_angle_deg=60)
    same = generator.field(ws, noise=NOISE)
    assert all(float(unseen.difference(generator, same, ws, step)) < 1e-5 for step in range(unseen.count))
    generator.decoder.output.bias[0] += 3
    generator.requires_grad_(True)
    changed = unseen.difference(generator, generator.field(ws, noise=NOISE), ws, 0)
    assert float(changed.detach()) > 0.005
    changed.backward()
    gradients = [p.grad for p in generator.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("count", range(1, 13))
def test_unseen_views_take_turns(count: int) -> None:
    visited = [turn * coprime(count) % count for turn in range(count)]
    assert sorted(visited) == list(range(count))
    if count > 6:
        apart = [min((a - b) % count, (b - a) % count) for a, b in pairwise(visited)]
        assert min(apart) > 1, "neighbours do not follow each other"


def test_the_best_is_known_by_the_judged_part() -> None:
    """The total is larger at every other step; the part falls all the time, so the last step is the best."""
    x = torch.tensor([1.0], requires_grad=True)

    def losses(step: int) -> dict[str, torch.Tensor]:
        return {"loss": x.sum() + (5 if step % 2 else 0), "photos": x.sum()}

    optimize("tune", [(x, 0.1)], losses, 4, OptimizationLog(), Plateau(), judged="photos")
    assert float(x.detach()) == pytest.approx(0.7)


def test_a_phase_that_diverges_ends_with_the_best() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    log = OptimizationLog()
    optimize("search", [(x, 0.1)], lambda step: {"loss": (x / (0 if step == 2 else 1)).sum()}, 5, log, Plateau())
    assert float(x.detach()) == pytest.approx(0.9)
    assert "lost its footing" in log.notes[0]
