"""Signed distance to the skin on a grid; keeps hair outside the head."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import distance_transform_edt, gaussian_filter

from panohead.ops.cpu.jit import jit
from panohead.synthetic.basis import head_basis

_LOW, _HIGH, _SIZE = np.array([-2.9, 3.9, -1.9]), np.array([2.9, 9.4, 2.6]), 72
_SPACING = (_HIGH - _LOW) / (_SIZE - 1)


@dataclass(frozen=True)
class DistanceField:
    """Distance ``values[..., 0]`` (decimeters, positive outside) on a grid, and its gradient ``values[..., 1:]``."""

    values: Float32[np.ndarray, "x y z 4"]

    def __call__(
        self, points: Float[np.ndarray, "point 3"]
    ) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point 3"]]:
        """Return distance and unit gradient at points; outside the grid the values at its border."""
        sampled = np.empty((len(points), 4))
        _lookup_all(self.values, np.ascontiguousarray(points, dtype=np.float64), sampled)
        return sampled[:, 0], sampled[:, 1:]

    def push_out(
        self, strands: Float[np.ndarray, "strand point 3"], margin: float
    ) -> Float[np.ndarray, "strand point 3"]:
        """Return strands with every point but the root at least ``margin`` decimeters outside."""
        points = strands[:, 1:].reshape(-1, 3)
        distance, gradient = self(points)
        moved = points + gradient * np.maximum(margin - distance, 0)[:, None]
        return np.concatenate([strands[:, :1], moved.reshape(len(strands), -1, 3)], 1)


def build_field(vertices: Float[np.ndarray, "fine 3"], normals: Float[np.ndarray, "fine 3"]) -> DistanceField:
    """Build the field of one head from the voxels that its vertices fall into and the mean plane of each."""
    outer = head_basis().masks["inside-mouth"] <= 0.3
    cell = np.rint((vertices - _LOW) / _SPACING).astype(int)
    outer &= ((cell >= 0) & (cell < _SIZE)).all(1)
    cell, points, directions = cell[outer], vertices[outer], normals[outer]
    flat = (cell[:, 0] * _SIZE + cell[:, 1]) * _SIZE + cell[:, 2]
    occupied, member = np.unique(flat, return_inverse=True)
    count = np.bincount(member).astype(np.float64)
    center = np.stack([np.bincount(member, points[:, k]) / count for k in range(3)], 1)
    plane = np.stack([np.bincount(member, directions[:, k]) / count for k in range(3)], 1)
    plane /= np.maximum(np.linalg.norm(plane, axis=1, keepdims=True), 1e-9)
    empty = np.ones(_SIZE**3, bool)
    empty[occupied] = False
    slot = np.zeros(_SIZE**3, np.int64)
    slot[occupied] = np.arange(len(occupied))
    nearest = distance_transform_edt(
        empty.reshape(_SIZE, _SIZE, _SIZE), sampling=_SPACING, return_distances=False, return_indices=True
    )
    nearest_slot = slot[((nearest[0] * _SIZE + nearest[1]) * _SIZE + nearest[2]).ravel()]
    axes = [_LOW[k] + _SPACING[k] * np.arange(_SIZE) for k in range(3)]
    offset = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) - center[nearest_slot]
    along = (offset * plane[nearest_slot]).sum(1)
    length = np.linalg.norm(offset, axis=1)
    distance = np.where(length < 0.12, along, np.sign(along) * length).reshape(_SIZE, _SIZE, _SIZE)
    distance = gaussian_filter(distance, 0.6)
    gradient = np.stack(np.gradient(distance), -1) / _SPACING
    return DistanceField(np.concatenate([distance[..., None], gradient], -1).astype(np.float32))


@jit()
def lookup(values, x, y, z, out):  # type: ignore[no-untyped-def]
    """Write trilinear (distance, unit gradient) at one point into ``out`` (4,)."""
    fx = min(max((x - _LOW[0]) / _SPACING[0], 0.0), _SIZE - 1.001)
    fy = min(max((y - _LOW[1]) / _SPACING[1], 0.0), _SIZE - 1.001)
    fz = min(max((z - _LOW[2]) / _SPACING[2], 0.0), _SIZE - 1.001)
    ix, iy, iz = int(fx), int(fy), int(fz)
    fx, fy, fz = fx - ix, fy - iy, fz - iz
    out[:] = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (fx if a else 1 - fx) * (fy if b else 1 - fy) * (fz if c else 1 - fz)
                for k in range(4):
                    out[k] += weight * values[ix + a, iy + b, iz + c, k]
    length = max((out[1] ** 2 + out[2] ** 2 + out[3] ** 2) ** 0.5, 1e-6)
    for k in range(1, 4):
        out[k] /= length


@jit()
def _lookup_all(values, points, out):  # type: ignore[no-untyped-def]
    for i in range(len(points)):
        lookup(values, points[i, 0], points[i, 1], points[i, 2], out[i])
