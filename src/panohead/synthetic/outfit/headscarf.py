"""A headscarf: a cloth drawn over head, neck and shoulders, with an oval opening for the face.

It is a radius over directions from the middle of the head: the outermost skin in each direction, hollows (ears, neck,
below the chin) bridged by a morphological closing and smoothed, as cloth under tension does.
"""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_closing

from panohead.synthetic.basis import head_basis
from panohead.synthetic.fields import CosineNoise, smoothstep
from panohead.synthetic.mesh import compact, triangulate
from panohead.synthetic.outfit.clothes import smoothed_surface

_CENTER = np.array([0.0, 7.35, 0.40])
_POLAR, _AROUND, _LOWEST_DEG = 96, 168, 158.0
_OPENING = (0.63, 0.88, 7.10)  # half-width, half-height and middle height of the oval, decimeters


def headscarf(
    skin: Float[np.ndarray, "fine 3"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "vertex 3"], np.ndarray]:
    """Return vertices (decimeters) and triangles of the cloth over this skin."""
    polar = np.radians(np.linspace(2.0, _LOWEST_DEG, _POLAR))
    around = np.linspace(-np.pi, np.pi, _AROUND, endpoint=False)
    theta, phi = np.meshgrid(polar, around, indexing="ij")
    way = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], -1)
    radius = _outermost(skin, polar)
    # The circle around the head is periodic, so it is continued on both sides before filtering.
    wide = np.concatenate([radius[:, -40:], radius, radius[:, :40]], 1)
    wide = gaussian_filter(grey_closing(wide, (21, 25)), (2.0, 2.0))[:, 40:-40]
    points = _CENTER + way * np.maximum(wide, radius)[..., None]
    folds = np.abs(CosineNoise(rng, 3.0)(points.reshape(-1, 3))).reshape(wide.shape)
    below = smoothstep(7.2, 6.2, points[..., 1])
    lift = 0.06 + 0.05 * folds * below + 0.07 * smoothstep(6.3, 5.7, points[..., 1])
    vertices = points + way * lift[..., None]
    return _with_opening(vertices)


def _outermost(skin: Float[np.ndarray, "fine 3"], polar: Float[np.ndarray, "row"]) -> Float[np.ndarray, "row column"]:
    """Return the largest distance of the skin from the middle of the head in each cell of directions, gaps filled from
    the nearest cell."""
    offset = skin[head_basis().masks["inside-mouth"] < 0.3] - _CENTER
    distance = np.linalg.norm(offset, axis=1)
    angle = np.arccos(np.clip(offset[:, 1] / distance, -1, 1))
    row = np.rint((angle - polar[0]) / (polar[1] - polar[0])).astype(int)
    column = np.rint((np.arctan2(offset[:, 0], offset[:, 2]) + np.pi) / (2 * np.pi) * _AROUND).astype(int) % _AROUND
    inside = (row >= 0) & (row < _POLAR)
    radius = np.zeros((_POLAR, _AROUND))
    np.maximum.at(radius, (row[inside], column[inside]), distance[inside])
    nearest = distance_transform_edt(radius == 0, return_distances=False, return_indices=True)
    return radius[tuple(nearest)]


def _with_opening(vertices: Float[np.ndarray, "row column 3"]) -> tuple[Float[np.ndarray, "vertex 3"], np.ndarray]:
    """Drop the cells over the face; corners just inside the oval are moved onto it, so that its edge is smooth."""
    half_width, half_height, middle = _OPENING
    x, y, z = (vertices[..., k] for k in range(3))
    oval = np.where(z > 0.5, np.hypot(x / half_width, (y - middle) / half_height), 9.0)
    edge = (oval > 0.9) & (oval < 1)
    moved = vertices.copy()
    moved[..., 0] = np.where(edge, x / oval, x)
    moved[..., 1] = np.where(edge, middle + (y - middle) / oval, y)
    index = np.arange(oval.size).reshape(oval.shape)
    ahead = np.roll(index, -1, 1)
    quads = np.stack([index[:-1], index[1:], ahead[1:], ahead[:-1]], -1).reshape(-1, 4)
    kept = quads[(oval.ravel()[quads] > 0.9).all(1)]
    used, quads = compact(kept, moved.reshape(-1, 3))
    return smoothed_surface(moved.reshape(-1, 3)[used], quads, 4), triangulate(quads)
