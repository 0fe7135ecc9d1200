"""The cleaned surface of a head: low-passed density, the trimmed bust, few triangles with and without the package."""

import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from panohead.mesh import head_surface as module
from panohead.mesh.head_surface import FRAME_BOTTOM, head_surface
from panohead.mesh.low_pass import low_passed
from panohead.mesh.settings import MeshSettings
from panohead.mesh.simplify import simplified_surface
from panohead.mesh.surface import Surface

RADIUS = 0.2
TEXEL = 1 / 32


def ball(points: Tensor) -> Tensor:
    return 10 + 400 * (RADIUS - points.norm(dim=1))


def ridged(points: Tensor) -> Tensor:
    """A ball with ridges of one texel's wavelength, 8 % of the radius from crest to trough."""
    waves = torch.sin(2 * torch.pi / TEXEL * points).sum(dim=1)
    return ball(points) + 400 * 0.04 * RADIUS * waves / 3


def torn(points: Tensor) -> Tensor:
    """A ball whose crown is cut by slits half a texel wide, down to a quarter of its height."""
    slit = (points[:, 0] % (2 * TEXEL) < TEXEL / 2) & (points[:, 1] > 0.75 * RADIUS)
    return torch.where(slit, torch.full_like(points[:, 0], -5.0), ball(points))


def bust(points: Tensor) -> Tensor:
    """A ball on a column that runs through the floor of the box."""
    column = 0.1 - points[:, [0, 2]].norm(dim=1)
    return 10 + 400 * torch.maximum(
        torch.where(points[:, 1] < 0, column, -torch.ones(len(points))), RADIUS - points.norm(dim=1)
    )


def extracted(density: object, **settings: object) -> Surface:
    chosen = MeshSettings(**{"resolution": 96, "triangles": None, **settings})  # type: ignore[arg-type]
    return head_surface(density, chosen, box_warp=1.0, crop=0.1, texel=TEXEL)  # type: ignore[arg-type]


def distances(surface: Surface) -> np.ndarray:
    return np.abs(np.linalg.norm(surface.vertices, axis=1) - RADIUS)


def test_ridges_go_and_the_surface_stays() -> None:
    """What is left of 8 % is under 0.1 %; the sphere of curvature 1/R has moved in by (0.6 texel)^2 / R."""
    raw, clean = extracted(ridged, smooth=0), extracted(ridged)
    assert distances(raw).max() > 0.03 * RADIUS
    shift = (0.6 * TEXEL) ** 2 / RADIUS
    assert np.abs(distances(clean) - shift).max() < 0.001 * RADIUS + 1 / 95**2
    assert clean.volume == pytest.approx(4 / 3 * np.pi * (RADIUS - shift) ** 3, rel=0.005)


def test_crowns_are_closed() -> None:
    """Slits of half a texel reach down to 0.75 of the radius; afterwards nothing of the crown is below 0.88 of it."""

    def crown(surface: Surface) -> np.ndarray:
        away = np.linalg.norm(surface.vertices, axis=1)
        return away[surface.vertices[:, 1] > 0.6 * RADIUS] / RADIUS

    assert crown(extracted(torn, smooth=0)).min() < 0.8
    assert crown(extracted(torn)).min() > 0.88


def test_normals_at_the_cut_are_those_of_the_side() -> None:
    """A vertex of the rim would otherwise point half downward: a dark, ragged line under a lamp."""
    surface = extracted(bust)
    rim = np.abs(np.linalg.norm(surface.vertices[:, [0, 2]], axis=1) - 0.1) < 0.004
    low = surface.vertices[:, 1] < FRAME_BOTTOM + 1 / 95
    assert np.abs(surface.vertex_normals[rim & low][:, 1]).max() < 0.75
    inner = np.linalg.norm(surface.vertices[:, [0, 2]], axis=1) < 0.07
    assert surface.vertex_normals[inner & low][:, 1].max() < -0.99


def test_a_low_pass_that_leaves_nothing_is_not_applied() -> None:
    values = np.full((9, 9, 9), -50, np.float32)
    values[4, 4, 4] = 11
    assert low_passed(values, 10.0, 4.0) is values
    assert low_passed(np.full((5, 5, 5), -1, np.float32), 10.0, 1.0).max() == -1


def test_the_bust_ends_flat_where_the_images_do() -> None:
    whole, trimmed = extracted(bust, trim=False), extracted(bust)
    assert whole.vertices[:, 1].min() < -0.45
    step = 1 / 95
    assert FRAME_BOTTOM - step < trimmed.vertices[:, 1].min() < FRAME_BOTTOM + step
    floor = trimmed.vertices[trimmed.vertices[:, 1] < FRAME_BOTTOM + step]
    assert np.ptp(floor[:, 1]) < step
    edges = np.sort(
        np.concatenate([trimmed.faces[:, [0, 1]], trimmed.faces[:, [1, 2]], trimmed.faces[:, [2, 0]]]), axis=1
    )
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all(), "closed"


@pytest.mark.parametrize("with_package", [True, False])
def test_few_triangles_with_and_without_the_package(monkeypatch: pytest.MonkeyPatch, with_package: bool) -> None:
    if not with_package:
        monkeypatch.setitem(sys.modules, "fast_simplification", None)
        monkeypatch.setattr(module, "can_simplify", lambda: False)
    surface = extracted(ball, triangles=2000)
    assert 1200 < len(surface.faces) <= 2000
    assert surface.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.04)
    assert len(extracted(ball, triangles="full").faces) > 6000


def test_the_least_number_of_triangles_is_reached() -> None:
    assert len(simplified_surface(extracted(ball), 100).faces) <= 100
