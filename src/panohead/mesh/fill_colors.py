"""Colors for vertices that no view shows well: they continue those of their neighbors."""

import numpy as np
from jaxtyping import Float, Float32, Int

_ROUNDS = 500
_TOLERANCE = 1e-5
_COUPLING = 0.05
"""Weight of a difference between neighbors beside that of a vertex's own color, for vertices that are shown badly."""
_ANCHOR = 1e-7
"""Pull toward the nearest color that is known: it decides where a piece touches none that is."""


def filled(
    colors: Float32[np.ndarray, "vertex 3"],
    trust: Float[np.ndarray, " vertex"],
    vertices: Float32[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
) -> Float32[np.ndarray, "vertex 3"]:
    """Return the colors with those of little trust replaced by a smooth continuation of the others over the surface.

    Minimizes sum_i t_i |c_i - k_i|^2 + 0.05 sum_edges |c_i - c_j|^2 with c = k wherever t = 1: where t = 0 the result
    is harmonic, a membrane spanned between the colors around.

    Args:
        colors: of vertices, any unit; read only where the trust is above 0.
        trust: 1 keeps a color as it is, 0 ignores it.
        vertices: world units.
        faces: of the mesh.
    """
    free = trust < 1
    if not free.any() or not (trust > 0).any():
        return colors
    from scipy import sparse
    from scipy.sparse.linalg import cg
    from scipy.spatial import cKDTree

    known = trust > 0
    _, nearest = cKDTree(vertices[known]).query(vertices[free])
    start = colors.astype(np.float64)
    start[free & ~known] = colors[known][nearest[~known[free]]]

    one, other = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    count = len(vertices)
    links = sparse.coo_array((np.ones(2 * len(one)), (np.r_[one, other], np.r_[other, one])), (count, count)).tocsr()
    links.data[:] = 1  # an edge of two faces comes twice
    inner = links[free][:, free]
    degree = np.asarray(links[free].sum(axis=1)).ravel()
    own = np.maximum(trust[free], _ANCHOR)
    diagonal = own + _COUPLING * degree
    matrix = sparse.diags_array(diagonal) - _COUPLING * inner
    from_fixed = _COUPLING * (links[free][:, ~free] @ start[~free])
    result = colors.copy()
    solved = np.empty((int(free.sum()), 3))
    for channel in range(3):
        right = own * start[free, channel] + from_fixed[:, channel]
        solved[:, channel], _ = cg(
            matrix,
            right,
            x0=start[free, channel],
            rtol=_TOLERANCE,
            maxiter=_ROUNDS,
            M=sparse.diags_array(1 / np.maximum(diagonal, 1e-30)),
        )
    result[free] = solved
    return result
