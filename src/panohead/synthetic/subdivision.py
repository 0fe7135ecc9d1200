"""Catmull-Clark subdivision of a quad mesh as one sparse matrix, so that any identity is refined by a product."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int


def catmull_clark(quads: Int[np.ndarray, "quad 4"], vertex_count: int) -> tuple[Any, Int[np.ndarray, "refined 4"]]:
    """Return one subdivision step of Catmull and Clark (1978) with their boundary rule.

    Returns the sparse matrix (new vertices x ``vertex_count``) and the four times as many new quads. New vertices are
    the moved old ones, then one per edge, then one per face; child ``k`` of a quad lies at its corner ``k``.
    """
    quad_count = len(quads)
    edges = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1).astype(np.int64)
    keys, edge_of_corner, uses = np.unique(
        edges[:, 0] * vertex_count + edges[:, 1], return_inverse=True, return_counts=True
    )
    ends = np.stack([keys // vertex_count, keys % vertex_count], 1)
    edge_count, boundary = len(keys), uses == 1
    corner_quad = np.repeat(np.arange(quad_count), 4)

    def matrix(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Any:
        return sp.csr_matrix((values, (rows, columns)), shape)

    face_points = matrix(np.full(quad_count * 4, 0.25), corner_quad, quads.ravel(), (quad_count, vertex_count))
    edge_rows = np.repeat(np.arange(edge_count), 2)
    midpoints = matrix(np.full(edge_count * 2, 0.5), edge_rows, ends.ravel(), (edge_count, vertex_count))
    edge_faces = matrix(np.ones(quad_count * 4), edge_of_corner, corner_quad, (edge_count, quad_count))
    inner = sp.diags(np.where(boundary, 0.0, 0.5)) @ sp.diags(1 / uses) @ edge_faces @ face_points
    edge_points = sp.diags(np.where(boundary, 1.0, 0.5)) @ midpoints + inner

    vertex_faces = matrix(np.ones(quad_count * 4), quads.ravel(), corner_quad, (vertex_count, quad_count))
    vertex_edges = matrix(np.ones(edge_count * 2), ends.ravel(), edge_rows, (vertex_count, edge_count))
    valence = np.maximum(np.asarray(vertex_faces.sum(1)).ravel(), 1)
    edge_valence = np.maximum(np.asarray(vertex_edges.sum(1)).ravel(), 1)
    smooth = (
        sp.diags(1 / valence**2) @ vertex_faces @ face_points
        + sp.diags(2 / valence / edge_valence) @ vertex_edges @ midpoints
        + sp.diags((valence - 3) / valence)
    )
    rim_ends = ends[boundary].ravel()
    rim_edges = matrix(
        np.ones(len(rim_ends)), rim_ends, np.repeat(np.nonzero(boundary)[0], 2), (vertex_count, edge_count)
    )
    rim = 0.5 * sp.identity(vertex_count, format="csr") + 0.25 * (rim_edges @ midpoints)
    on_rim = np.zeros(vertex_count)
    on_rim[rim_ends] = 1.0
    old_points = sp.diags(1 - on_rim) @ smooth + sp.diags(on_rim) @ rim

    edge_index = edge_of_corner.reshape(quad_count, 4) + vertex_count
    face_index = np.arange(quad_count) + vertex_count + edge_count
    children = [np.stack([quads[:, k], edge_index[:, k], face_index, edge_index[:, k - 1]], 1) for k in range(4)]
    return sp.vstack([old_points, edge_points, face_points]).tocsr(), np.concatenate(children)
