"""Geometry errors of depth maps, normals, and surfaces as point sets, in world units (1 is about 0.41 m)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor

from panohead.evaluation.warping import DepthView, points_of
from panohead.geometry.camera import Camera
from panohead.mesh.export import METERS_PER_WORLD_UNIT

MM_PER_WORLD_UNIT = 1000 * METERS_PER_WORLD_UNIT
SECTORS = {"front": (0.0, 60.0), "side": (60.0, 120.0), "back": (120.0, 180.0)}
"""Sectors as half-open ranges of |yaw| in degrees."""
F_THRESHOLDS = (0.005, 0.01, 0.02)
"""Thresholds of the F-score in world units: 2, 4 and 8 mm."""


def sector_of(camera: Camera) -> str:
    """Return the name of the sector of a camera; a camera on a border belongs to the sector before it."""
    yaw = abs(float(camera.angles_deg()[0]))
    return next(name for name, (low, high) in SECTORS.items() if low <= yaw <= high)


@dataclass(frozen=True)
class DepthErrors:
    """Errors of a depth map.

    Attributes:
        absolute: mean absolute error in the unit of the depth.
        scale_invariant: error after the best common factor, without unit.
        pixels: number of compared pixels.
    """

    absolute: float
    scale_invariant: float
    pixels: int


def depth_errors(
    depth: Float[Tensor, "*pixel"], truth: Float[Tensor, "*pixel"], valid: Bool[Tensor, "*pixel"]
) -> DepthErrors:
    """Compare depth with ground truth where ``valid``.

    The scale-invariant error is the standard deviation of log depth differences (Eigen et al. 2014, equation 1 with
    lambda = 1); it has no unit and ignores a wrong overall size.
    """
    a, b = depth[valid].double(), truth[valid].double()
    if not len(a):
        return DepthErrors(math.nan, math.nan, 0)
    # A common factor of all depths shifts the logarithms, which the standard deviation ignores.
    logs = a.clamp_min(1e-6).log() - b.clamp_min(1e-6).log()
    return DepthErrors(float((a - b).abs().mean()), float(logs.std(correction=0)), len(a))


def normals_of(view: DepthView) -> Float[Tensor, "height width 3"]:
    """Return unit normals in world space from the depth map, toward the camera; zero on the image's rim."""
    points = points_of(view)
    # Central differences: (height - 2) (width - 2) 3
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    # Image y points down, so down x across points toward the camera.
    normal = torch.nn.functional.normalize(torch.linalg.cross(down, across), dim=-1)
    return torch.nn.functional.pad(normal, (0, 0, 1, 1, 1, 1))


def normal_errors_deg(
    normals: Float[Tensor, "*pixel 3"], truth: Float[Tensor, "*pixel 3"], valid: Bool[Tensor, "*pixel"]
) -> float:
    """Return the mean angle between unit normals where ``valid`` and neither is zero; nan where none is."""
    known = valid & (normals.norm(dim=-1) > 0.5) & (truth.norm(dim=-1) > 0.5)
    if not known.any():
        return math.nan
    cosine = torch.nn.functional.cosine_similarity(normals[known].double(), truth[known].double(), dim=-1)
    return float(cosine.clamp(-1, 1).arccos().rad2deg().mean())


@dataclass(frozen=True)
class SurfaceErrors:
    """Errors between two surfaces.

    Attributes:
        chamfer: mean of the two mean distances.
        accuracy: mean distance from found to true points.
        completeness: mean distance from true to found points.
    """

    chamfer: float
    accuracy: float
    completeness: float
    f_score: dict[float, float]


def surface_errors(
    found: Float[np.ndarray, "point1 3"],
    truth: Float[np.ndarray, "point2 3"],
    thresholds: Sequence[float] = F_THRESHOLDS,
    *,
    whole: tuple[Float[np.ndarray, "point3 3"], Float[np.ndarray, "point4 3"]] | None = None,
) -> SurfaceErrors:
    """Compare two surfaces given by points spread over them, e.g. ``trimesh.sample.sample_surface``.

    The F-score at a threshold is the harmonic mean of the share of found points that near the truth and of true points
    that near the found ones (Knapitsch et al. 2017). Distances are at least about the spacing of the points: compare a
    surface with another sample of itself for the noise floor. Where ``found`` and ``truth`` are parts of two surfaces,
    ``whole`` holds both whole ones, to which distances are then measured. All nan where a set is empty.
    """
    all_found, all_truth = (found, truth) if whole is None else whole
    if min(len(found), len(truth)) == 0:
        return SurfaceErrors(math.nan, math.nan, math.nan, dict.fromkeys(thresholds, math.nan))
    to_truth, to_found = cKDTree(all_truth).query(found)[0], cKDTree(all_found).query(truth)[0]
    accuracy, completeness = float(to_truth.mean()), float(to_found.mean())
    scores = {}
    for threshold in thresholds:
        precision, recall = float((to_truth < threshold).mean()), float((to_found < threshold).mean())
        scores[threshold] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return SurfaceErrors((accuracy + completeness) / 2, accuracy, completeness, scores)
