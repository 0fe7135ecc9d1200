"""Surfaces as ``trimesh.Trimesh`` objects: life size, colored, described by their metadata.

The other mesh files read and change such objects; only this one knows where they hold what. Vertex colors lie in
``visual.vertex_colors``, or, on a textured mesh, in ``visual.vertex_attributes["color"]`` (where trimesh keeps them).
"""

import numpy as np
import trimesh
from jaxtyping import Float32, UInt8
from PIL import Image
from trimesh.visual.color import ColorVisuals
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from panohead.media.provenance import NOTICE, SourceType, software, source_uri
from panohead.mesh.morph_targets import scale_targets
from panohead.mesh.settings import MeshUnit, unit_named
from panohead.mesh.surface import Surface

METERS_PER_WORLD_UNIT = 0.232 / 0.56
"""Scale of life size: a canonical head is about 0.56 world units from chin to top, an adult's 0.232 m (average)."""
AXES = "y up, face toward +z"
"""Orientation, as the metadata say it."""

UNITS_PER_WORLD_UNIT: dict[str, float] = {
    "metre": METERS_PER_WORLD_UNIT,
    "millimetre": 1000 * METERS_PER_WORLD_UNIT,
    "world": 1.0,
}
"""Scale of coordinates in each unit."""
_TRIMESH_UNITS = {"metre": "meters", "millimetre": "millimeters"}

_SYNTHETIC: SourceType = "trainedAlgorithmicMedia"


class MatteColors(ColorVisuals):
    """Vertex colors with a material, which trimesh's GLB writer stores: without one a reader has to assume a metal."""

    @property
    def material(self) -> PBRMaterial:
        """A matte material that shows the vertex colors as they are."""
        return PBRMaterial(name="head", baseColorFactor=[255] * 4, metallicFactor=0.0, roughnessFactor=1.0)

    def copy(self) -> "MatteColors":
        """Return a copy."""
        copied = MatteColors()
        copied._data.data = super().copy()._data.data
        return copied


def to_trimesh(
    surface: Surface,
    colors: UInt8[np.ndarray, "vertex 3"] | None = None,
    *,
    unit: MeshUnit = "metre",
    level: float | None = None,
    source: SourceType = _SYNTHETIC,
) -> trimesh.Trimesh:
    """Return the surface as a ``trimesh.Trimesh``, y up, face toward +z.

    Args:
        surface: in world units.
        colors: sRGB colors of the vertices.
        unit: "metre" or "millimetre" (life size, see METERS_PER_WORLD_UNIT), or "world".
        level: density at the surface, if known.
        source: IPTC term of the synthetic mark.

    Raises:
        UsageError: for another unit.

    Returns:
        A mesh whose ``metadata`` holds unit, world_units_per_metre, axes, watertight, triangles, level, generator,
        notice and digital_source_type, which ``write_mesh`` puts into files.
    """
    unit = unit_named(unit)
    mesh = trimesh.Trimesh(
        vertices=surface.vertices.astype(np.float64) * UNITS_PER_WORLD_UNIT[unit],
        faces=surface.faces,
        vertex_normals=surface.vertex_normals,
        process=False,
    )
    if colors is not None:
        mesh.visual = MatteColors(mesh=mesh, vertex_colors=colors)
    if unit in _TRIMESH_UNITS:
        mesh.units = _TRIMESH_UNITS[unit]
    mesh.metadata.update(unit=unit, world_units_per_metre=1 / METERS_PER_WORLD_UNIT, axes=AXES)
    describe(mesh)
    if level is not None:
        mesh.metadata["level"] = float(level)
    mesh.metadata.update(generator=software(), notice=NOTICE, digital_source_type=source_uri(source))
    return mesh


def unit_of(mesh: trimesh.Trimesh) -> MeshUnit:
    """Return the unit of a mesh's coordinates; meters where its metadata do not say."""
    return unit_named(mesh.metadata.get("unit", "metre"))


def in_unit(mesh: trimesh.Trimesh, unit: str) -> trimesh.Trimesh:
    """Return the mesh with coordinates in another unit; the mesh itself if it has that unit.

    Raises:
        UsageError: when there is no such unit.
    """
    old, new = unit_of(mesh), unit_named(unit)
    if old == new:
        return mesh
    scaled = mesh.copy()
    scaled.apply_scale(UNITS_PER_WORLD_UNIT[new] / UNITS_PER_WORLD_UNIT[old])
    scale_targets(scaled, UNITS_PER_WORLD_UNIT[new] / UNITS_PER_WORLD_UNIT[old])
    scaled.metadata["unit"] = new
    if new in _TRIMESH_UNITS:
        scaled.units = _TRIMESH_UNITS[new]
    else:
        scaled.metadata.pop("units", None)
    return scaled


def describe(mesh: trimesh.Trimesh) -> None:
    """Update the metadata watertight and triangles; the vertices must be joined (no texture seams)."""
    mesh.metadata.update(watertight=bool(mesh.is_watertight), triangles=len(mesh.faces))


def to_surface(mesh: trimesh.Trimesh) -> Surface:
    """Return the shape in world units of a mesh that ``to_trimesh`` made or that has the same metadata."""
    scale = UNITS_PER_WORLD_UNIT[unit_of(mesh)]
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
