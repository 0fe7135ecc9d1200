"""Rendering of one view of one scene: color, mask, depth and normals from the same samples."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from panohead.ops.cpu.jit import jit
from panohead.synthetic.renderer.lighting import Lighting
from panohead.synthetic.renderer.raster import (
    empty_buffers,
    interpolation,
    mark_needed,
    raster_strands,
    raster_triangles,
)
from panohead.synthetic.renderer.scene import Scene
from panohead.synthetic.renderer.shade import shade
from panohead.synthetic.views import PersonView

SAMPLES_PER_SIDE = 3  # 9 samples per pixel; odd, so that the middle one is the pixel's center


@dataclass(frozen=True)
class Rendered:
    """Rendered layers: ``color`` is linear and premultiplied by ``mask``.

    Depth along the ray (world units) and world normals belong to the pixel's center, 0 where nothing is hit there.
    """

    color: Float32[np.ndarray, "height width 3"]
    mask: Float32[np.ndarray, "height width"]
    depth: Float32[np.ndarray, "height width"]
    normals: Float32[np.ndarray, "height width 3"]


def render(scene: Scene, view: PersonView, lighting: Lighting, resolution: int, focal: float) -> Rendered:
    """Render a square image; ``focal`` is in image widths. Deterministic: no random numbers are drawn."""
    size = resolution * SAMPLES_PER_SIDE
    pose = view.cam2world()
    vertex_screen = project(scene.vertices, pose, focal * size, size)
    point_screen = project(scene.points, pose, focal * size, size)
    nearness, hit = empty_buffers(size)
    raster_triangles(vertex_screen, scene.triangles, nearness, hit)
    radius = scene.radii * np.float32(focal * size) * point_screen[:, 2]
    raster_strands(point_screen, radius, scene.follows, len(scene.triangles), nearness, hit)
    needed = np.zeros(len(scene.vertices), bool), np.zeros(len(scene.points), bool)
    mark_needed(hit, scene.triangles, needed)
    vertex_color, point_color = shade(scene, lighting, pose[:3, 3], *needed)
    color, mask = np.zeros((resolution, resolution, 3), np.float32), np.zeros((resolution, resolution), np.float32)
    _resolve(vertex_screen, scene.triangles, point_screen, hit, vertex_color, point_color, color, mask)
    depth, normals = np.zeros((resolution, resolution), np.float32), np.zeros((resolution, resolution, 3), np.float32)
    _center_geometry(
        vertex_screen,
        scene.triangles,
        point_screen,
        hit,
        nearness,
        scene.normals,
        scene.tangents,
        pose,
        focal,
        depth,
        normals,
    )
    return Rendered(color, mask, depth, normals)


def project(
    points: Float32[np.ndarray, "point 3"], cam2world: Float[np.ndarray, "4 4"], scale: float, size: int
) -> Float32[np.ndarray, "point 3"]:
    """Return (column, row, 1/depth) in samples."""
    local = (points - cam2world[:3, 3].astype(np.float32)) @ cam2world[:3, :3].astype(np.float32)
    inverse = 1 / local[:, 2]
    x = local[:, 0] * inverse * np.float32(scale) + np.float32(size / 2)
    y = local[:, 1] * inverse * np.float32(scale) + np.float32(size / 2)
    return np.ascontiguousarray(np.stack([x, y, inverse], 1))


@jit()
def _resolve(  # type: ignore[no-untyped-def]
    screen, triangles, strand_screen, hit, vertex_color, point_color, color, mask
):
    size, per_side = hit.shape[0], hit.shape[0] // color.shape[0]
    share = np.float32(1.0 / per_side**2)
    weights = np.empty(3)
    for row in range(size):
        for column in range(size):
            index = hit[row, column]
            if index < 0:
                continue
            interpolation(screen, triangles, strand_screen, hit, row, column, weights)
            i, j = row // per_side, column // per_side
            for channel in range(3):
                value = 0.0
                if index < len(triangles):
                    for k in range(3):
                        value += weights[k] * vertex_color[triangles[index, k], channel]
                else:
                    for k in range(2):
                        value += weights[k] * point_color[index - len(triangles) + k, channel]
                color[i, j, channel] += share * min(value, 4.0)
            mask[i, j] += share


@jit()
def _center_geometry(  # type: ignore[no-untyped-def]
    screen, triangles, strand_screen, hit, nearness, vertex_normals, tangents, pose, focal, depth, normals
):
    resolution = depth.shape[0]
    per_side = hit.shape[0] // resolution
    weights, ray, normal = np.empty(3), np.empty(3), np.empty(3)
    for i in range(resolution):
        for j in range(resolution):
            row, column = i * per_side + per_side // 2, j * per_side + per_side // 2
            index = hit[row, column]
            if index < 0:
                continue
            x, y = ((j + 0.5) / resolution - 0.5) / focal, ((i + 0.5) / resolution - 0.5) / focal
            stretch = (1 + x * x + y * y) ** 0.5
            depth[i, j] = stretch / nearness[row, column]
            interpolation(screen, triangles, strand_screen, hit, row, column, weights)
            for a in range(3):
                ray[a] = (pose[a, 0] * x + pose[a, 1] * y + pose[a, 2]) / stretch
            normal[:] = 0.0
            if index < len(triangles):
                for k in range(3):
                    normal += weights[k] * vertex_normals[triangles[index, k]]
            else:  # of a hair the side that faces the camera is visible
                start = index - len(triangles)
                tangent = weights[0] * tangents[start] + weights[1] * tangents[start + 1]
                along = ray[0] * tangent[0] + ray[1] * tangent[1] + ray[2] * tangent[2]
                squared = max(tangent[0] ** 2 + tangent[1] ** 2 + tangent[2] ** 2, 1e-12)
                normal -= ray - tangent * (along / squared)
            length = max((normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) ** 0.5, 1e-9)
            for a in range(3):
                normals[i, j, a] = normal[a] / length
