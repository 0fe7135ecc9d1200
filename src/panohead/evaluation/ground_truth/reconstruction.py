"""Reconstruction error: heads reconstructed from photos of synthetic people, compared with their true geometry.

The reconstruction itself is a function that the caller passes in.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from panohead.alignment.face_landmarks import MediaPipeFaces, import_mediapipe
from panohead.evaluation.ground_truth.geometry import (
    F_THRESHOLDS,
    MM_PER_WORLD_UNIT,
    SECTORS,
    depth_errors,
    normal_errors_deg,
    normals_of,
    sector_of,
    surface_errors,
)
from panohead.evaluation.ground_truth.morphable_fit import fit_morphable
from panohead.evaluation.ground_truth.people import GroundTruthPerson, GroundTruthView, halved
from panohead.evaluation.ground_truth.radiance_fit import fit_radiance
from panohead.evaluation.results import ProgressCallback, Result, silent
from panohead.evaluation.warping import OPAQUE, DepthView, points_of
from panohead.head import Head
from panohead.predictor import Predictor

ReconstructFunction = Callable[[Predictor, Sequence[GroundTruthView]], Head]
"""Function from a generator and photos of one person to a head in the frame of the photos' cameras."""

PhotosFunction = Callable[[GroundTruthPerson], dict[int, list[GroundTruthView]]]
"""Function from a person to photos by their number."""
NORMAL_WINDOW = 5
"""Window, in pixels, that averages depth before normals are taken; single hairs have no comparable normals."""


@dataclass(frozen=True)
class GeometryErrors:
    """Errors of one surface against the true one, in the views of one sector.

    Attributes:
        depth, chamfer: in mm of a real head.
        scale_invariant: see :func:`panohead.evaluation.ground_truth.geometry.depth_errors`.
        normals_deg: mean angle between the normals of smoothed depth maps, in degrees.
        f_score: F-score by threshold in world units.
        silhouette_iou: intersection over union of the opaque pixels.
    """

    depth: float
    scale_invariant: float
    normals_deg: float
    chamfer: float
    f_score: dict[float, float]
    silhouette_iou: float


def compare_surfaces(found: Sequence[DepthView], truth: Sequence[DepthView]) -> dict[str, GeometryErrors]:
    """Return errors by sector ("front", "side", "back"); both lists have the same cameras, in the same order.

    Depth and normals are compared pixel by pixel where both are opaque. Surface distances go from the points visible in
    the sector's cameras to all visible points of the other surface, so that a sector has no seams.
    """
    names = [sector_of(view.camera) for view in truth]
    found_points, true_points = ([_opaque_points(view) for view in views] for views in (found, truth))
    errors = {}
    for sector in (name for name in SECTORS if name in names):
        chosen = [i for i, name in enumerate(names) if name == sector]
        a, b = [found[i] for i in chosen], [truth[i] for i in chosen]
        depth = depth_errors(_stack(v.depth for v in a), _stack(v.depth for v in b), _stack(_both(a, b)))
        normals = [_normals(view) for view in (*a, *b)]
        surfaces = surface_errors(
            np.concatenate([found_points[i] for i in chosen]),
            np.concatenate([true_points[i] for i in chosen]),
            whole=(np.concatenate(found_points), np.concatenate(true_points)),
        )
        errors[sector] = GeometryErrors(
            depth.absolute * MM_PER_WORLD_UNIT,
            depth.scale_invariant,
            normal_errors_deg(_stack(normals[: len(a)]), _stack(normals[len(a) :]), _stack(_both(a, b))[:, 0]),
            surfaces.chamfer * MM_PER_WORLD_UNIT,
            surfaces.f_score,
            _overlap(a, b),
        )
    return errors


def reconstruction(
    predictor: Predictor,
    people: Sequence[GroundTruthPerson],
    reconstruct: ReconstructFunction,
    *,
    progress: ProgressCallback = silent,
) -> list[Result]:
    """Reconstruct every person from every number of photos, and return the errors as means over people."""
    results: list[Result] = []
    numbers = list(dict.fromkeys(number for person in people for number in person.photos))
    with progress("reconstructing people", len(people) * len(numbers)) as step:
        for number in numbers:
            errors = []
            for person in people:
                head = reconstruct(predictor, person.photos[number])
                errors.append(compare_surfaces([_render(head, view) for view in person.truth], person.truth))
                step()
            results += _results(number, people, errors)
    return results


SurfacesFunction = Callable[[GroundTruthPerson, Sequence[GroundTruthView]], list[DepthView]]
"""Function from a person, for its true views' cameras and sizes, and photos to surfaces seen by these cameras."""


def baseline_method(
    people: Sequence[GroundTruthPerson],
    photos: PhotosFunction,
    surfaces: SurfacesFunction,
    *,
    progress: ProgressCallback,
) -> list[Result]:
    """Measure a method without a generator.

    Args:
        photos: the photos of a person that it gets, by their number.
        surfaces: the method.
    """
    results: list[Result] = []
    given = [photos(person) for person in people]
    with progress("fitting people", len(people) * len(given[0])) as step:
        for number in given[0]:
            errors = []
            for person, views in zip(people, given, strict=True):
                errors.append(compare_surfaces(surfaces(person, views[number]), person.truth))
                step()
            results += _results(number, people, errors)
    return results


def radiance_baseline(people: Sequence[GroundTruthPerson], progress: ProgressCallback = silent) -> list[Result]:
    """Fit a NeRF to every person's photos from all around: the ceiling of what views alone give."""

    def surfaces(person: GroundTruthPerson, views: Sequence[GroundTruthView]) -> list[DepthView]:
        fitted = fit_radiance(views)
        return [fitted.view(view.camera, view.depth.shape[-1]) for view in person.truth]

    return baseline_method(people, lambda person: {len(person.around): person.around}, surfaces, progress=progress)


def morphable_baseline(people: Sequence[GroundTruthPerson], progress: ProgressCallback = silent) -> list[Result]:
    """Fit the head basis to the photos that reconstructions get, by landmarks and silhouettes.

    Raises:
        PanoHeadError: when mediapipe, which finds the landmarks, is not installed.
    """
    import_mediapipe()
    landmarker = MediaPipeFaces()

    def surfaces(person: GroundTruthPerson, views: Sequence[GroundTruthView]) -> list[DepthView]:
        fitted = fit_morphable(views, landmarker)
        return [fitted.view(view.camera, view.depth.shape[-1]) for view in person.truth]

    return baseline_method(people, lambda person: person.photos, surfaces, progress=progress)


def reconstruction_baseline(people: Sequence[GroundTruthPerson]) -> list[Result]:
    """Compare the true surfaces with themselves, sampled more finely (the noise floor of the metric)."""
    errors = [compare_surfaces(halved(person.fine), person.truth) for person in people]
    return [one for number in people[0].photos for one in _results(number, people, errors)]


def _results(
    number: int, people: Sequence[GroundTruthPerson], errors: Sequence[dict[str, GeometryErrors]]
) -> list[Result]:
    found = []
    for sector in SECTORS:
        one = [error[sector] for error in errors]
        subset = f"{sector}, {number} photo{'s' if number > 1 else ''}"
        details = {
            "people": {person.name: error.depth for person, error in zip(people, one, strict=True)},
            "silhouette_iou": _mean(error.silhouette_iou for error in one),
            "cameras_per_sector": sum(sector_of(view.camera) == sector for view in people[0].truth),
            "side": people[0].truth[0].depth.shape[-1],
        }
        common: dict[str, Any] = {
            "subset": subset,
            "counts": {"people": len(people), "photos": number},
            "details": details,
        }
        found += [
            Result(metric="depth error", value=_mean(e.depth for e in one), unit="mm", **common),
            Result(metric="depth error, scale-invariant", value=_mean(e.scale_invariant for e in one), **common),
            Result(metric="normal error", value=_mean(e.normals_deg for e in one), unit="deg", **common),
            Result(metric="Chamfer distance", value=_mean(e.chamfer for e in one), unit="mm", **common),
        ]
        for threshold in F_THRESHOLDS:
            name = f"F-score at {threshold * MM_PER_WORLD_UNIT:.0f} mm"
            value = _mean(e.f_score[threshold] for e in one)
            found.append(Result(metric=name, value=value, better="higher", **common))
    return found


def _render(head: Head, truth: DepthView) -> DepthView:
    """Return the head rendered from the truth's camera, one ray per pixel, on the CPU."""
    frame = head.preview(truth.camera, resolution=truth.depth.shape[-1])
    return DepthView(frame.image_raw.cpu(), frame.depth.cpu(), frame.mask.cpu(), truth.camera)


def _opaque_points(view: DepthView) -> Float[np.ndarray, "point 3"]:
    return points_of(view)[view.mask[0] > OPAQUE].double().numpy()


def _both(first: Sequence[DepthView], second: Sequence[DepthView]) -> list[Bool[Tensor, "1 height width"]]:
    return [(a.mask > OPAQUE) & (b.mask > OPAQUE) for a, b in zip(first, second, strict=True)]


def _overlap(first: Sequence[DepthView], second: Sequence[DepthView]) -> float:
    shared = sum(int(both.sum()) for both in _both(first, second))
    either = sum(int(((a.mask > OPAQUE) | (b.mask > OPAQUE)).sum()) for a, b in zip(first, second, strict=True))
    return shared / max(either, 1)


def _normals(view: DepthView) -> Float[Tensor, "height width 3"]:
    """Return normals of the smoothed depth; zero where the window leaves the opaque pixels."""
    solid = (view.mask > OPAQUE).float()
    half = NORMAL_WINDOW // 2
    mean = avg_pool2d((view.depth * solid)[None], NORMAL_WINDOW, 1, half)[0]
    share = avg_pool2d(solid[None], NORMAL_WINDOW, 1, half)[0]
    smooth = DepthView(view.image, mean / share.clamp_min(1e-6), view.mask, view.camera)
    # One pixel more than the window, because normals are differences of neighbors.
    inner = -max_pool2d(-solid[None], NORMAL_WINDOW + 2, 1, half + 1)[0, 0]
    return normals_of(smooth) * inner[..., None]


def _stack(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
