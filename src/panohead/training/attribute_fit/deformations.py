"""Known deformations of synthetic people: every head, expression included, onto the neutral one of the head basis.

Vertices correspond between people, so each tells where a place on one head lies on the neutral one. The grid of
:class:`panohead.models.deformation.Deformation` takes them by least squares, smooth where no vertex is near.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from jaxtyping import Bool, Float, Float16
from scipy.sparse.linalg import cg
from torch import Tensor

from panohead.attributes.vocabulary import person_of_record
from panohead.models.deformation import Deformation

_EDITION = 2
_SLOPE, _BEND = 1e-3, 3e-2
"""Weights of the squared first and second differences of the grid, per vertex of weight 1: smooth, but no stiffer than
to leave 0.004 world units of the 0.017 by which vertices move (root mean squares, grid of 16 points)."""


class DeformationSolver:
    """Least-squares deformations on a grid.

    Args:
        size: points of the grid per side.
        box_warp: side of the box that the grid spans, world units.
    """

    def __init__(self, size: int, box_warp: float) -> None:
        from panohead.synthetic.basis import head_basis
        from panohead.synthetic.framing import FRAMINGS

        self.size, self.box_warp, self.framing = size, box_warp, FRAMINGS[_EDITION]
        self.neutral = self.framing.to_world(head_basis().vertices)  # vertex 3
        first = sparse.diags([-1.0, 1.0], [0, 1], shape=(size - 1, size))
        second = sparse.diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(size - 2, size))
        self.smoothness = _SLOPE * _squares(first, size) + _BEND * _squares(second, size)
        line = np.linspace(-box_warp / 2, box_warp / 2, size)
        self.corners = np.stack(np.meshgrid(line, line, line, indexing="ij")[::-1], axis=-1).reshape(-1, 3)  # x y z

    def of_person(self, record: Mapping[str, Any]) -> Float16[np.ndarray, "shot 3 size size size"]:
        """Return the offsets of all shots of a person, a line of ``people.jsonl`` (edition 2), in world units."""
        from panohead.synthetic.shape import head_shapes

        shapes = head_shapes(person_of_record(record), [shot["expression"] for shot in record["shots"]])
        return np.stack([self.solve(self.framing.to_world(shape)) for shape in shapes]).astype(np.float16)

    def solve(self, vertices: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "3 size size size"]:
        """Return the offsets that take these vertices (world units) to the neutral head's."""
        inside = self._inside(vertices)
        weights = self._interpolation(vertices[inside])
        moved = (self.neutral - vertices)[inside]
        # The nearest affine map first. The rest comes by conjugate gradients, which change places far from all vertices
        # last: stopped early, they leave the affine map there.
        affine = np.linalg.lstsq(_homogeneous(vertices[inside]), moved, rcond=None)[0]
        start = _homogeneous(self.corners) @ affine  # corner 3
        system, target = (weights.T @ weights + self.smoothness).tocsr(), weights.T @ moved
        found = [cg(system, target[:, k], start[:, k], rtol=1e-4, maxiter=200)[0] for k in range(3)]
        return np.stack(found).reshape(3, self.size, self.size, self.size)

    def _inside(self, vertices: Float[np.ndarray, "vertex 3"]) -> Bool[np.ndarray, " vertex"]:
        inside: Bool[np.ndarray, " vertex"] = (np.abs(vertices) < self.box_warp / 2).all(axis=1)
        return inside

    def _interpolation(self, points: Float[np.ndarray, "point 3"]) -> Any:
        """Return the matrix from the grid's values (z y x) to trilinear values at the points."""
        cells, side = self.size - 1, self.size
        position = (points / self.box_warp + 0.5) * cells
        first = np.clip(position.astype(int), 0, cells - 1)
        place = position - first
        number, rows, columns, values = np.arange(len(points)), [], [], []
        for corner in range(8):
            step = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
            x, y, z = (first + step).T
            rows.append(number)
            columns.append((z * side + y) * side + x)
            values.append(np.where(step, place, 1 - place).prod(axis=1))
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_matrix(entries, shape=(len(points), side**3))


def _homogeneous(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 4"]:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _squares(difference: Any, size: int) -> Any:
    """Return the quadratic form of differences along all three axes of a grid."""
    same = sparse.identity(size)
    along = (difference, same, same), (same, difference, same), (same, same, difference)
    matrices = [sparse.kron(sparse.kron(z, y), x) for z, y, x in along]
    return sum(m.T @ m for m in matrices)


@torch.no_grad()
def start_from_people(module: Deformation, offsets: Float[Tensor, "shot 3 size size size"]) -> None:
    """Set the directions of a deformation to the principal ones of known deformations, and all heads to their mean."""
    known = module.normalized(offsets).flatten(1)  # shot coordinate
    mean = known.mean(dim=0)
    count = len(known)
    # Gram matrix: far fewer shots than coordinates. known - mean = U S V^T
    _, u = torch.linalg.eigh((known - mean) @ (known - mean).T)
    u = u[:, -min(module.rank, count - 1) :].flip(1)
    module.set_directions(mean, (known - mean).T @ u / count**0.5)  # V S / sqrt(count)
