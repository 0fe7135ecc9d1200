"""Fewer triangles and no staircase: simplification and smoothing that keep a mesh closed, colored and in place."""

import importlib.util
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Float32, Int
from scipy import sparse
from scipy.spatial import cKDTree
from trimesh.triangles import closest_point, points_to_barycentric
from trimesh.visual.texture import TextureVisuals

from panohead.errors import PanoHeadError
from panohead.limits import TRIANGLES
from panohead.mesh.surface import Surface, largest_piece
from panohead.mesh.surface import smoothed as smoothed_surface
from panohead.mesh.trimesh_object import describe, to_surface, to_trimesh, unit_of, vertex_rgb

# The library's thresholds are absolute; a head a quarter of a unit across leaves them room to reach any count.
_WORKING_SIZE = 0.25
_NEARBY_FACES = 16


def smoothed(mesh: trimesh.Trimesh, iterations: int = 10) -> trimesh.Trimesh:
    """Return the mesh with Taubin's smoothing (see :func:`panohead.mesh.surface.smoothed`).

    Colors, attributes and metadata stay with their vertices.

    Raises:
        PanoHeadError: when the mesh has a texture (smooth first).
    """
    _refuse_texture(mesh, "smooth")
    return _rebuilt(
        mesh, smoothed_surface(to_surface(mesh), iterations), vertex_rgb(mesh), dict(mesh.vertex_attributes)
    )


def simplified(mesh: trimesh.Trimesh, triangles: int) -> trimesh.Trimesh:
    """Return the mesh with at most ``triangles`` triangles (see :func:`simplified_surface`).

    Colors and vertex attributes come from the nearest point of the mesh as it was; watertight and triangles in the
    metadata are brought up to date.

    Raises:
        PanoHeadError: when the mesh has a texture (simplify first), too few triangles are asked for, or
            fast-simplification is missing.
    """
    _refuse_texture(mesh, "simplify")
    before = to_surface(mesh)
    after = simplified_surface(before, triangles)
    if after is before:
        return mesh
    corners, shares = _nearest_on(before, after.vertices)

    def carried(values: np.ndarray) -> np.ndarray:
        mixed = np.einsum("vk,vk...->v...", shares, values[corners].astype(np.float64))
        return (np.rint(mixed) if np.issubdtype(values.dtype, np.integer) else mixed).astype(values.dtype)

    rgb = vertex_rgb(mesh)
    attributes = {name: carried(np.asarray(values)) for name, values in mesh.vertex_attributes.items()}
    return _rebuilt(mesh, after, None if rgb is None else carried(rgb), attributes)


def can_simplify() -> bool:
    """Return True if the package that simplifies is installed."""
    return importlib.util.find_spec("fast_simplification") is not None


def simplified_surface(surface: Surface, triangles: int) -> Surface:
    """Collapse edges by Garland and Heckbert's quadrics (SIGGRAPH 1997) down to at most ``triangles`` triangles.

    The work is done by the package fast-simplification. It ignores topology: thin handles end as two sheets
    that share an edge. Those are taken apart here, so that a closed surface stays closed, and one piece stays one.
    A surface that is small enough is returned as it is.

    Raises:
        UsageError: for a number outside :data:`panohead.limits.TRIANGLES`.
        PanoHeadError: when fast-simplification is missing.
    """
    return _collapsed(surface, TRIANGLES.whole(triangles, "triangles"))


def _collapsed(surface: Surface, triangles: int) -> Surface:
    if len(surface.faces) <= triangles:
        return surface
    try:
        from fast_simplification import simplify
    except ImportError as error:
        sentence = "simplifying a mesh needs the package fast-simplification; run: pip install fast-simplification"
        raise PanoHeadError(sentence) from error
    scale = _WORKING_SIZE / float(np.ptp(surface.vertices, axis=0).max())
    vertices, faces = simplify(surface.vertices * np.float32(scale), surface.faces, target_count=triangles)
    small = closed(np.asarray(vertices, np.float64) / scale, np.asarray(faces, np.int64))
    # Taking sheets apart costs a triangle or two more at times.
    excess = len(small.faces) - triangles
    return small if excess <= 0 else _collapsed(surface, triangles - excess)


def _rebuilt(
    mesh: trimesh.Trimesh,
    surface: Surface,
    rgb: np.ndarray | None,
    attributes: dict[str, Any],
) -> trimesh.Trimesh:
    """Return the new shape with the metadata of the old mesh."""
    new = to_trimesh(surface, rgb, unit=unit_of(mesh))
    new.metadata = dict(mesh.metadata)
    describe(new)
    new.vertex_attributes.update(attributes)
    return new


def _refuse_texture(mesh: trimesh.Trimesh, verb: str) -> None:
    if isinstance(mesh.visual, TextureVisuals):
        raise PanoHeadError(f"the mesh has a texture, which would be lost; {verb} it before it is textured")


def _nearest_on(
    surface: Surface, points: Float32[np.ndarray, "point 3"]
) -> tuple[Int[np.ndarray, "point 3"], Float[np.ndarray, "point 3"]]:
    """Return the nearest point of the surface, among the faces close by: the corners of its face, and their shares."""
    faces = surface.vertices.astype(np.float64)[surface.faces]
    count = min(_NEARBY_FACES, len(faces))
    _, close = cKDTree(faces.mean(axis=1)).query(points, count)
    close = close.reshape(len(points), count)
    repeated = np.repeat(points.astype(np.float64), count, axis=0)
    feet = closest_point(faces[close.ravel()], repeated)
    best = np.linalg.norm(feet - repeated, axis=1).reshape(close.shape).argmin(axis=1)
    rows = np.arange(len(points))
    face, foot = close[rows, best], feet.reshape(len(points), count, 3)[rows, best]
    shares = np.clip(np.nan_to_num(points_to_barycentric(faces[face], foot, method="cramer"), nan=1 / 3), 0, 1)
    return surface.faces[face].astype(np.int64), shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)


def _back_to_back(faces: Int[np.ndarray, "face 3"]) -> Bool[np.ndarray, " face"]:
    """Find faces that have the same corners as another that is turned the other way: flat pockets without content."""
    _, group = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True)
    rolled = np.take_along_axis(faces, (faces.argmin(axis=1)[:, None] + np.arange(3)) % 3, axis=1)
    turn = np.where(rolled[:, 1] < rolled[:, 2], 1, -1)
    group = group.reshape(-1)
    alone = np.bincount(group) == 1
    return ~alone[group] & (np.bincount(group, turn)[group] == 0)


def closed(vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> Surface:
    """Return the largest enclosed piece, after sheets that touch were taken apart: every edge has two faces.

    Args:
        vertices: world units.
        faces: turned alike, with as many faces on one side of every edge as on the other, as collapsing edges leaves
            them.
    """
    faces = faces[~_back_to_back(faces)]
    origin, faces = _taken_apart(vertices, faces)
    vertices, faces = _split_double_edges(vertices[origin], faces)
    return _without_touching(largest_piece(Surface(vertices.astype(np.float32), faces)))


def _taken_apart(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Int[np.ndarray, " new_vertex"], Int[np.ndarray, "face 3"]]:
    """Double the vertices where sheets touch, so that every vertex has one fan of faces.

    Faces hang together across an edge; where more than two share one, each is paired with the face that bounds the same
    piece of inside. Corners that are linked in this way are one vertex.

    Returns:
        The old vertex of every new one, and the faces.
    """
    start = faces.ravel()
    halves, shared = _edges(faces)
    around = [_around_edge(vertices, faces, edge) for edge in shared]
    one, other = np.concatenate([halves, *around]).T
    # Half-edge 3f + k starts at corner 3f + k and ends at the next corner of the face.
    one_end, other_end = (half - half % 3 + (half + 1) % 3 for half in (one, other))
    same_way = start[one] == start[other]
    ends = np.where(same_way, other, other_end), np.where(same_way, other_end, other)
    links = (np.ones(2 * len(one), bool), (np.r_[one, one_end], np.r_[ends[0], ends[1]]))
    graph = sparse.coo_array(links, (len(start), len(start)))
    count, label = sparse.csgraph.connected_components(graph, directed=False)
    origin = np.empty(count, np.int64)
    origin[label] = start
    return origin, label.reshape(-1, 3).astype(np.int64)


def _split_double_edges(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "face 3"]]:
    """Insert a vertex in the middle of all but one of several edges between the same two vertices.

    Such edges are left where sheets that share an edge hang together at its ends (the eye of a needle squeezed flat).
    """
    while shared := _edges(faces)[1]:
        touched: set[int] = set()
        for edge in shared:
            if touched & set((edge // 3).tolist()):
                continue  # its faces have changed; it waits for the next round
            touched |= set((edge // 3).tolist())
            for pair in _around_edge(vertices, faces, edge)[1:]:
                new, middle = [], len(vertices)
                for half in pair:
                    face, k = divmod(int(half), 3)
                    a, b, c = np.roll(faces[face], -k)
                    faces[face] = a, middle, c
                    new.append((middle, b, c))
                faces = np.concatenate([faces, new])
                vertices = np.concatenate([vertices, vertices[[a, b]].mean(axis=0, keepdims=True)])
    return vertices, faces


def _edges(faces: Int[np.ndarray, "face 3"]) -> tuple[Int[np.ndarray, "pair 2"], list[Int[np.ndarray, " half"]]]:
    """Return the two half-edges of every edge with two faces, and all half-edges of every edge with more."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = np.lexsort((high, low))
    first = np.flatnonzero(_changes(low[order]) | _changes(high[order]))
    counts = np.diff(np.r_[first, len(order)])
    two, more = first[counts == 2], counts > 2
    shared = [order[begin : begin + count] for begin, count in zip(first[more], counts[more], strict=True)]
    return np.stack([order[two], order[two + 1]], axis=1), shared


def _changes(values: np.ndarray) -> Bool[np.ndarray, " value"]:
    return np.r_[True, values[1:] != values[:-1]]


def _around_edge(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    halves: Int[np.ndarray, " half"],
) -> Int[np.ndarray, "pair 2"]:
    """Return pairs of half-edges at one edge whose faces bound the same piece of inside."""
    start, corner = faces.ravel()[halves], faces[halves // 3, (halves % 3 + 2) % 3]
    u = start[0]
    v = faces[halves[0] // 3, (halves[0] % 3 + 1) % 3]
    axis = vertices[v].astype(np.float64) - vertices[u]
    axis /= max(float(np.linalg.norm(axis)), 1e-30)
    arms = vertices[corner].astype(np.float64) - vertices[u]
    right = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.9 else [0, 1.0, 0])
    angle = np.arctan2(arms @ np.cross(axis, right), arms @ right)
    forward, backward = np.flatnonzero(start == u), list(np.flatnonzero(start != u))
    pairs = []
    for one in forward[: len(backward)]:
        # A face that runs along the axis has its outside at growing angles, so its inside at falling ones.
        other = min(backward, key=lambda k: (angle[one] - angle[k]) % (2 * np.pi))
        backward.remove(other)
        pairs.append((halves[one], halves[other]))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _without_touching(surface: Surface) -> Surface:
    """Move vertices that share a place a little toward their own neighbors: programs that join equal ones keep them."""
    _, number, count = np.unique(surface.vertices, axis=0, return_inverse=True, return_counts=True)
    if count.max() == 1:
        return surface
    start, end = surface.faces.ravel(), np.roll(surface.faces, -1, axis=1).ravel()
    vertices = surface.vertices.astype(np.float64)
    for vertex in np.flatnonzero((count > 1)[number.reshape(-1)]):
        around = np.r_[end[start == vertex], start[end == vertex]]
        vertices[vertex] += 0.02 * (surface.vertices[around].mean(axis=0) - surface.vertices[vertex])
    return Surface(vertices.astype(np.float32), surface.faces)
