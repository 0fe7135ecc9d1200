"""Texture sticking on spheres whose pattern is fixed to the screen, to the surface, or both."""

import math

import pytest
import torch
from torch import Tensor

from evaluation.scenes import frame_of, sphere_view
from panohead.evaluation.head_views import HeadMetric, HeadViews
from panohead.evaluation.texture_sticking import Correlation, TextureSticking, compare_detail, row_detail
from panohead.frame import Frame
from panohead.geometry.camera import Camera

SIZE = 96


def speckles(points: Tensor) -> Tensor:
    """Independent-looking colors of fine grain on a sphere's surface: many waves of short length in all directions."""
    rng = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(120, 3, generator=rng), dim=1)
    wave = directions * (300 + 150 * torch.rand(120, 1, generator=rng))
    phase = torch.rand(3, 120, generator=rng) * 2 * math.pi
    angles = points @ wave.T  # point wave
    return torch.stack([(angles + one).sin().sum(dim=1) for one in phase], dim=1) / math.sqrt(60)


SCREEN = torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


class Sphere(HeadViews):
    """Views of a sphere with two patterns of given strengths."""

    def __init__(self, surface: float, screen: float, radius: float = 0.3) -> None:
        object.__setattr__(self, "strengths", (surface, screen, radius))

    def at(self, yaw_deg: float, pitch_deg: float = 0.0) -> Frame:
        surface, screen, radius = self.strengths
        view = sphere_view(Camera.orbit(yaw_deg), SIZE, radius=radius, paint=lambda p: surface * speckles(p))
        return frame_of(type(view)(view.image + screen * SCREEN * view.mask, view.depth, view.mask, view.camera))


def measured(surface: float, screen: float) -> tuple[float, float]:
    """The share that sticks, and the correlation along the surface."""
    metric = TextureSticking()
    assert isinstance(metric, HeadMetric)
    metric.add(Sphere(surface, screen))
    (result,) = metric.results()
    assert result.counts["pixels"] > 1000
    return result.value, result.details["follows_surface"]


def test_a_pattern_of_the_screen_sticks_and_one_of_the_surface_does_not() -> None:
    sticking, following = measured(0, 1)
    assert sticking == pytest.approx(1, abs=1e-5)
    assert abs(following) < 0.1
    sticking, following = measured(1, 0)
    assert abs(sticking) < 0.05
    assert following > 0.4, "resampling costs fine detail, and near the rim it is too fine to be seen"


def test_a_mixture_has_the_screens_share_of_the_energy() -> None:
    view = Sphere(1, 0).at(0)
    inside = (view.mask[0] > 0.9)[20:76, 20:76]
    energies = [float(row_detail(x)[:, 20:76, 20:76][:, inside].square().mean()) for x in (view.image, SCREEN)]
    share = 0.3
    screen = math.sqrt(share / (1 - share) * energies[0] / energies[1])
    assert measured(1, screen)[0] == pytest.approx(share, abs=0.08)


def test_lines_along_the_motion_and_shading_do_not_count() -> None:
    """Rows of one color stay where they are on any turning head; only columns of detail can tell."""
    stripes = torch.linspace(0, 40, SIZE).sin()[None, :, None].expand(3, SIZE, SIZE)
    assert float(row_detail(stripes).abs().max()) < 1e-5
    shading = torch.linspace(-1, 1, SIZE)[None, None, :].expand(3, SIZE, SIZE)
    assert float(row_detail(shading)[..., 5:-5].abs().max()) < 1e-5


def test_a_surface_that_does_not_move_is_not_compared() -> None:
    screen, surface = Correlation(), Correlation()
    view = Sphere(1, 0).at(0)
    compare_detail(view, view, screen, surface)
    assert screen.pixels == surface.pixels == 0
    assert math.isnan(screen.value)


def test_nothing_to_compare_is_no_number() -> None:
    metric = TextureSticking()
    metric.add(Sphere(1, 0, radius=0.01))
    (result,) = metric.results()
    assert math.isnan(result.value)
    assert result.counts["heads"] == 0
