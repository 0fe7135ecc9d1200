"""A morphable model fitted to photos: the CC0 head basis by face landmarks and silhouettes, textured by projection.

What a 3DMM gives (Blanz and Vetter 1999): a surface of skin in a linear space, principal components of identities and
expressions. Hair,
glasses and clothes are not in that space. Cameras are known, so only a small similarity is fitted beside the shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from panohead.alignment.face_landmarks import FaceLandmarker
from panohead.evaluation.ground_truth.people import GroundTruthView
from panohead.evaluation.warping import DepthView, points_of
from panohead.geometry.camera import Camera
from panohead.geometry.rays import project, rays_from_camera
from panohead.morphs.base_fit import FRAMING, expression_offsets, similarity_directions
from panohead.synthetic.basis import head_basis, landmark_places
from panohead.synthetic.expressions import EXPRESSION_UNITS
from panohead.synthetic.people import sample_person
from panohead.synthetic.renderer.raster import empty_buffers, raster_triangles
from panohead.synthetic.shape import head_vertices

ROUNDS = 8
PEOPLE, PEOPLE_SEED, COMPONENTS = 150, 4200, 60
"""Synthetic people that the space of identities is made of, their seed, and its dimension."""
SIMILARITY_SD = 0.03
"""Deviation of translations (decimeters), rotations (radians) and scale."""
EXPRESSION_SD = 0.25
"""Deviation of the weights of expressions."""
LANDMARK_SD = 0.012
"""Deviation of found landmarks, in half image sides: 0.8 pixels of 128. Their places on the skin spread beside."""
FACE_YAW_DEG = 60.0
"""|yaw| of a camera up to which faces are looked for in its photo."""
OUTLINE_POINTS = 100
"""Number of independent points that the outline of a photo counts as, at most."""
HALF_VIEW = 0.316
"""Half the side of the official view at the middle of the head, world units: 2.7 / (2 * 4.2647)."""
OUTLINE_SD = 0.03
"""Deviation of skin that was outside from the outline: two pixels of 128, since outlines are known by the pixel."""
VISIBLE = 0.03
"""Distance in world units between two surfaces that are one."""
SKIN = (0.45, 0.2, 0.05)
"""Color in [-1, 1] where no photo shows the surface and no skin was seen."""


@dataclass(frozen=True)
class FittedMorphable:
    """The fitted surface.

    Attributes:
        vertices: fine skin, world units.
        views: the photos it was fitted to.
        faces: photos in which a face was found.
    """

    vertices: Float[np.ndarray, "fine 3"]
    views: tuple[GroundTruthView, ...]
    faces: int

    def view(self, camera: Camera, side: int) -> DepthView:
        """Return the view of a camera (without batch dimension) at ``side`` x ``side`` rays, textured."""
        depth = self._depth(camera, side)
        hit = depth > 0
        bare = DepthView(depth.expand(3, -1, -1), depth, hit.float(), camera)
        color = torch.ones(3, side, side)
        color[:, hit[0]] = self._colors(points_of(bare)[hit[0]])
        return DepthView(color, depth, hit.float(), camera)

    def _depth(self, camera: Camera, side: int) -> Float[Tensor, "1 side side"]:
        """Return distances along the rays of pixels, world units; 0 beside the surface."""
        triangles = head_basis().fine_triangles
        places, _, _ = project(torch.from_numpy(self.vertices).float(), camera)
        ahead = (self.vertices - camera.position.numpy()) @ camera.cam2world[:3, 2].numpy()
        screen = np.column_stack([(places.numpy() + 1) / 2 * side, 1 / ahead]).astype(np.float32)
        nearness, hit = empty_buffers(side)
        raster_triangles(screen, triangles, nearness, hit)
        corner = self.vertices[triangles]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])[hit]
        origins, directions = (
            x[0].double().numpy().reshape(side, side, 3) for x in rays_from_camera(camera.expand(1), side)
        )
        # Where the ray of the pixel meets the plane of its triangle.
        along = ((corner[:, 0][hit] - origins) * normal).sum(-1) / np.where(hit < 0, 1, (directions * normal).sum(-1))
        return torch.from_numpy(np.where(hit < 0, 0, along)).float()[None]

    def _colors(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "3 point"]:
        """Return colors of photos that see the points, else of the head's other half, else of skin."""
        own, seen = self._photographed(points)
        mirrored, known = self._photographed(points * torch.tensor([-1.0, 1.0, 1.0]))
        return torch.where(seen, own, torch.where(known, mirrored, self._skin[:, None]))

    def _photographed(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Float[Tensor, "3 point"], Bool[Tensor, " point"]]:
        color, best = torch.zeros(3, len(points)), torch.zeros(len(points))
        for view, depth in zip(self.views, self._photo_depths, strict=True):
            places, distance, _ = project(points, view.camera)
            photo = torch.from_numpy(view.photo.copy()).float().permute(2, 0, 1) / 127.5 - 1
            layers = torch.cat([photo, torch.from_numpy(view.mask).float()[None], depth])
            sampled = torch.nn.functional.grid_sample(layers[None], places[None, None], align_corners=False)[0, :, 0]
            shown = (sampled[3] > 0.9) & ((sampled[4] - distance).abs() < VISIBLE) & (places.abs() < 1).all(dim=1)
            # The photo whose camera is nearest to the point's own direction from the middle of the head.
            toward = torch.nn.functional.normalize(points, dim=1) @ torch.nn.functional.normalize(
                view.camera.position, dim=0
            )
            weight = torch.where(shown, toward + 1, torch.zeros(()))
            color = torch.where(weight > best, sampled[:3], color)
            best = torch.maximum(best, weight)
        return color, best > 0

    @cached_property
    def _skin(self) -> Float[Tensor, "3"]:
        """Mean color of the face where photos show it."""
        face, seen = self._photographed(torch.from_numpy(self.vertices[landmark_vertices()]).float())
        return face[:, seen].mean(dim=1) if bool(seen.any()) else torch.tensor(SKIN)

    @cached_property
    def _photo_depths(self) -> list[Float[Tensor, "1 side side"]]:
        return [self._depth(view.camera, view.photo.shape[0]) for view in self.views]


def fit_morphable(views: Sequence[GroundTruthView], landmarker: FaceLandmarker) -> FittedMorphable:
    """Fit the head basis to photos of one person with masks and cameras: Gauss-Newton with the basis' own deviations.

    The skin's landmarks are drawn to those of photos with a face. Skin that lies outside of a silhouette is drawn into
    it; not the other way round, since hair and clothes lie between them.

    Args:
        landmarker: finds MediaPipe's 468 landmarks.
    """
    basis, (vertices, spread) = head_basis(), landmark_places()
    # Decimeters of the basis to half image sides at the middle of the head.
    deviation = np.hypot(LANDMARK_SD, spread * FRAMING.scale / HALF_VIEW)
    mean, targets, deviations = morphable_model()
    # Landmarks of profiles are guesses, and faces on backs are none.
    yaws = [abs(float(view.camera.angles_deg()[0])) for view in views]
    faces = [
        landmarker.faces(view.photo, 1) if yaw <= FACE_YAW_DEG else [] for view, yaw in zip(views, yaws, strict=True)
    ]
    outline = np.arange(0, basis.body_count, 2)
    # Fine places of landmarks, and coarse ones of the outline, as linear functions of the weights.
    at_landmarks = basis.refine[vertices]
    parts = [
        (FRAMING.to_world(at_landmarks @ mean[: basis.body_count]), _moves(targets, at_landmarks)),
        (FRAMING.to_world(mean[outline]), FRAMING.turn(targets[:, outline]) * FRAMING.scale),
    ]
    weights: np.ndarray = np.zeros(len(targets))
    outlines = [np.full((len(outline), 2), np.nan) for _ in views]
    for _ in range(ROUNDS):
        matrix, right = np.diag(1 / deviations**2), np.zeros(len(targets))
        for view, found, held in zip(views, faces, outlines, strict=True):
            for is_outline, (start, moves) in enumerate(parts):
                points = start + np.tensordot(weights, moves, 1)
                places, slopes = _projected(points, view.camera)
                if is_outline:
                    found_places, outside = _into_silhouette(places, view.mask)
                    # Skin that was outside stays at the outline; else it would leave again in every second round.
                    held[outside] = found_places[outside]
                    wanted, chosen = held, np.flatnonzero(np.isfinite(held[:, 0]))
                    # Neighboring points say the same: together they count as OUTLINE_POINTS.
                    share = min(1.0, OUTLINE_POINTS / max(len(chosen), 1))
                    sure: np.ndarray = np.full(len(chosen), share**0.5 / OUTLINE_SD)
                elif found:
                    wanted, chosen = found[0][:, :2] / view.photo.shape[0] * 2 - 1, np.arange(len(places))
                    error = np.linalg.norm(wanted - places, axis=1)
                    sure = 1 / (deviation * np.maximum(1, error / (2 * deviation)) ** 0.5)  # Huber's weights
                else:
                    continue
                rows = np.einsum("pij,tpj->tpi", slopes[chosen], moves[:, chosen]) * sure[:, None]
                rows = rows.reshape(len(targets), -1)
                rest = ((wanted[chosen] - places[chosen]) * sure[:, None]).ravel() + rows.T @ weights
                matrix, right = matrix + rows @ rows.T, right + rows @ rest
        weights = np.linalg.solve(matrix, right)
    coarse = mean + np.tensordot(weights, targets, 1)
    return FittedMorphable(FRAMING.to_world(basis.subdivide(coarse)), tuple(views), sum(bool(found) for found in faces))


def landmark_vertices() -> Int[np.ndarray, "468"]:
    """Return the fine vertices of the head basis that MediaPipe's landmarks lie on."""
    return landmark_places()[0]


@lru_cache(maxsize=1)
def morphable_model() -> tuple[
    Float[np.ndarray, "vertex 3"], Float[np.ndarray, "direction vertex 3"], Float[np.ndarray, " direction"]
]:
    """Return mean, directions and their deviations of coarse vertices, decimeters of the head frame.

    Identities are principal components of :data:`PEOPLE` synthetic people without expression, which the dataset has
    already moved onto one face; then the ARKit expressions, and a small similarity, since photos are placed by hand or
    by an aligner.
    """
    people = (replace(sample_person(PEOPLE_SEED, index), expression={}) for index in range(PEOPLE))
    shapes = np.stack([head_vertices(person) for person in people])
    mean = shapes.mean(axis=0)
    _, values, components = np.linalg.svd((shapes - mean).reshape(PEOPLE, -1), full_matrices=False)
    identities = components[:COMPONENTS].reshape(COMPONENTS, *mean.shape)
    expressions = np.stack([expression_offsets(name) for name in EXPRESSION_UNITS])
    similarity = similarity_directions()
    deviations = (
        values[:COMPONENTS] / np.sqrt(PEOPLE - 1),
        np.full(len(expressions), EXPRESSION_SD),
        np.full(len(similarity), SIMILARITY_SD),
    )
    return mean, np.concatenate([identities, expressions, similarity]), np.concatenate(deviations)


def _moves(targets: Float[np.ndarray, "direction vertex 3"], refine: Any) -> Float[np.ndarray, "direction point 3"]:
    count = head_basis().body_count
    return FRAMING.turn(np.stack([refine @ one[:count] for one in targets])) * FRAMING.scale


def _projected(
    points: Float[np.ndarray, "point 3"], camera: Camera
) -> tuple[Float[np.ndarray, "point 2"], Float[np.ndarray, "point 2 3"]]:
    """Return image coordinates, -1 to 1, and their derivatives by the points."""
    turn, k = camera.cam2world[:3, :3].double().numpy(), camera.intrinsics.double().numpy()
    local = (points - camera.position.double().numpy()) @ turn
    flat = local / local[:, 2:]
    places = (flat @ k.T)[:, :2] * 2 - 1
    inner = np.zeros((len(points), 3, 3))
    inner[:, 0, 0] = inner[:, 1, 1] = 1 / local[:, 2]
    inner[:, :2, 2] = -flat[:, :2] / local[:, 2:]
    return places, 2 * k[:2] @ inner @ turn.T


def _into_silhouette(
    places: Float[np.ndarray, "point 2"], mask: Float[np.ndarray, "side side"]
) -> tuple[Float[np.ndarray, "point 2"], Int[np.ndarray, " chosen"]]:
    """Return the nearest places inside the silhouette, and the points that lie more than a pixel outside of it."""
    side = mask.shape[0]
    away, nearest = ndimage.distance_transform_edt(mask < 0.5, return_indices=True)
    pixel = np.clip(np.floor((places + 1) / 2 * side), 0, side - 1).astype(int)
    # Within a pixel lies the outline's own rounding, which would draw everything inward.
    outside = (away[pixel[:, 1], pixel[:, 0]] > 1.5) & (np.abs(places) < 1).all(axis=1) & bool((mask >= 0.5).any())
    wanted = (nearest[:, pixel[:, 1], pixel[:, 0]][::-1].T + 0.5) / side * 2 - 1
    return wanted, np.flatnonzero(outside)
