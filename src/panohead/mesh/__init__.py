"""Surfaces of heads: extracting, simplifying, coloring, texturing and writing them."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.mesh.export import MESH_FORMATS, Volume, write_mesh, write_mrc
    from panohead.mesh.head_mesh import HeadMesh
    from panohead.mesh.settings import MeshSettings
    from panohead.mesh.simplify import simplified, smoothed
    from panohead.mesh.surface import Surface, density_grid, extract_surface
    from panohead.mesh.texture import textured
    from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, to_trimesh
    from panohead.mesh.vertex_colors import ColoringView, VertexColors, color_vertices

__all__ = [
    "MESH_FORMATS",
    "METERS_PER_WORLD_UNIT",
    "ColoringView",
    "HeadMesh",
    "MeshSettings",
    "Surface",
    "VertexColors",
    "Volume",
    "color_vertices",
    "density_grid",
    "extract_surface",
    "simplified",
    "smoothed",
    "textured",
    "to_trimesh",
    "write_mesh",
    "write_mrc",
]

_HOMES = {
    "export": (
        "MESH_FORMATS",
        "Volume",
        "write_mesh",
        "write_mrc",
    ),
    "head_mesh": ("HeadMesh",),
    "settings": ("MeshSettings",),
    "simplify": (
        "simplified",
        "smoothed",
    ),
    "surface": (
        "Surface",
        "density_grid",
        "extract_surface",
    ),
    "texture": ("textured",),
    "trimesh_object": (
        "METERS_PER_WORLD_UNIT",
        "to_trimesh",
    ),
    "vertex_colors": (
        "ColoringView",
        "VertexColors",
        "color_vertices",
    ),
}


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: whoever only renders need not wait for trimesh and scipy."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"panohead.mesh.{module}"), name)
    raise AttributeError(f"module 'panohead.mesh' has no attribute {name!r}")
