"""NeRF of one person: an analytic ball is found from its photos, and its colors and depth are right in new views."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation.scenes import sphere_view
from panohead.errors import UsageError
from panohead.evaluation.ground_truth.people import GroundTruthPerson, GroundTruthView
from panohead.evaluation.ground_truth.radiance_fit import (
    FieldAlongRays,
    RadianceConfig,
    RadianceField,
    fit_radiance,
)
from panohead.evaluation.ground_truth.reconstruction import baseline_method
from panohead.evaluation.results import silent
from panohead.geometry import Camera

SMALL = RadianceConfig(layers=2, width=32, position_octaves=3, direction_octaves=1, samples=12, steps=300, rays=256)


def photo(yaw: float, pitch: float, size: int = 32) -> GroundTruthView:
    """A ball of radius 0.25 with smooth bands."""
    view = sphere_view(Camera.orbit(yaw, pitch), size, paint=lambda points: torch.sin(6 * points))
    pixels = ((view.image.permute(1, 2, 0).numpy() + 1) * 127.5 + 0.5).astype(np.uint8)
    return GroundTruthView(pixels, view.mask[0].numpy(), view.depth, view.camera)


def test_a_ball_is_found_from_its_photos() -> None:
    photos = [photo(yaw, pitch) for yaw, pitch in zip(range(0, 360, 30), (0.0, 25.0, -25.0) * 4, strict=True)]
    fitted = fit_radiance(photos, SMALL)
    truth = photo(45.0, 10.0)
    found = fitted.view(truth.camera, 32)
    inside = torch.from_numpy(truth.mask) > 0.5
    assert float((found.mask[0] > 0.5).eq(inside).float().mean()) > 0.95
    both = inside & (found.mask[0] > 0.9)
    assert both.sum() > 0.8 * inside.sum()
    # A sample's distance: a ball of density knows its surface no better.
    assert float((found.depth[0] - truth.depth[0])[both].abs().mean()) < 1 / 12
    color = torch.from_numpy(truth.photo).permute(2, 0, 1) / 127.5 - 1
    assert float((found.image - color)[:, both].abs().mean()) < 0.12
    once, again, other = (
        fit_radiance(photos, replace(SMALL, steps=2), seed=seed).view(truth.camera, 4) for seed in (0, 0, 1)
    )
    assert torch.equal(once.image, again.image)
    assert not torch.equal(once.image, other.image)


def test_directions_belong_to_their_points() -> None:
    """A field of rays asked for all points at once is that of the single rays."""
    torch.manual_seed(0)
    field = RadianceField(SMALL)
    points, directions = torch.randn(1, 6, 3) / 5, torch.nn.functional.normalize(torch.randn(1, 2, 3), dim=-1)
    _, color = FieldAlongRays(field, directions)(points)
    for ray in (0, 1):
        of_ray = slice(3 * ray, 3 * ray + 3)
        _, alone = field(points[:, of_ray], directions[:, ray : ray + 1].expand(-1, 3, -1))
        torch.testing.assert_close(color[:, of_ray], alone)
    _, other = FieldAlongRays(field, directions.flip(1))(points)
    assert not torch.allclose(color, other, atol=1e-6), "colors depend on the direction"


def test_a_perfect_method_has_no_error_and_none_without_photos() -> None:
    cameras = [Camera.orbit(yaw) for yaw in (0.0, 90.0, 180.0)]
    truth = [sphere_view(camera, 48) for camera in cameras]
    person = GroundTruthPerson("ball", {1: [photo(0, 0)]}, truth, truth)
    results = baseline_method([person], lambda one: one.photos, lambda one, views: one.truth, progress=silent)
    depth = {result.subset: result.value for result in results if result.metric == "depth error"}
    assert depth == {"front, 1 photo": 0.0, "side, 1 photo": 0.0, "back, 1 photo": 0.0}
    with pytest.raises(UsageError, match="at least one"):
        fit_radiance([])
