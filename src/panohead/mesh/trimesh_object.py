"""Surfaces as ``trimesh.Trimesh`` objects: life size, colored, described by their metadata.

The other mesh files read and change such objects; only this one knows where they hold what. Vertex colors lie in
``visual.vertex_colors``, or, on a textured mesh, in ``visual.vertex_attributes["color"]`` (where trimesh keeps them).
"""

from typing import Literal

import numpy as np
import trimesh
from jaxtyping import Float32, UInt8
from PIL import Image
from trimesh.visual.color import ColorVisuals
from trimesh.visual.texture import TextureVisuals

from panohead.media.provenance import NOTICE, SourceType, software, source_uri
from panohead.mesh.surface import Surface

METERS_PER_WORLD_UNIT = 0.232 / 0.56
"""Scale of life size: a canonical head is about 0.56 world units from chin to top, an adult's 0.232 m (average)."""
AXES = "y up, face toward +z"
"""Orientation, as the metadata say it."""

_SYNTHETIC: SourceType = "trainedAlgorithmicMedia"


def to_trimesh(
    surface: Surface,
    colors: UInt8[np.ndarray, "vertex 3"] | None = None,
    *,
    unit: Literal["metre", "world"] = "metre",
    level: float | None = None,
    source: SourceType = _SYNTHETIC,
) -> trimesh.Trimesh:
    """Return the surface as a ``trimesh.Trimesh``, y up, face toward +z.

    Args:
        surface: in world units.
        colors: sRGB colors of the vertices.
        unit: "metre" (life size, see METERS_PER_WORLD_UNIT) or "world".
        level: density at the surface, if known.
        source: IPTC term of the synthetic mark.

    Returns:
        A mesh whose ``metadata`` holds unit, world_units_per_metre, axes, watertight, triangles, level, generator,
        notice and digital_source_type, which ``write_mesh`` puts into files.
    """
    scale = METERS_PER_WORLD_UNIT if unit == "metre" else 1.0
    mesh = trimesh.Trimesh(
        vertices=surface.vertices.astype(np.float64) * scale,
        faces=surface.faces,
        vertex_normals=surface.vertex_normals,
        vertex_colors=colors,
        process=False,
    )
    if unit == "metre":
        mesh.units = "meters"
    mesh.metadata.update(unit=unit, world_units_per_metre=1 / METERS_PER_WORLD_UNIT, axes=AXES)
    describe(mesh)
    if level is not None:
        mesh.metadata["level"] = float(level)
    mesh.metadata.update(generator=software(), notice=NOTICE, digital_source_type=source_uri(source))
    return mesh


def describe(mesh: trimesh.Trimesh) -> None:
    """Update the metadata watertight and triangles; the vertices must be joined (no texture seams)."""
    mesh.metadata.update(watertight=bool(mesh.is_watertight), triangles=len(mesh.faces))


def to_surface(mesh: trimesh.Trimesh) -> Surface:
    """Return the shape in world units of a mesh that ``to_trimesh`` made or that has the same metadata."""
    scale = METERS_PER_WORLD_UNIT if mesh.metadata.get("unit", "metre") == "metre" else 1.0
    return Surface((np.asarray(mesh.vertices) / scale).astype(np.float32), np.array(mesh.faces))


def vertex_rgb(mesh: trimesh.Trimesh) -> UInt8[np.ndarray, "vertex 3"] | None:
    """Return the sRGB colors of the vertices, None for a mesh without colors."""
    if isinstance(mesh.visual, ColorVisuals) and mesh.visual.kind is not None:
        return np.asarray(mesh.visual.vertex_colors)[:, :3].astype(np.uint8)
    if isinstance(mesh.visual, TextureVisuals) and "color" in mesh.visual.vertex_attributes:
        return np.asarray(mesh.visual.vertex_attributes["color"])[:, :3].astype(np.uint8)
    return None


def texture_of(mesh: trimesh.Trimesh) -> tuple[Float32[np.ndarray, "vertex 2"], Image.Image] | None:
    """Return texture coordinates, v upward as in OBJ, and the image; None for a mesh without a texture."""
    if not isinstance(mesh.visual, TextureVisuals) or mesh.visual.uv is None:
        return None
    material = mesh.visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return None if image is None else (np.asarray(mesh.visual.uv, np.float32), image)


def joined(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return a textured mesh without its texture, its doubled vertices joined again; other meshes as they are."""
    if not isinstance(mesh.visual, TextureVisuals):
        return mesh
    _, first, number = np.unique(np.asarray(mesh.vertices), axis=0, return_index=True, return_inverse=True)
    rgb = vertex_rgb(mesh)
    whole = trimesh.Trimesh(
        vertices=mesh.vertices[first],
        faces=number.reshape(-1)[mesh.faces],
        vertex_normals=mesh.vertex_normals[first],
        vertex_colors=None if rgb is None else rgb[first],
        vertex_attributes={name: np.asarray(values)[first] for name, values in mesh.vertex_attributes.items()},
        metadata=dict(mesh.metadata),
        process=False,
    )
    if mesh.units is not None:
        whole.units = mesh.units
    return whole
