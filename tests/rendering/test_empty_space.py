"""Empty space: what counts as empty, and that no image changes by it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.ops.cpu.jit import available
from panohead.randomness import RenderRandomness
from panohead.rendering import dispatch
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.empty_space import find_empty_space, in_empty_space
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RenderConfig, render_rays

CONFIG = RenderConfig(depth_samples=64, importance_samples=0, crop_margin=0.0)
RADIUS = 0.2


def make_ball(batch: int = 1, **options: Any) -> TriGridField:
    """A smooth ball around the origin: raw density 100 at its center, 0 at RADIUS, -150 outside the box.

    The only channel that counts is a - b (x^2 + y^2 + z^2), a sum over the three planes.
    """
    size, scale = 64, 200.0
    line = (torch.arange(size) + 0.5) / size - 0.5  # pixel centers, as grid_sample without aligned corners
    # Each plane spans two axes; over all planes every axis occurs twice.
    square = (line[:, None].square() + line.square()) / 2
    planes = torch.zeros(batch, 3, 16, 1, size, size)
    planes[:, :, 0, 0] = RADIUS**2 / 3 - square
    # softplus is nearly linear from 20 on: hidden = 3 mean(features) * gain + 20
    gain = 100.0
    hidden_weight, output = torch.zeros(16, 16), torch.zeros(9, 16)
    hidden_weight[0, 0] = 3 * gain
    output[0, 0] = scale / gain / RADIUS**2 / 2
    output[1:, 0] = torch.linspace(-1, 1, 8) / 20
    bias = torch.full((16,), 100.0)
    decoder = DecoderWeights(hidden_weight, bias, output, torch.cat([-100 * output[:1, 0], torch.zeros(8)]))
    return TriGridField(planes, decoder, 1.0, interpolation="bilinear", **options)


def rays(batch: int = 1) -> tuple[Tensor, Tensor]:
    origins, directions = rays_from_camera(Camera.orbit(40, 15).expand(batch), 24)
    return origins, directions


def test_the_ball_is_one() -> None:
    points = torch.tensor([[[0, 0, 0], [RADIUS, 0, 0], [0, -RADIUS, 0], [0.3, 0.1, -0.3]]], dtype=torch.float32)
    inside, right, below, outside = make_ball().density(points)[0, :, 0].tolist()
    assert inside == pytest.approx(100, rel=0.05)
    assert max(abs(right), abs(below)) < 8
    assert outside < -100


def test_only_cells_near_the_ball_are_occupied() -> None:
    """Every cell with a point of the ball in it is; none is whose center is further than its neighbors' diagonals."""
    cells = 20
    occupied = find_empty_space(make_ball(), cells).occupied
    assert occupied is not None
    line = (torch.arange(cells) + 0.5) / cells - 0.5
    distance = torch.stack(torch.meshgrid(line, line, line, indexing="ij")).norm(dim=0)
    diagonal = math.sqrt(3) / cells
    assert occupied[0][distance < RADIUS].all()
    assert not occupied[0][distance > 1.1 * RADIUS + 2 * diagonal].any()


def test_points_by_cells() -> None:
    """One occupied cell; slow: the cell of every point by hand. Outside the box nothing is empty."""
    occupied = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    occupied[0, 1, 2, 3] = True  # z y x
    points = 1.4 * torch.rand(1, 500, 3, generator=torch.Generator().manual_seed(0)) - 0.7
    points[0, 0] = torch.tensor([0.3, 0.1, -0.1])
    found = in_empty_space(points, occupied, 1.0)[0]
    for (x, y, z), empty in zip(points[0].tolist(), found.tolist(), strict=True):
        outside = max(abs(x), abs(y), abs(z)) > 0.5
        within = 0.25 <= x < 0.5 and 0 <= y < 0.25 and -0.25 <= z < 0
        assert empty == (not outside and not within)


@pytest.mark.parametrize("batch", [1, 2])
def test_images_stay_the_same(batch: int) -> None:
    """With the search inside the renderer, with a prepared field, and plainly; fewer than a third are occupied."""
    field, config = make_ball(batch), replace(CONFIG, empty_cells=24)
    randomness = RenderRandomness(ray_jitter=0.5)
    expected = render_rays(field, *rays(batch), CONFIG, randomness)
    prepared = dispatch.prepare(field, empty_cells=24)
    for found in (
        dispatch.render(field, *rays(batch), config, randomness),
        dispatch.render(prepared, *rays(batch), config, randomness),
        render_rays(find_empty_space(field, 24), *rays(batch), CONFIG, randomness),
    ):
        torch.testing.assert_close(found.features, expected.features, rtol=0, atol=1e-4)
        torch.testing.assert_close(found.weight_sum, expected.weight_sum, rtol=0, atol=1e-4)
    assert float(expected.weight_sum.amax()) > 0.99
    if available():
        assert prepared.occupied is not None
        assert float(prepared.occupied.float().mean()) < 0.33


@pytest.mark.skipif(not available(), reason="numba is not installed")
def test_gradients_stay_the_same() -> None:
    field = make_ball()
    planes = field.planes.requires_grad_()
    found = []
    for cells in (0, 24):
        config = replace(CONFIG, empty_cells=cells)
        result = dispatch.render(replace(field, planes=planes), *rays(), config, RenderRandomness(ray_jitter=0.5))
        (grad,) = torch.autograd.grad(result.weight_sum.sum() + result.features.square().sum(), planes)
        found.append(grad)
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-3 * float(found[0].abs().max()))


def test_none_is_sought_unasked() -> None:
    field = make_ball()
    assert find_empty_space(field, 0) is field
    assert dispatch.prepare(field).occupied is None
