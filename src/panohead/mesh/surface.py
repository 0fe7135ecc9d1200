"""Extraction of a head's surface: density at the nodes of a regular grid, marching cubes, the largest closed piece.

World frame: y up, face toward +z, the box from -box_warp/2 to box_warp/2. Coordinates stay in world units here
(``trimesh_object.to_trimesh`` turns them into meters). Density is raw sigma, before softplus(sigma - 1), as the decoder
gives it; the official surface is sigma = 10 (docs/reference.md 7.9). Differences from the official extraction: its grid
is sheared by up to one voxel, ours is not; its border is 30/256 of the box on every side (38/256 at the top of videos),
ours is the renderer's crop in x and z, so that the mesh ends where the images do, and in y the outermost nodes or,
where asked for, the lower edge of the official frame.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from panohead.errors import NoSurfaceError, PanoHeadError
from panohead.mesh.low_pass import low_passed
from panohead.mesh.settings import OFFICIAL_LEVEL

DensityFunction = Callable[[Float[Tensor, "point 3"]], Float[Tensor, " point"]]
GridProgress = Callable[[int, int], None]
"""Called with (points evaluated, points known to be needed so far)."""
Axes = tuple[Float32[np.ndarray, " x"], Float32[np.ndarray, " y"], Float32[np.ndarray, " z"]]

RENDERER_CROP = 0.1
"""World units that the renderer leaves out at both ends of x and z."""
DEFAULT_CHUNK = 2**17
"""Points of one call of the density function."""
# Sigma beyond this says nothing more, and infinities would spoil the interpolation of vertices.
_SIGMA_LIMIT = 1e6
_CLEARANCE = 1e-3


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in world units; faces turn anticlockwise when viewed from outside."""

    vertices: Float32[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    evaluated_points: int = 0
    """Number of density evaluations."""
    grid_points: int = 0
    """Number of evaluations of the full cube, resolution^3."""
    floor: float | None = None
    """Height below which faces are a flat cut, world units: along its edge only the other faces decide the normals."""

    @property
    def volume(self) -> float:
        """Enclosed volume in world units^3; negative if the surface is inside out."""
        return float(_face_volumes(self.vertices, self.faces).sum())

    @cached_property
    def vertex_normals(self) -> Float32[np.ndarray, "vertex 3"]:
        """Outward unit normals, faces weighted by area."""
        a, b, c = (self.vertices[self.faces[:, k]].astype(np.float64) for k in range(3))
        # The cross product is twice the face's area long: so larger faces count more.
        area = np.cross(b - a, c - a)
        if self.floor is not None:
            area[np.maximum(np.maximum(a[:, 1], b[:, 1]), c[:, 1]) < self.floor] *= 1e-6
        repeated = np.repeat(area, 3, axis=0)
        corners, count = self.faces.ravel(), len(self.vertices)
        normals = np.stack([np.bincount(corners, repeated[:, k], count) for k in range(3)], axis=1)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return (normals / np.maximum(length, 1e-30)).astype(np.float32)


def extract_surface(
    density: DensityFunction,
    *,
    resolution: int = 256,
    box_warp: float = 1.0,
    level: float = OFFICIAL_LEVEL,
    crop: float = RENDERER_CROP,
    bottom: float | None = None,
    texel: float = 0.0,
    coarse_to_fine: bool = True,
    stride: int = 4,
    margin: int = 0,
    keep: Literal["largest", "all"] = "largest",
    chunk: int = DEFAULT_CHUNK,
    device: torch.device | str = "cpu",
    progress: GridProgress | None = None,
) -> Surface:
    """Extract the closed surface density = level inside the box.

    Args:
        density: raw sigma at points in world units, called with at most ``chunk`` points on ``device``, without
            gradients.
        resolution: nodes per side of the cube; at 512 the memory is about 0.7 GB beside what ``density`` uses.
        box_warp: side of the box in world units.
        level: density at the surface.
        crop: nodes with |x| or |z| above box_warp/2 - crop are outside, as in the renderer (0: only the outermost
            nodes).
        bottom: height below which everything is outside, world units; the surface is closed flat there. None: only the
            outermost nodes.
        texel: side of a texel of the tri-grid in world units; above 0 finer detail is taken out of the density before
            the surface is found (:func:`panohead.mesh.low_pass.low_passed`).
        coarse_to_fine: evaluate every ``stride``-th node first, refine the blocks that the surface enters, and follow
            it from block to block. Pieces are found whole, thin strands included, and equal the dense result exactly.
            A piece is missed only if every block of stride^3 cells that it passes has its eight corners on one side:
            specks and cavities. So ``keep="largest"`` gives the dense mesh, while ``keep="all"`` may lack specks.
        stride: side of a block in steps.
        margin: also refine all blocks within this many blocks of an entered one; finds specks near the surface.
        keep: "largest" keeps the connected piece that encloses the largest volume; "all" keeps specks and cavities too.
        chunk: points of one call of ``density``.
        device: of the points.
        progress: called during the evaluation.

    Returns:
        A surface in world units, watertight, faces turned anticlockwise when viewed from outside.

    Raises:
        NoSurfaceError: when the density is nowhere above the level.
        PanoHeadError: when the density is not a number, or the resolution or crop makes no sense.
    """
    if resolution < 8 or not 0 <= crop < box_warp / 2:
        raise PanoHeadError("a mesh needs a resolution of at least 8 and a crop below half the box; change them")
    step = box_warp / (resolution - 1)
    axes = _node_axes(resolution, box_warp, crop, bottom)
    lattice = _Lattice(density, axes, chunk, torch.device(device), progress)
    if coarse_to_fine:
        # The low pass reads densities around the surface, so their values must be right there, not only their sides.
        _follow_surface(lattice, level, stride, max(margin, 1) if texel > 0 else margin)
    else:
        _evaluate_all(lattice)
    if texel > 0:
        inside = lattice.values[1:-1, 1:-1, 1:-1]
        inside[:] = low_passed(inside, level, texel / step)
    lattice.close(level)
    vertices, faces = _march(lattice, level, step)
    surface = Surface(vertices, faces, lattice.evaluated, resolution**3)
    return largest_piece(surface) if keep == "largest" else surface


def density_grid(
    density: DensityFunction,
    *,
    resolution: int = 256,
    box_warp: float = 1.0,
    chunk: int = DEFAULT_CHUNK,
    device: torch.device | str = "cpu",
) -> Float32[np.ndarray, "x y z"]:
    """Evaluate raw sigma at all resolution^3 nodes of the box, spaced box_warp/(resolution - 1); nothing is cropped.

    Raises:
        PanoHeadError: when the density is not a number.
    """
    axis = np.linspace(-box_warp / 2, box_warp / 2, resolution).astype(np.float32)
    grid = np.empty((resolution, resolution, resolution), np.float32)
    y, z = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    for i, x in enumerate(axis):
        for start in range(0, len(y), chunk):
            part = slice(start, start + chunk)
            points = np.stack([np.full_like(y[part], x), y[part], z[part]], axis=1)
            grid[i].reshape(-1)[part] = _query(density, points, torch.device(device))
    return grid


def smoothed(surface: Surface, iterations: int = 10) -> Surface:
    """Smooth by Taubin's method (SIGGRAPH 1995; 0.5 in, 0.53 out), which removes the staircase and keeps the volume."""
    count = len(surface.vertices)
    start, end = surface.faces.ravel(), np.roll(surface.faces, -1, axis=1).ravel()
    from scipy import sparse  # here: whoever needs no mesh need not wait for scipy

    links = sparse.coo_array((np.ones(2 * len(start)), (np.r_[start, end], np.r_[end, start])), (count, count)).tocsr()
    links.data[:] = 1  # an edge of two faces comes twice
    # Umbrella operator: the mean of a vertex's neighbors.
    mean = sparse.diags_array(1 / np.maximum(links.sum(axis=1), 1)) @ links
    vertices = surface.vertices.astype(np.float64)
    # The second step, a little longer and outward, undoes the shrinking of the first one.
    for factor in [0.5, -0.53] * iterations:
        vertices += factor * (mean @ vertices - vertices)
    return replace(surface, vertices=vertices.astype(np.float32))


class _Lattice:
    """Density at the nodes of a regular grid, evaluated only where asked, inside a ring of nodes that count as outside.

    ``values`` "x y z" includes the ring, which closes the surface where the head leaves the box.
    """

    def __init__(
        self, density: DensityFunction, axes: Axes, chunk: int, device: torch.device, progress: GridProgress | None
    ) -> None:
        self.density, self.axes, self.chunk, self.device, self.progress = density, axes, chunk, device, progress
        self.shape = (len(axes[0]), len(axes[1]), len(axes[2]))
        self.values = np.full(self.shape, -_SIGMA_LIMIT, np.float32)
        self.known = np.ones(self.shape, bool)
        self.known[1:-1, 1:-1, 1:-1] = False
        self.evaluated = 0

    def evaluate(self, nodes: Int[np.ndarray, " node"]) -> None:
        """Fill the given nodes (flat indices, repeats allowed) that are not known yet."""
        known, values = self.known.reshape(-1), self.values.reshape(-1)
        nodes = nodes[~known[nodes]]
        # Drop repeats without sorting: of all that write their number to a node, the last one stays.
        tickets, numbers = values.view(np.int32), np.arange(len(nodes), dtype=np.int32)
        tickets[nodes] = numbers
        nodes = nodes[tickets[nodes] == numbers]
        known[nodes] = True
        planned = self.evaluated + len(nodes)
        for start in range(0, len(nodes), self.chunk):
            part = nodes[start : start + self.chunk]
            indices = np.unravel_index(part, self.shape)
            points = np.stack([axis[i] for axis, i in zip(self.axes, indices, strict=True)], axis=1)
            values[part] = _query(self.density, points, self.device)
            self.evaluated += len(part)
            if self.progress is not None:
                self.progress(self.evaluated, planned)

    def close(self, level: float) -> None:
        """Give the ring values that put the closing surface flat, half a step outside the last real nodes."""
        inside = slice(1, -1)
        self.values[[0, -1]] = self.values[:, [0, -1]] = self.values[:, :, [0, -1]] = level - 1
        for axis in range(3):
            for ring, border in ((0, 1), (-1, -2)):
                at = [(inside,) * axis + (k,) + (inside,) * (2 - axis) for k in (ring, border)]
                self.values[at[0]] = np.minimum(2 * level - self.values[at[1]], level - 1)


def _query(
    density: DensityFunction, points: Float32[np.ndarray, "point 3"], device: torch.device
) -> Float32[np.ndarray, " point"]:
    with torch.no_grad():
        sigma: np.ndarray = density(torch.from_numpy(points).to(device)).float().cpu().numpy()
    if np.isnan(sigma).any():
        raise PanoHeadError("the density is not a number in places, so there is no surface; use another checkpoint")
    return sigma.clip(-_SIGMA_LIMIT, _SIGMA_LIMIT)


def _node_axes(resolution: int, box_warp: float, crop: float, bottom: float | None) -> Axes:
    """Return the world coordinates of the kept nodes along x, y, z, and of one ring node more at both ends."""
    step = box_warp / (resolution - 1)
    nodes = (np.arange(resolution) * step - box_warp / 2).astype(np.float32)
    first = max(1, math.ceil(crop / step - 1e-6))
    across = nodes[first - 1 : resolution - first + 1]
    lowest = 1 if bottom is None else max(1, math.ceil((bottom + box_warp / 2) / step - 1e-6))
    if lowest > resolution - 2:
        raise PanoHeadError(
            f"nothing of the box is above {bottom:g} world units, so there is no mesh; lower the bottom"
        )
    return across, nodes[lowest - 1 :], across


def _evaluate_all(lattice: _Lattice) -> None:
    plane = lattice.shape[1] * lattice.shape[2]
    for i in range(lattice.shape[0]):
        lattice.evaluate(np.arange(i * plane, (i + 1) * plane))


def _follow_surface(lattice: _Lattice, level: float, stride: int, margin: int) -> None:
    """Evaluate every node of every block that the surface enters; give all others a value on their side of the level.

    Blocks span ``stride`` steps and share their border nodes. A block is entered if its corners lie on both sides of
    the level, or if a fully evaluated neighbor shows both sides on the face they share: so the surface is followed
    from block to block. The ring is one block thick: where the head meets it, the closing surface is followed too.
    """
    cuts = [np.unique([0, *range(1, n - 1, stride), n - 2, n - 1]) for n in lattice.shape]
    corners = np.ix_(*cuts)
    lattice.evaluate(np.ravel_multi_index(corners, lattice.shape).ravel())
    coarse = lattice.values[corners]
    owners = [np.searchsorted(cut, np.arange(n), side="right") - 1 for cut, n in zip(cuts, lattice.shape, strict=True)]
    for i, owner in enumerate(owners[0]):
        lattice.values[i] = coarse[owner][np.ix_(owners[1], owners[2])]

    entered = _mixed_blocks(coarse > level)
    if margin > 0:
        from scipy import ndimage

        entered = ndimage.binary_dilation(entered, np.ones((3, 3, 3), bool), iterations=margin)
    front = np.argwhere(entered)
    batch = max(1, lattice.chunk // (stride + 1) ** 3)
    while len(front):
        parts = [front[i : i + batch] for i in range(0, len(front), batch)]
        beyond = np.concatenate([_refine_blocks(lattice, cuts, part, level, stride) for part in parts])
        beyond = beyond[~entered[tuple(beyond.T)]]
        numbers = np.unique(np.ravel_multi_index(tuple(beyond.T), entered.shape))
        front = np.stack(np.unravel_index(numbers, entered.shape), axis=1)
        entered[tuple(front.T)] = True


def _mixed_blocks(above: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "block_x block_y block_z"]:
    """Find blocks whose eight corners are neither all above nor all below the level."""
    some, every = above, above
    for axis in range(3):
        some = np.delete(some, -1, axis) | np.delete(some, 0, axis)
        every = np.delete(every, -1, axis) & np.delete(every, 0, axis)
    return some & ~every


def _refine_blocks(
    lattice: _Lattice, cuts: list[np.ndarray], blocks: Int[np.ndarray, "block 3"], level: float, stride: int
) -> Int[np.ndarray, "neighbor 3"]:
    """Evaluate all nodes of the blocks; return the neighbors that the surface continues into."""
    indices = []
    for axis, cut in enumerate(cuts):
        start, end = cut[blocks[:, axis]], cut[blocks[:, axis] + 1]
        indices.append(np.minimum(start[:, None] + np.arange(stride + 1), end[:, None]))
    x, y, z = indices
    nodes = np.ravel_multi_index((x[:, :, None, None], y[:, None, :, None], z[:, None, None, :]), lattice.shape)
    lattice.evaluate(nodes.ravel())
    above = lattice.values.reshape(-1)[nodes] > level
    beyond = []
    for axis in range(3):
        for side, step in ((0, -1), (-1, 1)):
            face = above.take(side, axis=axis + 1).reshape(len(blocks), -1)
            crossed = face.any(axis=1) & ~face.all(axis=1)
            beyond.append(blocks[crossed] + step * np.eye(3, dtype=blocks.dtype)[axis])
    return np.concatenate(beyond)


def _march(
    lattice: _Lattice, level: float, step: float
) -> tuple[Float32[np.ndarray, "vertex 3"], Int[np.ndarray, "face 3"]]:
    from skimage.measure import marching_cubes

    if not lattice.values.max() > level:
        raise NoSurfaceError(f"there is no surface: the density is nowhere above {level:g}; lower the level")
    _avoid_nodes(lattice.values, level)
    # "ascent" although density falls outward: with axes ordered x, y, z (skimage has z, y, x) faces turn outward.
    vertices, faces, _, _ = marching_cubes(lattice.values, level, gradient_direction="ascent")
    origin = np.array([axis[0] for axis in lattice.axes], dtype=np.float64)
    return (vertices * step + origin).astype(np.float32), np.ascontiguousarray(faces)


def _avoid_nodes(values: Float32[np.ndarray, "x y z"], level: float) -> None:
    """Move values off the level so that no vertex comes closer to a node than _CLEARANCE steps, in place.

    A surface through a node gives faces of area zero, and cutting those out leaves holes; 1/1000 of a voxel is no loss.
    """
    reach = _CLEARANCE * float(max(values.max() - level, level - values.min()))
    flat, strides = values.reshape(-1), (values.shape[1] * values.shape[2], values.shape[2], 1)
    plane = strides[0]
    close = [np.flatnonzero(np.abs(values[i] - level) < 2 * reach) + i * plane for i in range(1, len(values) - 1)]
    nodes = np.concatenate(close)
    offset = flat[nodes].astype(np.float64) - level
    largest = np.zeros(len(nodes))
    for stride in strides:
        for neighbor in (nodes - stride, nodes + stride):
            # A neighbor on the same side carries no vertex; and its value may stand for a whole block.
            other = flat[neighbor].astype(np.float64) - level
            largest = np.maximum(largest, np.where((other > 0) != (offset > 0), np.abs(other - offset), 0))
    offset = np.where(offset > 0, 1, -1) * np.maximum(np.abs(offset), _CLEARANCE * largest)
    flat[nodes] = (level + offset).astype(np.float32)


def _face_volumes(
    vertices: Float32[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Float[np.ndarray, " face"]:
    """Return the signed volume of the tetrahedron that each face spans with the origin, in world units^3."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)) / 6


def largest_piece(surface: Surface) -> Surface:
    """Return the connected piece that encloses most (a cavity counts negative, however many faces it has)."""
    start, end = surface.faces[:, :2].ravel(), surface.faces[:, 1:].ravel()
    count = len(surface.vertices)
    from scipy import sparse  # here: whoever needs no mesh need not wait for scipy

    links = sparse.coo_array((np.ones(len(start), bool), (start, end)), (count, count))
    _, label = sparse.csgraph.connected_components(links, directed=False)
    volumes = np.bincount(label[surface.faces[:, 0]], _face_volumes(surface.vertices, surface.faces))
    used = label == int(volumes.argmax())
    new_number = np.cumsum(used, dtype=surface.faces.dtype) - 1
    faces = surface.faces[used[surface.faces[:, 0]]]
    return replace(surface, vertices=surface.vertices[used], faces=new_number[faces])
