"""Geometry metrics on known solids."""

import math

import numpy as np
import pytest
import torch

from evaluation.scenes import sphere_view
from panohead.evaluation.ground_truth.geometry import depth_errors, normal_errors_deg, normals_of, surface_errors
from panohead.evaluation.warping import points_of
from panohead.geometry.camera import Camera


def sphere(radius: float, count: int = 20_000, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True) + np.array([shift, 0.0, 0.0])


def test_spheres_of_different_radius_have_the_difference_as_distance() -> None:
    found = surface_errors(sphere(0.30), sphere(0.25, seed=1))
    assert found.chamfer == pytest.approx(0.05, rel=0.02)
    assert found.accuracy == pytest.approx(0.05, rel=0.02)
    assert found.completeness == pytest.approx(0.05, rel=0.02)
    assert found.f_score == {0.005: 0.0, 0.01: 0.0, 0.02: 0.0}
    assert surface_errors(sphere(0.30), sphere(0.25, seed=1), [0.06]).f_score[0.06] == 1.0


def test_a_surface_against_itself_displaced() -> None:
    """A point of a sphere moved by d along x is about d |cos| away from it: d / 2 on average."""
    baseline = surface_errors(sphere(0.25), sphere(0.25, seed=1)).chamfer
    found = surface_errors(sphere(0.25, shift=0.03), sphere(0.25, seed=1)).chamfer
    assert baseline < 0.004
    assert found == pytest.approx(0.015, rel=0.1)
    assert surface_errors(sphere(0.25), sphere(0.25)).chamfer == 0


def test_depth_errors_of_spheres() -> None:
    camera = Camera.orbit(30, 10)
    near, far = sphere_view(camera, radius=0.27), sphere_view(camera, radius=0.25)
    valid = far.mask > 0
    same = depth_errors(far.depth, far.depth, valid)
    assert (same.absolute, same.scale_invariant) == (0, 0)
    middle = torch.zeros_like(valid)
    middle[0, 23:25, 23:25] = True
    assert depth_errors(near.depth, far.depth, middle).absolute == pytest.approx(0.02, rel=0.01)
    scaled = depth_errors(1.1 * far.depth, far.depth, valid)
    assert scaled.absolute == pytest.approx(0.1 * float(far.depth[valid].mean()), rel=1e-4)
    assert scaled.scale_invariant == pytest.approx(0, abs=1e-6)
    assert math.isnan(depth_errors(far.depth, far.depth, torch.zeros_like(valid)).absolute)


def test_normals_of_a_sphere_point_outward() -> None:
    view = sphere_view(Camera.orbit(-60, 20), 96)
    normals = normals_of(view)
    truth = torch.nn.functional.normalize(points_of(view), dim=-1)
    inner = torch.nn.functional.avg_pool2d(view.mask[None], 9, 1, 4)[0, 0] > 0.999
    assert normal_errors_deg(normals, truth, inner) < 1.5
    turn = math.radians(10)
    turned = truth @ torch.tensor(
        [[math.cos(turn), 0, math.sin(turn)], [0, 1.0, 0], [-math.sin(turn), 0, math.cos(turn)]]
    )
    cosine = (truth * turned).sum(-1)[inner].clamp(-1, 1)
    assert normal_errors_deg(truth, turned, inner) == pytest.approx(float(cosine.acos().rad2deg().mean()), rel=1e-3)
