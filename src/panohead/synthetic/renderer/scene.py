"""One head as flat arrays, with the light that reaches every point from a fixed set of directions."""

from collections.abc import Callable, Sequence
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
_EXTENT = 0.78  # half the side of the square that a light covers, world units
_TEXELS, _SLICES = 144, 96
_BIAS, _SOFTNESS = 0.010, 0.014  # world units behind the nearest surface where its shadow begins, and its width
_EXTINCTION = 0.42  # optical thickness of one layer of hair
_STILL = 1e-3  # maximum motion between shots, in world units, of a point that keeps its light


Turned = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


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
    return _build([head], _turned_by_blas)[0]


def build_scenes(heads: Sequence[SyntheticHead]) -> list[Scene]:
    """Build the shots of one person (:func:`panohead.synthetic.head.build_shots`), with one bake of what they share.

    In all but the first, what lies within ``_STILL`` of its place in the first keeps the light it has there (an open
    mouth does not darken the throat); moved points are baked again, in the shadow of the shot's own surfaces and of its
    own brows, beard and lashes.
    """
    return _build(heads, _turned)


def _build(heads: Sequence[SyntheticHead], turned: Turned) -> list[Scene]:
    flat = [_flatten(head) for head in heads]
    first = flat[0]
    rng = heads[0].person.stream("light directions")
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    directions = (fibonacci_sphere(DIRECTIONS) @ turn).astype(np.float32)
    moving_mask = np.zeros(len(first.vertices), bool), np.zeros(len(first.points), bool)
    for other in flat[1:]:
        moving_mask[0][np.abs(other.vertices - first.vertices).max(1) > _STILL] = True
        moving_mask[1][np.abs(other.points - first.points).max(1) > _STILL] = True
    light = _bake(flat, moving_mask, directions, turned)
    return [
        Scene(
            one.vertices, one.triangles, one.normals, one.soft_normals, one.albedo, one.material, one.points,
            one.tangents, one.radii, one.strand_albedo, one.follows, directions, *baked,
        )
        for one, baked in zip(flat, light, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True)
class _Flat:
    """A :class:`Scene` without light, and the triangles that cast shadows."""

    vertices: Float32[np.ndarray, "vertex 3"]
    triangles: Int32[np.ndarray, "triangle 3"]
    casting: Int32[np.ndarray, "casting_triangle 3"]
    normals: Float32[np.ndarray, "vertex 3"]
    soft_normals: Float32[np.ndarray, "vertex 3"]
    albedo: Float32[np.ndarray, "vertex 3"]
    material: UInt8[np.ndarray, "vertex"]
    points: Float32[np.ndarray, "point 3"]
    tangents: Float32[np.ndarray, "point 3"]
    radii: Float32[np.ndarray, "point"]
    strand_albedo: Float32[np.ndarray, "point 3"]
    follows: Bool[np.ndarray, "point"]


def _flatten(head: SyntheticHead) -> _Flat:
    vertices, triangles, casting, normals, soft, albedo, material, offset = [], [], [], [], [], [], [], 0
    for part in head.parts:
        normal = vertex_normals(part.vertices, part.triangles)
        vertices.append(part.vertices)
        triangles.append(part.triangles + offset)
        casting.append((part.triangles if part.shadow_triangles is None else part.shadow_triangles) + offset)
        normals.append(normal)
        soft.append(normal if part.soft_normals is None else part.soft_normals)
        albedo.append(part.albedo)
        material.append(np.full(len(part.vertices), int(part.material), np.uint8))
        offset += len(part.vertices)
    points, tangents, radii, colors, follows = [], [], [], [], []
    for strands in head.strands:
        count, steps = strands.points.shape[:2]
        points.append(strands.points.reshape(-1, 3))
        tangents.append(normalized(np.gradient(strands.points, axis=1)).reshape(-1, 3))
        radii.append(np.tile(strands.radius * strands.taper(), count))
        colors.append(np.repeat(strands.albedo, steps, 0))
        follows.append(np.tile(np.arange(steps) < steps - 1, count))

    def single(values: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(values).astype(np.float32)

    return _Flat(
        single(vertices), np.concatenate(triangles).astype(np.int32), np.concatenate(casting).astype(np.int32),
        single(normals), single(soft), single(albedo), np.concatenate(material),
        single(points), single(tangents), single(radii), single(colors), np.concatenate(follows),
    )  # fmt: skip


Light = tuple[UInt8[np.ndarray, "direction vertex"], UInt8[np.ndarray, "direction point"]]


def _bake(
    shots: list[_Flat],
    moving_mask: tuple[Bool[np.ndarray, "vertex"], Bool[np.ndarray, "point"]],
    directions: Float32[np.ndarray, "direction 3"],
    turned: Turned,
) -> list[Light]:
    """Return the transmittance to each direction: a z-buffer of the meshes, deep opacity in slices for the hair."""
    first = shots[0]
    moving, moving_points = (np.flatnonzero(x) for x in moving_mask)
    touched = moving_mask[0][first.casting].any(1)
    still_triangles, moving_triangles = first.casting[~touched], first.casting[touched]
    texel = 2 * _EXTENT / _TEXELS
    shift = np.array([_TEXELS / 2, _TEXELS / 2, 0], np.float32)
    thickness = [_thickness(one) for one in shots]
    still_thickness = np.where(moving_mask[1], np.float32(0), thickness[0])

    def empty(count: int) -> UInt8[np.ndarray, "direction count"]:
        return np.empty((len(directions), count), np.uint8)

    light = [(empty(len(first.vertices)), empty(len(first.points))) for _ in shots]
    moved = [(one.vertices[moving], one.points[moving_points]) for one in shots]
    hair, whole = _Opacity.empty(), _Opacity.empty()
    for j, direction in enumerate(directions):
        x = normalized(np.cross([0.3, 1.0, 0.2], direction.astype(np.float64)))
        axes = np.stack([x / texel, np.cross(direction, x) / texel, direction], 1).astype(np.float32)
        seen, seen_points = turned(first.vertices, axes, shift), turned(first.points, axes, shift)
        still_nearness, hit = empty_buffers(_TEXELS)
        raster_triangles(seen, still_triangles, still_nearness, hit)
        _clear(hair.cells, hair.used)
        _deposit(seen_points, still_thickness, hair.cells, hair.used)
        for k in range(len(shots)):
            own, own_points = (turned(x, axes, shift) for x in moved[k])
            vertices = seen.copy() if k else seen
            vertices[moving] = own
            nearness = still_nearness.copy()
            raster_triangles(vertices, moving_triangles, nearness, hit)
            _clear(whole.cells, whole.used)
            _copy(hair.cells, hair.used, whole.cells, whole.used)
            _deposit(own_points, thickness[k][moving_points], whole.cells, whole.used)
            _accumulate(whole.cells, whole.used)
            vertex_light, point_light = light[k][0][j], light[k][1][j]
            if k == 0:
                _transmit_smooth(vertices, nearness, whole.cells, vertex_light)
                _transmit(seen_points, nearness, whole.cells, point_light)
                continue
            vertex_light[:], point_light[:] = light[0][0][j], light[0][1][j]
            of_moving = np.empty(len(moving), np.uint8), np.empty(len(moving_points), np.uint8)
            _transmit_smooth(own, nearness, whole.cells, of_moving[0])
            _transmit(own_points, nearness, whole.cells, of_moving[1])
            vertex_light[moving], point_light[moving_points] = of_moving
    return light


def _turned_by_blas(
    points: Float32[np.ndarray, "point 3"], axes: Float32[np.ndarray, "3 3"], shift: Float32[np.ndarray, "3"]
) -> Float32[np.ndarray, "point 3"]:
    """Rotate points into the light's frame. The bytes of edition 1 depend on the rounding of this matrix product."""
    turned: Float32[np.ndarray, "point 3"] = points @ axes + shift
    return turned


@jit()
def _turned(points, axes, shift):  # type: ignore[no-untyped-def]
    """Rotate points into the light's frame in one pass: a third of the time."""
    out = np.empty_like(points)
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for a in range(3):
            out[i, a] = x * axes[0, a] + y * axes[1, a] + z * axes[2, a] + shift[a]
    return out


def _thickness(one: _Flat) -> Float32[np.ndarray, "point"]:
    """Return the optical thickness, per texel, of the piece of hair that follows each point."""
    step = np.linalg.norm(np.diff(one.points, axis=0, append=one.points[-1:]), axis=1)
    texel = 2 * _EXTENT / _TEXELS
    return (2 * one.radii * step * one.follows * (_EXTINCTION / texel**2)).astype(np.float32)


@dataclass(frozen=True)
class _Opacity:
    """Optical thickness per cell, and flags of the columns along the light that hold any."""

    cells: Float32[np.ndarray, "texel texel slice"]
    used: Bool[np.ndarray, "texel texel"]

    @classmethod
    def empty(cls) -> "_Opacity":
        return cls(np.zeros((_TEXELS, _TEXELS, _SLICES), np.float32), np.zeros((_TEXELS, _TEXELS), bool))


@jit()
def _clear(cells, used):  # type: ignore[no-untyped-def]
    for u in range(used.shape[0]):
        for v in range(used.shape[1]):
            if used[u, v]:
                cells[u, v, :] = 0
                used[u, v] = False


@jit()
def _copy(source, source_used, cells, used):  # type: ignore[no-untyped-def]
    for u in range(used.shape[0]):
        for v in range(used.shape[1]):
            if source_used[u, v]:
                cells[u, v, :] = source[u, v, :]
                used[u, v] = True


@jit()
def _deposit(seen, thickness, cells, used):  # type: ignore[no-untyped-def]
    """Add each strand point's optical thickness to its cell."""
    texels, slices = cells.shape[0], cells.shape[2]
    for i in range(len(seen)):
        u, v = int(seen[i, 0]), int(seen[i, 1])
        k = int((_EXTENT - seen[i, 2]) * (slices / (2 * _EXTENT)))
        if 0 <= u < texels and 0 <= v < texels and 0 <= k < slices:
            cells[u, v, k] += thickness[i]
            used[u, v] = True


@jit()
def _accumulate(cells, used):  # type: ignore[no-untyped-def]
    """Sum each column from the light inward."""
    for u in range(used.shape[0]):
        for v in range(used.shape[1]):
            if used[u, v]:
                total = np.float32(0)
                for k in range(cells.shape[2]):
                    total += cells[u, v, k]
                    cells[u, v, k] = total


@jit()
def _transmit(seen, nearness, opacity, out):  # type: ignore[no-untyped-def]
    """Return the light left at each strand point, 0 to 255, from the texel it falls into."""
    texels, slices = opacity.shape[0], opacity.shape[2]
    for i in range(len(seen)):
        u, v = int(min(max(seen[i, 0], 0.0), texels - 1.0)), int(min(max(seen[i, 1], 0.0), texels - 1.0))
        lit = (seen[i, 2] - (nearness[v, u] - _BIAS - _SOFTNESS)) / _SOFTNESS
        if lit <= 0:
            out[i] = 0
            continue
        depth = (_EXTENT - seen[i, 2]) * (slices / (2 * _EXTENT)) - 1.0  # a point's own cell shades it in part only
        k = int(min(max(depth, 0.0), slices - 2.0))
        part = min(max(depth - k, 0.0), 1.0)
        above = opacity[u, v, k] + part * (opacity[u, v, k + 1] - opacity[u, v, k])
        out[i] = int(min(lit, 1.0) * np.exp(-above) * 255 + 0.5)


@jit()
def _transmit_smooth(seen, nearness, opacity, out):  # type: ignore[no-untyped-def]
    """Return the light left at mesh vertices, bilinear over four texels, because steps are visible on skin."""
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
