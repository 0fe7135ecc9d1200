"""Surfaces of heads: extracting, simplifying, coloring, texturing and writing them."""

from panohead.mesh.export import MESH_FORMATS, Volume, write_mesh, write_mrc
from panohead.mesh.simplify import simplified, smoothed
from panohead.mesh.surface import Surface, density_grid, extract_surface
from panohead.mesh.texture import textured
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, to_trimesh
from panohead.mesh.vertex_colors import ColoringView, VertexColors, color_vertices

__all__ = [
    "MESH_FORMATS",
    "METERS_PER_WORLD_UNIT",
    "ColoringView",
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
