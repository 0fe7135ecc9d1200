"""One head as flat arrays, with the light that reaches every point from a fixed set of directions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from panohead.ops.cpu.jit import jit
from panohead.synthetic.fields import normalized
from panohead.synthetic.head import SyntheticHead
from panohead.synthetic.mesh import vertex_normals
from panohead.synthetic.renderer.lighting import fibonacci_sphere
from panohead.synthetic.renderer.raster import empty_buffers, raster_triangles

DIRECTIONS = 48
_EXTENT = 0.78  # half the side of the square that a light sees, world units
_TEXELS, _SLICES = 144, 96
_BIAS, _SOFTNESS = 0.010, 0.014  # world units behind the nearest surface where its shadow begins, and its width
_EXTINCTION = 0.42  # of one layer of hair


@dataclass(frozen=True)
class Scene:
    """Mesh vertices, then strand points; ``light`` is the transmittance (0 to 255) of each along each direction."""

    vertices: Float32[np.ndarray, "vertex 3"]
    triangles: Int32[np.ndarray, "triangle 3"]
    normals: Float32[np.ndarray, "vertex 3"]
    soft_normals: Float32[np.ndarray, "vertex 3"]
    albedo: Float32[np.ndarray, "vertex 3"]
    material: UInt8[np.ndarray, "vertex"]
    points: Float32[np.ndarray, "point 3"]
    tangents: Float32[np.ndarray, "point 3"]
    radii: Float32[np.ndarray, "point"]
    strand_albedo: Float32[np.ndarray, "point 3"]
    follows: Bool[np.ndarray, "point"]
    directions: Float32[np.ndarray, "direction 3"]
    vertex_light: UInt8[np.ndarray, "direction vertex"]
    point_light: UInt8[np.ndarray, "direction point"]


def build_scene(head: SyntheticHead) -> Scene:
    """Flatten a head and bake its shadows along 48 directions, turned at random for each person."""
    vertices, triangles, normals, soft, albedo, material, offset = [], [], [], [], [], [], 0
    for part in head.parts:
        normal = vertex_normals(part.vertices, part.triangles)
        vertices.append(part.vertices)
        triangles.append(part.triangles + offset)
        normals.append(normal)
        soft.append(normal if part.soft_normals is None else part.soft_normals)
        albedo.append(part.albedo)
        material.append(np.full(len(part.vertices), int(part.material), np.uint8))
        offset += len(part.vertices)
    points, tangents, radii, colors, follows = [], [], [], [], []
    for strands in head.strands:
        count, steps = strands.points.shape[:2]
        along = np.linspace(0, 1, steps)
        taper = np.minimum(1, (1.02 - along) * 4) * 0.75 + 0.25 * (1 - along)
        points.append(strands.points.reshape(-1, 3))
        tangents.append(normalized(np.gradient(strands.points, axis=1)).reshape(-1, 3))
        radii.append(np.tile(strands.radius * taper, count))
        colors.append(np.repeat(strands.albedo, steps, 0))
        follows.append(np.tile(np.arange(steps) < steps - 1, count))
    rng = head.person.stream("light directions")
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    mesh = np.concatenate(vertices).astype(np.float32), np.concatenate(triangles).astype(np.int32)
    hair = np.concatenate(points).astype(np.float32), np.concatenate(radii).astype(np.float32)
    directions = (fibonacci_sphere(DIRECTIONS) @ turn).astype(np.float32)
    linked = np.concatenate(follows)
    vertex_light, point_light = _bake(*mesh, *hair, linked, directions)
    single = [np.concatenate(x).astype(np.float32) for x in (normals, soft, albedo, tangents, colors)]
    return Scene(
        *mesh, single[0], single[1], single[2], np.concatenate(material), hair[0], single[3], hair[1], single[4],
        linked, directions, vertex_light, point_light,
    )  # fmt: skip


def _bake(
    vertices: Float32[np.ndarray, "vertex 3"],
    triangles: Int32[np.ndarray, "triangle 3"],
    points: Float32[np.ndarray, "point 3"],
    radii: Float32[np.ndarray, "point"],
    follows: Bool[np.ndarray, "point"],
    directions: Float32[np.ndarray, "direction 3"],
) -> tuple[UInt8[np.ndarray, "direction vertex"], UInt8[np.ndarray, "direction point"]]:
    """Transmittance to each direction: a z-buffer of the meshes, deep opacity in slices for the hair."""
    step = np.linalg.norm(np.diff(points, axis=0, append=points[-1:]), axis=1)
    texel = 2 * _EXTENT / _TEXELS
    thickness = (2 * radii * step * follows * (_EXTINCTION / texel**2)).astype(np.float32)
    vertex_light = np.empty((len(directions), len(vertices)), np.uint8)
    point_light = np.empty((len(directions), len(points)), np.uint8)
    opacity = np.zeros((_TEXELS, _TEXELS, _SLICES), np.float32)
    for j, direction in enumerate(directions):
        x = normalized(np.cross([0.3, 1.0, 0.2], direction.astype(np.float64)))
        axes = np.stack([x / texel, np.cross(direction, x) / texel, direction], 1).astype(np.float32)
        shift = np.array([_TEXELS / 2, _TEXELS / 2, 0], np.float32)
        seen_vertices, seen_points = vertices @ axes + shift, points @ axes + shift
        nearness, hit = empty_buffers(_TEXELS)
        raster_triangles(seen_vertices, triangles, nearness, hit)
        opacity[:] = 0
        _deposit(seen_points, thickness, opacity)
        _transmit_smooth(seen_vertices, nearness, opacity, vertex_light[j])
        _transmit(seen_points, nearness, opacity, point_light[j])
    return vertex_light, point_light


@jit()
def _deposit(seen, thickness, opacity):  # type: ignore[no-untyped-def]
    """Add each strand point's optical thickness to its cell, then sum from the light inward."""
    texels, slices = opacity.shape[0], opacity.shape[2]
    for i in range(len(seen)):
        u, v = int(seen[i, 0]), int(seen[i, 1])
        k = int((_EXTENT - seen[i, 2]) * (slices / (2 * _EXTENT)))
        if 0 <= u < texels and 0 <= v < texels and 0 <= k < slices:
            opacity[u, v, k] += thickness[i]
    for u in range(texels):
        for v in range(texels):
            total = np.float32(0)
            for k in range(slices):
                total += opacity[u, v, k]
                opacity[u, v, k] = total


@jit()
def _transmit(seen, nearness, opacity, out):  # type: ignore[no-untyped-def]
    """Light left at each strand point, 0 to 255, from the texel it falls into."""
    texels, slices = opacity.shape[0], opacity.shape[2]
    for i in range(len(seen)):
        u, v = int(min(max(seen[i, 0], 0.0), texels - 1.0)), int(min(max(seen[i, 1], 0.0), texels - 1.0))
        lit = (seen[i, 2] - (nearness[v, u] - _BIAS - _SOFTNESS)) / _SOFTNESS
        if lit <= 0:
            out[i] = 0
            continue
        depth = (_EXTENT - seen[i, 2]) * (slices / (2 * _EXTENT)) - 1.0  # its own cell does not shade a point wholly
        k = int(min(max(depth, 0.0), slices - 2.0))
        part = min(max(depth - k, 0.0), 1.0)
        above = opacity[u, v, k] + part * (opacity[u, v, k + 1] - opacity[u, v, k])
        out[i] = int(min(lit, 1.0) * np.exp(-above) * 255 + 0.5)


@jit()
def _transmit_smooth(seen, nearness, opacity, out):  # type: ignore[no-untyped-def]
    """The same for mesh vertices, bilinear over four texels: skin shows every step."""
    texels, slices = opacity.shape[0], opacity.shape[2]
    for i in range(len(seen)):
        x, y, near = seen[i, 0] - 0.5, seen[i, 1] - 0.5, seen[i, 2]
        u, v = int(min(max(x, 0.0), texels - 2.0)), int(min(max(y, 0.0), texels - 2.0))
        fx, fy = min(max(x - u, 0.0), 1.0), min(max(y - v, 0.0), 1.0)
        depth = (_EXTENT - near) * (slices / (2 * _EXTENT)) - 1.0
        k = int(min(max(depth, 0.0), slices - 2.0))
        part = min(max(depth - k, 0.0), 1.0)
        total, above = 0.0, 0.0
        for a in range(2):
            for b in range(2):
                weight = (fx if a else 1 - fx) * (fy if b else 1 - fy)
                lit = (near - (nearness[v + b, u + a] - _BIAS - _SOFTNESS)) / _SOFTNESS
                total += weight * min(max(lit, 0.0), 1.0)
                if lit > 0:
                    low = opacity[u + a, v + b, k]
                    above += weight * (low + part * (opacity[u + a, v + b, k + 1] - low))
        out[i] = int(total * np.exp(-above) * 255 + 0.5) if total > 0 else 0
