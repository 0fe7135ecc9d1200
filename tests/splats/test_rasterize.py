"""The splatter against a slow reference, and the laws of compositing."""

import math

import numpy as np
import torch
from torch import Tensor

from panohead.geometry import Camera, project
from panohead.splats import SplatCloud, render_splats
from panohead.splats.cloud import rotation_matrices, turned_to
from panohead.splats.rasterize import PIXEL_VARIANCE
from panohead.splats.refine import TargetView, refined

SIZE = 24


def cloud(count: int = 30, seed: int = 0) -> SplatCloud:
    rng = np.random.default_rng(seed)

    def drawn(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.from_numpy((rng.normal(size=shape) * scale).astype(np.float32))

    return SplatCloud(
        means=drawn(count, 3, scale=0.12),
        log_scales=drawn(count, 3, scale=0.4) + math.log(0.02),
        quaternions=drawn(count, 4),
        opacity_logits=drawn(count),
        colors=torch.from_numpy(rng.random((count, 3)).astype(np.float32)),
    )


def reference(splats: SplatCloud, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Color and alpha, one splat after the other, each over all pixels."""
    world = camera.cam2world.double().numpy()
    focal = camera.intrinsics.double().numpy()[0, 0] * SIZE
    columns, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    color, light = np.zeros((3, SIZE, SIZE)), np.ones((SIZE, SIZE))
    points = (splats.means.double().numpy() - world[:3, 3]) @ world[:3, :3]
    for i in np.argsort(points[:, 2]):
        x, y, z = points[i]
        turn = rotation_matrices(splats.quaternions.double())[i].numpy()
        spread = turn @ np.diag(np.exp(2 * splats.log_scales.double().numpy()[i])) @ turn.T
        slope = focal * np.array([[1 / z, 0, -x / z**2], [0, 1 / z, -y / z**2]]) @ world[:3, :3].T
        flat = slope @ spread @ slope.T
        wide = flat + PIXEL_VARIANCE * np.eye(2)
        opacity = 1 / (1 + math.exp(-float(splats.opacity_logits[i])))
        opacity *= math.sqrt(np.linalg.det(flat) / np.linalg.det(wide))
        away = np.stack([columns - focal * x / z - SIZE / 2, rows - focal * y / z - SIZE / 2], -1)
        alpha = opacity * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", away, np.linalg.inv(wide), away))
        alpha = np.where(alpha < 1 / 255, 0, np.minimum(alpha, 0.99))
        color += light * alpha * splats.colors[i].double().numpy()[:, None, None]
        light = light * (1 - alpha)
    return color, 1 - light


def test_image_is_that_of_the_slow_reference() -> None:
    splats, camera = cloud(), Camera.orbit(35, 20)
    drawn = render_splats(splats, camera, SIZE)
    color, alpha = reference(splats, camera)
    # The box of three deviations cuts off at most 1.1 % of a splat, hidden pairs a thousandth.
    np.testing.assert_allclose(drawn.color.numpy(), color, atol=0.02)
    np.testing.assert_allclose(drawn.alpha[0].numpy(), alpha, atol=0.02)
    assert np.abs(drawn.color.numpy() - color).mean() < 1e-3


def test_gradients_are_those_of_differences() -> None:
    splats, camera = cloud(6), Camera.orbit(10, 5)
    for name, step in (("means", 1e-4), ("log_scales", 1e-3), ("opacity_logits", 1e-3), ("colors", 1e-3)):
        value = getattr(splats, name).double().requires_grad_()
        values = {key: part.double() for key, part in vars(splats).items()}

        def total(x: Tensor, values: dict[str, Tensor] = values, name: str = name) -> Tensor:
            image = render_splats(SplatCloud(**{**values, name: x}), camera, SIZE)
            return (image.color * torch.linspace(0, 1, SIZE, dtype=torch.float64)).sum()

        total(value).backward()
        assert value.grad is not None
        change = torch.zeros_like(value)
        change.view(-1)[1] = step
        with torch.no_grad():
            expected = float((total(value + change) - total(value - change)) / (2 * step))
        assert float(value.grad.view(-1)[1]) == torch.tensor(expected).double().item() or math.isclose(
            float(value.grad.view(-1)[1]), expected, rel_tol=0.05, abs_tol=2e-3
        ), name


def test_a_splat_lies_where_cameras_project_it() -> None:
    camera = Camera.orbit(-60, 30)
    point = torch.tensor([[0.05, -0.03, 0.1]])
    one = SplatCloud(
        point, torch.full((1, 3), math.log(0.004)), torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1), torch.ones(1, 3)
    )
    alpha = render_splats(one, camera, 64).alpha[0]
    rows, columns = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    found = torch.stack([(alpha * columns).sum(), (alpha * rows).sum()]) / alpha.sum()
    place, _, _ = project(point, camera)
    torch.testing.assert_close(found, (place[0] + 1) * 32, atol=0.05, rtol=0)


def test_nearer_splats_hide_farther_ones() -> None:
    camera = Camera.orbit(0)
    wide = torch.full((2, 3), math.log(0.2))
    two = SplatCloud(
        torch.tensor([[0.0, 0, -0.1], [0, 0, 0.1]]),
        wide,
        torch.tensor([[1.0, 0, 0, 0]]).expand(2, 4),
        torch.full((2,), 8.0),
        torch.tensor([[1.0, 0, 0], [0, 1, 0]]),
    )
    for order in ([0, 1], [1, 0]):
        middle = render_splats(two[torch.tensor(order)], camera, SIZE).color[:, SIZE // 2, SIZE // 2]
        assert middle[1] > 0.95
        assert middle[0] < 0.02


def test_turned_to_turns_the_z_axis() -> None:
    normals = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    normals[0] = torch.tensor([0.0, 0, -1])
    turned = rotation_matrices(turned_to(normals)) @ torch.tensor([0.0, 0, 1])
    torch.testing.assert_close(turned, normals, atol=1e-5, rtol=0)


def test_refinement_comes_nearer_and_stays_near() -> None:
    true, camera = cloud(60, seed=3), [Camera.orbit(90.0 * k) for k in range(4)]
    with torch.no_grad():
        images = [render_splats(true, c, SIZE) for c in camera]
    views = [TargetView(image.over(1.0), image.alpha, c) for image, c in zip(images, camera, strict=True)]
    wrong = SplatCloud(**{**vars(true), "colors": torch.full_like(true.colors, 0.5)})

    def error(splats: SplatCloud) -> float:
        with torch.no_grad():
            return float(
                sum((render_splats(splats, v.camera, SIZE).over(1.0) - v.image).square().mean() for v in views)
            )

    better = refined(wrong, views, 40)
    assert error(better) < 0.4 * error(wrong)
    assert float((better.means - wrong.means).abs().max()) <= 0.02 + 1e-6
    same = refined(wrong, views, 40)
    torch.testing.assert_close(same.means, better.means, rtol=0, atol=0)
