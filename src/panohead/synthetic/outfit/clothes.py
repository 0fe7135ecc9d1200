"""Clothes: the body below a collar line, smoothed until it no longer shows anatomy and lifted off the skin."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from panohead.synthetic.basis import head_basis
from panohead.synthetic.fields import CosineNoise, smoothstep
from panohead.synthetic.mesh import Material, Part, compact, triangulate
from panohead.synthetic.people import Person

# Collar height (decimeters of the neutral body) against azimuth from the front (degrees).
_COLLARS = {
    "turtle": ([0, 60, 180], [5.84, 6.0, 6.1]),
    "vneck": ([0, 8, 35, 90, 180], [4.9, 5.05, 5.65, 5.85, 5.92]),
    "tank": ([0, 20, 40, 80, 180], [4.8, 5.0, 5.5, 5.62, 5.6]),
    "shirt": ([0, 6, 30, 90, 180], [5.4, 5.6, 6.0, 6.02, 6.05]),
    "crew": ([0, 30, 60, 90, 180], [5.45, 5.55, 5.75, 5.84, 5.92]),
}


def clothing(
    person: Person, skin: Float[np.ndarray, "fine 3"], normals: Float[np.ndarray, "fine 3"]
) -> tuple[Part | None, Float[np.ndarray, "fine"]]:
    """Return the garment (None for bare shoulders) and, per fine vertex, how far inside it lies (decimeters; negative
    outside)."""
    basis, rng = head_basis(), person.stream("clothes")
    if person.clothes == "none":
        return None, np.full(len(skin), -1.0)
    neutral = basis.neutral
    azimuth = np.degrees(np.arctan2(np.abs(neutral[:, 0]), neutral[:, 2] - 0.3))
    collar = np.interp(azimuth, *_COLLARS[person.clothes]) + rng.normal() * 0.06
    depth = collar - neutral[:, 1]
    covered = basis.fine_quads[depth[basis.fine_quads].min(1) > 0]
    used, quads = compact(covered, skin)
    smooth = smoothed_surface(skin[used], quads, 40)
    edge = np.clip(depth[used] / 0.12, 0, 1)
    points, normal = neutral[used], normals[used]
    lift = 0.035 + 0.05 * edge + 0.03 * CosineNoise(rng, 2.5)(points) * edge
    sunk = np.maximum(((skin[used] - smooth) * normal).sum(1), 0)
    folds = 0.02 * np.abs(CosineNoise(rng, 6.0)(points)) * edge
    vertices = smooth + normal * (sunk + np.maximum(lift, 0.02) + folds)[:, None]
    color = fabric_color(points, rng)
    return Part(vertices, triangulate(quads), color, Material.CLOTH), depth


def smoothed_surface(
    vertices: Float[np.ndarray, "vertex 3"], quads: Int[np.ndarray, "quad 4"], rounds: int
) -> Float[np.ndarray, "vertex 3"]:
    """Smooth by the Laplacian, half a step per round."""
    edges = np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2)
    count = len(vertices)
    adjacency = sp.csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    adjacency = ((adjacency + adjacency.T) > 0).astype(np.float64)
    mean = sp.diags(1 / np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1)) @ adjacency
    for _ in range(rounds):
        vertices = 0.5 * vertices + 0.5 * (mean @ vertices)
    return vertices


def fabric_color(points: Float[np.ndarray, "point 3"], rng: np.random.Generator) -> Float[np.ndarray, "point 3"]:
    """Return the albedo of a plain, striped or checked fabric with a little weave."""
    if rng.random() < 0.5:
        base = rng.uniform(0.02, 0.6, 3)
    else:
        base = np.full(3, rng.choice([0.03, 0.08, 0.3, 0.7])) * rng.uniform(0.8, 1.1, 3)
    second = rng.uniform(0.02, 0.7, 3)
    color = np.tile(base, (len(points), 1))
    pattern = rng.random()
    if pattern < 0.25:
        stripe = smoothstep(-0.35, 0.35, np.sin(points[:, 1] * rng.uniform(10, 24)))[:, None]
        color = color * stripe + second * (1 - stripe)
    elif pattern < 0.4:
        check = smoothstep(-0.25, 0.25, np.sin(points[:, 1] * 14) * np.sin(points[:, 0] * 14))[:, None]
        color = color * (1 - 0.4 * check) + second * 0.4 * check
    weave = np.clip(1 + 0.06 * CosineNoise(rng, 60.0, 30)(points), 0.3, 2)
    return np.clip(color * weave[:, None], 0.004, 0.8)
