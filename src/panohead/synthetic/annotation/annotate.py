"""Part map and landmarks of one view: the renderer's samples without light."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from panohead.ops.cpu.jit import jit
from panohead.synthetic.annotation.landmarks import IRISES, landmark_points
from panohead.synthetic.annotation.parts import HeadPart, shown_strands, triangle_labels
from panohead.synthetic.head import SyntheticHead
from panohead.synthetic.renderer.raster import empty_buffers, raster_strands, raster_triangles
from panohead.synthetic.renderer.render import SAMPLES_PER_SIDE, project
from panohead.synthetic.views import PersonView

_BEHIND = 0.015
"""World units behind the surface up to which a point counts as visible: brows and short beards cover theirs."""


@dataclass(frozen=True)
class Annotation:
    """Labels of one view.

    Attributes:
        parts: the part (:class:`HeadPart`) of most of a pixel's samples.
        landmarks: column and row in pixels (the middle of the first pixel is .5), and 1 where the point is visible,
            0 where something is before it or it is outside the image.
    """

    parts: UInt8[np.ndarray, "height width"]
    landmarks: Float32[np.ndarray, "landmark 3"]


@dataclass(frozen=True)
class LabeledScene:
    """Geometry of one head with the part of every triangle and strand point; views share it."""

    vertices: Float32[np.ndarray, "vertex 3"]
    triangles: np.ndarray
    points: Float32[np.ndarray, "point 3"]
    radii: Float32[np.ndarray, "point"]
    follows: np.ndarray
    labels: UInt8[np.ndarray, "primitive"]
    landmarks: Float32[np.ndarray, "landmark 3"]


def labeled_scene(head: SyntheticHead) -> LabeledScene:
    """Flatten a head, without its lashes."""
    starts = np.cumsum([0, *(len(part.vertices) for part in head.parts)])
    points, radii, follows, strand_labels = shown_strands(head)
    return LabeledScene(
        np.concatenate([part.vertices for part in head.parts]).astype(np.float32),
        np.concatenate([p.triangles + first for p, first in zip(head.parts, starts, strict=False)]).astype(np.int32),
        points.astype(np.float32),
        radii.astype(np.float32),
        follows,
        np.concatenate([triangle_labels(head), strand_labels]),
        landmark_points(head).astype(np.float32),
    )


def annotate(scene: LabeledScene, view: PersonView, resolution: int, focal: float) -> Annotation:
    """Return the part map and the landmarks of a square image; ``focal`` is in image widths."""
    size = resolution * SAMPLES_PER_SIDE
    pose = view.cam2world()
    screen, strand_screen = (project(x, pose, focal * size, size) for x in (scene.vertices, scene.points))
    nearness, hit = empty_buffers(size)
    raster_triangles(screen, scene.triangles, nearness, hit)
    radius = scene.radii * np.float32(focal * size) * strand_screen[:, 2]
    raster_strands(strand_screen, radius, scene.follows, len(scene.triangles), nearness, hit)
    parts = np.zeros((resolution, resolution), np.uint8)
    _most(hit, scene.labels, len(HeadPart), parts)
    places = project(scene.landmarks, pose, focal * size, size)
    column, row = (np.floor(places[:, axis]).astype(int) for axis in (0, 1))
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    column, row = column.clip(0, size - 1), row.clip(0, size - 1)
    visible = inside & (1 / places[:, 2] <= 1 / np.maximum(nearness[row, column], 1e-6) + _BEHIND)
    # A closed lid lies closer before its iris than the tolerance.
    seen = np.where(hit[row, column] >= 0, scene.labels[hit[row, column]], HeadPart.BACKGROUND)
    irises = list(IRISES)
    visible[irises] &= np.isin(seen[irises], (HeadPart.EYE, HeadPart.IRIS))
    landmarks = np.concatenate([places[:, :2] / SAMPLES_PER_SIDE, visible[:, None]], axis=1)
    return Annotation(parts, landmarks.astype(np.float32))


@jit()
def _most(hit, labels, count, parts):  # type: ignore[no-untyped-def]
    """Write the label of most samples of every pixel; the first of equally many."""
    resolution = parts.shape[0]
    per_side = hit.shape[0] // resolution
    votes = np.zeros(count, np.int32)
    for i in range(resolution):
        for j in range(resolution):
            votes[:] = 0
            for a in range(per_side):
                for b in range(per_side):
                    index = hit[i * per_side + a, j * per_side + b]
                    votes[labels[index] if index >= 0 else 0] += 1
            parts[i, j] = np.argmax(votes)
