"""The morphable model's fit: a head of its own space is found again from landmarks and silhouettes, and textured."""

import numpy as np
import pytest
import torch
from jaxtyping import UInt8

from panohead.evaluation.ground_truth.geometry import MM_PER_WORLD_UNIT
from panohead.evaluation.ground_truth.morphable_fit import FittedMorphable, fit_morphable, landmark_vertices
from panohead.evaluation.ground_truth.people import GroundTruthView
from panohead.evaluation.warping import points_of
from panohead.geometry import Camera
from panohead.geometry.rays import project
from panohead.morphs.base_fit import FRAMING
from panohead.synthetic.basis import head_basis
from panohead.synthetic.people import sample_person
from panohead.synthetic.shape import head_vertices

SIDE = 96


class Known:
    """A landmarker that knows the landmarks of its photos, which it tells apart by their first pixel."""

    def __init__(self, landmarks: dict[int, np.ndarray]) -> None:
        self.landmarks = landmarks

    def faces(self, image: UInt8[np.ndarray, "height width 3"], most: int) -> list[np.ndarray]:
        found = self.landmarks.get(int(image[0, 0, 0]))
        return [] if found is None else [found]


def true_head() -> np.ndarray:
    """Fine vertices in the world of a synthetic person with an expression."""
    return FRAMING.to_world(head_basis().subdivide(head_vertices(sample_person(7, 3))))


def photographed(vertices: np.ndarray, yaws: tuple[float, ...]) -> tuple[list[GroundTruthView], Known]:
    """Photos whose colors are the places of the surface, red along x, and exact landmarks of those from the front."""
    head, views, landmarks = FittedMorphable(vertices, (), 0), [], {}
    for number, yaw in enumerate(yaws):
        bare = head.view(Camera.orbit(yaw), SIDE)

        color = (points_of(bare)[..., :3] / 0.4).clamp(-1, 1) * bare.mask[0][..., None]
        pixels = ((color.numpy() + 1) * 127.5).round().astype(np.uint8)
        pixels[0, 0] = number
        views.append(GroundTruthView(pixels, bare.mask[0].numpy(), bare.depth, bare.camera))
        if abs(yaw) < 45:
            places, _, _ = project(torch.from_numpy(vertices[landmark_vertices()]).float(), bare.camera)
            landmarks[number] = np.column_stack([(places.numpy() + 1) / 2 * SIDE, np.zeros(468)])
    return views, Known(landmarks)


def test_a_head_of_the_space_is_found_again() -> None:
    vertices = true_head()
    face = landmark_vertices()
    start = FRAMING.to_world(head_basis().neutral)
    before = np.linalg.norm(start[face] - vertices[face], axis=1).mean() * MM_PER_WORLD_UNIT
    errors = {}
    for yaws in ((0.0,), (0.0, 90.0, 180.0, 270.0)):
        views, known = photographed(vertices, yaws)
        fitted = fit_morphable(views, known)
        assert fitted.faces == 1
        errors[len(yaws)] = np.linalg.norm(fitted.vertices[face] - vertices[face], axis=1).mean() * MM_PER_WORLD_UNIT
        # What landmarks measure: places in the image, within a pixel.
        found, _, _ = project(torch.from_numpy(fitted.vertices[face]).float(), views[0].camera)
        wanted, _, _ = project(torch.from_numpy(vertices[face]).float(), views[0].camera)
        assert float((found - wanted).norm(dim=1).mean()) * SIDE / 2 < 0.5
    assert errors[1] < 0.6 * before
    assert errors[4] < 0.6 * before
    assert errors[4] < 1.1 * errors[1], "silhouettes do not disturb"


def test_the_texture_is_that_of_the_photos_and_mirrored_where_none_looks() -> None:
    vertices = true_head()
    views, _ = photographed(vertices, (0.0, 90.0))
    fitted = FittedMorphable(vertices, tuple(views), 1)

    for yaw, sign in ((45.0, 1.0), (-90.0, -1.0)):
        seen = fitted.view(Camera.orbit(yaw), 64)
        points, inside = points_of(seen), seen.mask[0] > 0.5
        red = seen.image[0][inside]
        expected = (sign * points[..., 0] / 0.4).clamp(-1, 1)[inside]
        assert float((red - expected).abs().median()) < 0.05, yaw
    assert torch.equal(seen.image[:, ~inside], torch.ones(3, int((~inside).sum()))), "white beside it"


def test_depth_is_along_the_rays() -> None:
    """A surface point seen at a pixel projects back into this pixel, and lies on the mesh."""
    vertices = true_head()

    camera = Camera.orbit(30.0, 10.0)
    seen = FittedMorphable(vertices, (), 0).view(camera, 64)
    inside = seen.mask[0] > 0.5
    places, distance, _ = project(points_of(seen)[inside], camera)
    rows, columns = inside.nonzero().T
    assert float(((places[:, 0] + 1) * 32 - columns - 0.5).abs().max()) < 1e-2
    assert float(((places[:, 1] + 1) * 32 - rows - 0.5).abs().max()) < 1e-2
    assert float((distance - seen.depth[0][inside]).abs().max()) < 1e-4
    gaps = torch.cdist(points_of(seen)[inside], torch.from_numpy(vertices).float()).amin(dim=1)
    assert float(gaps.median()) < 0.006


def test_without_a_face_the_silhouette_alone_moves_the_basis() -> None:
    vertices = true_head()
    views, _ = photographed(vertices, (180.0,))
    fitted = fit_morphable(views, Known({}))
    assert fitted.faces == 0
    assert np.isfinite(fitted.vertices).all()
    assert np.abs(fitted.vertices).max() == pytest.approx(np.abs(vertices).max(), abs=0.2)
