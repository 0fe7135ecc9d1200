"""A head's mesh with morph targets."""

from collections.abc import Sequence

import numpy as np

from panohead.attributes.editing import HeadAttributes
from panohead.mesh.head_mesh import HeadMesh
from panohead.mesh.morph_targets import set_targets
from panohead.mesh.settings import MeshUnit
from panohead.mesh.surface import Surface
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, UNITS_PER_WORLD_UNIT, to_trimesh
from panohead.mesh.vertex_colors import ColoringView, color_vertices
from panohead.morphs.expressive import expressive_surface


def morph_mesh(
    surface: Surface,
    attributes: HeadAttributes | None,
    views: Sequence[ColoringView],
    *,
    unit: MeshUnit = "metre",
    level: float | None = None,
    eyeballs: bool = False,
) -> HeadMesh:
    """Return the mesh of a surface with 52 targets of ARKit's names and what is behind the lips.

    Its metadata say how far the fitted head basis lies from the face (``basis_distance_mm``).

    Args:
        surface: world units.
        attributes: of the head; None for a model without an attribute encoder.
        views: renders that color the surface; empty for none.
        unit: of the mesh.
        level: density at the surface.
        eyeballs: eyes of their own, which turn, in place of the painted ones.
    """
    expressive = expressive_surface(surface, attributes, eyeballs=eyeballs)
    rgb = expressive.colored(color_vertices(expressive.outer, views).rgb) if views else None
    mesh = to_trimesh(expressive.surface, rgb, unit=unit, level=level)
    factor = np.float32(UNITS_PER_WORLD_UNIT[unit])
    set_targets(mesh, {name: values * factor for name, values in expressive.offsets.items()})
    mesh.metadata["eyeballs"] = len(expressive.painted) > 0
    mesh.metadata["lips_part"] = len(expressive.pairs) > 0
    if np.isfinite(expressive.fit_distance):
        mesh.metadata["basis_distance_mm"] = round(expressive.fit_distance * METERS_PER_WORLD_UNIT * 1000, 2)
    return HeadMesh.of(mesh)
