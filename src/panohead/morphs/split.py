"""Finer triangles where a face moves, and a cut along a line: new vertices on edges, the surface itself unchanged."""

import numpy as np
from jaxtyping import Bool, Float, Int

_ROUNDS = 6
_MARGIN = 0.15
"""Least share of an edge on either side of a cut."""


def edges_of(faces: Int[np.ndarray, "face 3"]) -> tuple[Int[np.ndarray, "edge 2"], Int[np.ndarray, "face 3"]]:
    """Return the edges, lower index first, and for each face those from corner 0, 1 and 2 to the next."""
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, number = np.unique(pairs, axis=0, return_inverse=True)
    return edges, number.reshape(-1, 3)


def split_edges(
    faces: Int[np.ndarray, "face 3"], of_face: Int[np.ndarray, "face 3"], new: Int[np.ndarray, " edge"]
) -> Int[np.ndarray, "new_face 3"]:
    """Return the faces after some edges got a vertex each; orientation stays.

    Args:
        faces: corners.
        of_face: edges from each corner to the next.
        new: index of the vertex on each edge; -1 for none.
    """
    middle = new[of_face]
    count = (middle >= 0).sum(axis=1)
    result = [faces[count == 0]]
    for kind in (1, 2, 3):
        rows = np.flatnonzero(count == kind)
        corner, mid = faces[rows], middle[rows]
        # Turned so that one edge is the first, of two edges the first and second.
        shift = np.argmax(mid >= 0, axis=1) if kind == 1 else np.zeros(len(rows), int)
        if kind == 2:
            shift = (np.argmin(mid >= 0, axis=1) + 1) % 3
        order = (np.arange(3) + shift[:, None]) % 3
        (a, b, c), (p, q, r) = np.take_along_axis(corner, order, 1).T, np.take_along_axis(mid, order, 1).T
        triples = {1: [(a, p, c), (p, b, c)], 2: [(p, b, q), (a, p, q), (a, q, c)]}
        triples[3] = [(a, p, r), (p, b, q), (r, q, c), (p, q, r)]
        result += [np.stack(triple, axis=1) for triple in triples[kind]]
    return np.concatenate(result)


def refined_where(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    longest: Float[np.ndarray, " vertex"],
) -> tuple[Float[np.ndarray, "new 3"], Int[np.ndarray, "new_face 3"]]:
    """Halve edges until none is longer than its ends allow.

    Args:
        vertices, faces: of the mesh.
        longest: longest edge at each vertex, in the unit of the vertices; infinity leaves a place as it is.
    """
    for _ in range(_ROUNDS):
        edges, of_face = edges_of(faces)
        length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
        long = length > longest[edges].mean(axis=1)
        if not long.any():
            break
        new = np.full(len(edges), -1)
        new[long] = len(vertices) + np.arange(int(long.sum()))
        faces = split_edges(faces, of_face, new)
        vertices = np.concatenate([vertices, vertices[edges[long]].mean(axis=1)])
        longest = np.concatenate([longest, longest[edges[long]].mean(axis=1)])
    return vertices, faces


def cut_where(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    height: Float[np.ndarray, " vertex"],
    crossing: Bool[np.ndarray, " vertex"],
    opening: Float[np.ndarray, " vertex"],
) -> tuple[Float[np.ndarray, "new 3"], Int[np.ndarray, "new_face 3"], Int[np.ndarray, "pair 2"]]:
    """Cut a mesh open where ``height`` is zero.

    Args:
        vertices, faces: of the mesh.
        height: signed distance from the line, at each vertex.
        crossing: vertices near the line; edges between two of them that cross it get a vertex there.
        opening: above 0 where the mesh opens; elsewhere the line is drawn without a cut.

    Returns:
        Vertices, faces, and pairs of the vertices of both sides (upper, lower), which lie at the same places.
    """
    height = np.where(np.abs(height) < 1e-9, 1e-9, height)
    edges, of_face = edges_of(faces)
    ends = height[edges]
    crossed = (ends[:, 0] * ends[:, 1] < 0) & crossing[edges].all(axis=1)
    # A face is cut as a whole or not at all: two of its edges cross.
    whole = crossed[of_face].sum(axis=1) == 2
    kept = np.zeros(len(edges), bool)
    kept[of_face[whole].ravel()] = True
    crossed &= kept
    # Not too near an end: of slivers, renderers interpolate colors badly.
    share = np.clip(ends[crossed, 0] / (ends[crossed, 0] - ends[crossed, 1]), _MARGIN, 1 - _MARGIN)[:, None]
    first, second = vertices[edges[crossed, 0]], vertices[edges[crossed, 1]]
    open_at = (opening[edges[crossed, 0]] * (1 - share[:, 0]) + opening[edges[crossed, 1]] * share[:, 0]) > 0
    new = np.full(len(edges), -1)
    start = len(vertices)
    new[crossed] = start + np.arange(int(crossed.sum()))
    faces = split_edges(faces, of_face, new)
    vertices = np.concatenate([vertices, first + share * (second - first)])
    side = np.concatenate([height, np.zeros(len(vertices) - start)])
    # The other side gets vertices of its own; the ends of the cut, where it does not open, stay joined.
    upper = start + np.flatnonzero(open_at)
    lower = len(vertices) + np.arange(len(upper))
    renamed = np.arange(len(vertices))
    renamed[upper] = lower
    below = side[faces].sum(axis=1) < 0
    faces = np.where(below[:, None], renamed[faces], faces)
    return np.concatenate([vertices, vertices[upper]]), faces, np.stack([upper, lower], axis=1)
