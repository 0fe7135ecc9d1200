"""Morph targets of a mesh: offsets of its vertices by name, kept with them as vertex attributes."""

from collections.abc import Mapping

import numpy as np
import trimesh
from jaxtyping import Float32, Int

_PREFIX = "target:"
_STILL = 2e-4
"""Share of the mesh's size up to which an offset is left out."""
CONVENTION = "ARKit"
"""Whose names the targets have, as the metadata of files say."""


def set_targets(mesh: trimesh.Trimesh, offsets: Mapping[str, Float32[np.ndarray, "vertex 3"]]) -> None:
    """Give a mesh targets, in its own unit and axes."""
    for name, values in offsets.items():
        mesh.vertex_attributes[_PREFIX + name] = values
    mesh.metadata["morph_targets"] = len(offsets)
    mesh.metadata["morph_convention"] = CONVENTION


def targets_of(mesh: trimesh.Trimesh) -> dict[str, Float32[np.ndarray, "vertex 3"]]:
    """Return a mesh's targets by name, in order; an empty dictionary for a mesh that does not move."""
    found = {}
    for name, values in mesh.vertex_attributes.items():
        if name.startswith(_PREFIX):
            found[name.removeprefix(_PREFIX)] = np.asarray(values, np.float32)
    return found


def moving_places(mesh: trimesh.Trimesh, offsets: Float32[np.ndarray, "vertex 3"]) -> Int[np.ndarray, " place"]:
    """Return the numbers of the vertices that a target moves enough for a file to hold it."""
    size = float(np.ptp(np.asarray(mesh.vertices), axis=0).max())
    return np.flatnonzero(np.abs(offsets).max(axis=1) > _STILL * size)


def scale_targets(mesh: trimesh.Trimesh, factor: float) -> None:
    """Multiply all offsets, as a change of the unit does."""
    for name, values in targets_of(mesh).items():
        mesh.vertex_attributes[_PREFIX + name] = values * np.float32(factor)


def without_targets(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return a copy without targets, for formats that have none; the mesh itself if it has none."""
    if not targets_of(mesh):
        return mesh
    plain = mesh.copy()
    for name in targets_of(mesh):
        del plain.vertex_attributes[_PREFIX + name]
    for key in ("morph_targets", "morph_convention"):
        plain.metadata.pop(key, None)
    return plain


def moved(mesh: trimesh.Trimesh, weights: Mapping[str, float]) -> Float32[np.ndarray, "vertex 3"]:
    """Return the vertices at some weights, in the mesh's unit."""
    targets = targets_of(mesh)
    vertices = np.asarray(mesh.vertices, np.float32).copy()
    for name, weight in weights.items():
        vertices += np.float32(weight) * targets[name]
    return vertices
