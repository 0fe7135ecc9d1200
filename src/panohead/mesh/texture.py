"""Textures instead of vertex colors: the surface laid flat (xatlas), every texel painted from rendered views.

A texel knows its point and normal on the surface, so it is painted exactly as a vertex is
(:mod:`panohead.mesh.vertex_colors`): by the views that show it, weighted by their angle. Texels that no view shows take
the color of the vertices around them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Float32, Int, UInt8
from PIL import Image
from scipy import ndimage
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from panohead.errors import PanoHeadError
from panohead.limits import TEXTURE_SIDE, TEXTURED_TRIANGLES
from panohead.mesh.surface import Surface
from panohead.mesh.trimesh_object import to_surface, vertex_rgb
from panohead.mesh.vertex_colors import DEFAULT_SHARPNESS, ColoringView, blend_views, color_vertices, quantized
from panohead.system.optional import failure_of

_PADDING = 4
# Beside views of this much weight (one at 80 degrees from the normal) the vertex colors count as much.
_VERTEX_WEIGHT = 1e-3
_CANDIDATES = 2**21


@dataclass(frozen=True)
class Atlas:
    """A mesh cut open and laid flat; vertices on a cut are doubled."""

    origin: Int[np.ndarray, " vertex"]
    """Index of the mesh's vertex for each vertex."""
    faces: Int[np.ndarray, "face 3"]
    """Faces, in the order of the mesh's."""
    uv: Float32[np.ndarray, "vertex 2"]
    """Texture coordinates, 0 to 1, v upward; charts do not overlap."""


def textured(
    mesh: trimesh.Trimesh, views: Iterable[ColoringView], size: int = 1024, *, sharpness: float = DEFAULT_SHARPNESS
) -> trimesh.Trimesh:
    """Return the mesh with texture coordinates and a square sRGB texture of ``size`` pixels per side.

    Vertices are doubled along cuts, so faces are joined by position only; ``watertight`` in the metadata speaks of the
    shape. The vertex colors stay in ``visual.vertex_attributes["color"]``, vertex attributes with their vertices.

    Args:
        mesh: as ``to_trimesh`` makes it; number of triangles within :data:`panohead.limits.TEXTURED_TRIANGLES`.
        views: in world units, as for vertex colors.
        size: within :data:`panohead.limits.TEXTURE_SIDE`.
        sharpness: power of the cosine between view and normal by which views are weighted.

    Raises:
        UsageError: when the size is out of range.
        PanoHeadError: when xatlas is missing, there are too many triangles, or no view shows the mesh.
    """
    size = TEXTURE_SIDE.whole(size, "the size of a texture")
    if len(mesh.faces) > TEXTURED_TRIANGLES.high:
        sentence = (
            f"a texture needs at most {TEXTURED_TRIANGLES.high:.0f} triangles, and the mesh has {len(mesh.faces)}"
        )
        raise PanoHeadError(f"{sentence}; simplify it first")
    surface, views, normals = to_surface(mesh), list(views), np.array(mesh.vertex_normals, np.float32)
    rgb = vertex_rgb(mesh)
    if rgb is None:
        rgb = color_vertices(surface, views, sharpness=sharpness).rgb
    atlas = laid_flat(surface)
    pixels = baked(surface, normals, rgb, atlas, views, size, sharpness)
    material = PBRMaterial(
        name="head", baseColorTexture=Image.fromarray(pixels), metallicFactor=0.0, roughnessFactor=1.0
    )
    visual = TextureVisuals(uv=atlas.uv.astype(np.float64), material=material)
    visual.vertex_attributes["color"] = np.c_[rgb, np.full(len(rgb), 255, np.uint8)][atlas.origin]
    new = trimesh.Trimesh(
        vertices=mesh.vertices[atlas.origin],
        faces=atlas.faces,
        vertex_normals=normals[atlas.origin],
        vertex_attributes={name: np.asarray(values)[atlas.origin] for name, values in mesh.vertex_attributes.items()},
        visual=visual,
        metadata={**mesh.metadata, "texture_size": size},
        process=False,
    )
    if mesh.units is not None:
        new.units = mesh.units
    return new


def laid_flat(surface: Surface) -> Atlas:
    """Compute texture coordinates by xatlas.

    Raises:
        PanoHeadError: when it is not installed.
    """
    try:
        import xatlas
    except ImportError as error:
        failure = failure_of("xatlas", error)
        sentence = f"a texture needs the package xatlas, and {failure.reason}; run: {failure.remedy}"
        raise PanoHeadError(sentence) from error
    options = xatlas.PackOptions()
    options.padding, options.bilinear = _PADDING, True
    work = xatlas.Atlas()
    work.add_mesh(surface.vertices.astype(np.float32), surface.faces.astype(np.uint32))
    work.generate(xatlas.ChartOptions(), options, False)
    origin, faces, uv = work.get_mesh(0)
    return Atlas(origin.astype(np.int64), faces.astype(np.int64), np.clip(uv, 0, 1).astype(np.float32))


def baked(
    surface: Surface,
    normals: Float32[np.ndarray, "vertex 3"],
    rgb: UInt8[np.ndarray, "vertex 3"],
    atlas: Atlas,
    views: Iterable[ColoringView],
    size: int,
    sharpness: float = DEFAULT_SHARPNESS,
) -> UInt8[np.ndarray, "size size 3"]:
    """Paint the texture, first row at the top (v = 1).

    Texels outside all charts copy the nearest one inside, so that neither interpolation nor mipmaps show a seam.
    """
    texel, face, shares = rasterized(atlas, size)
    corners = atlas.origin[atlas.faces[face]]

    def mixed(values: np.ndarray) -> torch.Tensor:
        # texel corner, texel corner channel -> texel channel
        return torch.from_numpy(np.einsum("tk,tkc->tc", shares, values[corners].astype(np.float32)))

    points, directions = mixed(surface.vertices), torch.nn.functional.normalize(mixed(normals), dim=1)
    color, total = blend_views(points, directions, views, sharpness=sharpness)
    base = mixed(rgb.astype(np.float32) / 127.5 - 1)
    color = (color + _VERTEX_WEIGHT * base) / (total + _VERTEX_WEIGHT)[:, None]
    pixels = np.zeros((size * size, 3), np.uint8)
    pixels[texel] = quantized(color)
    # Index of the nearest painted texel for every texel.
    empty = np.ones((size, size), bool)
    empty.reshape(-1)[texel] = False
    rows, columns = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    filled: np.ndarray = pixels.reshape(size, size, 3)[rows, columns]
    return filled


def rasterized(
    atlas: Atlas, size: int
) -> tuple[Int[np.ndarray, " texel"], Int[np.ndarray, " texel"], Float32[np.ndarray, "texel 3"]]:
    """Find the texels whose center lies in a face, each once.

    All texels of the faces' bounding boxes are tried, some millions at a time.

    Returns:
        Flat index in the image, index of the face, barycentric weights of its corners.
    """
    # Texel coordinates, row 0 at the top; the center of texel (i, j) lies at (i, j): vertex 2, then face corner 2.
    place = (atlas.uv.astype(np.float64) * [1, -1] + [0, 1]) * size - 0.5
    corners = place[atlas.faces]
    low = np.clip(np.ceil(corners.min(axis=1)).astype(np.int64), 0, size - 1)
    high = np.clip(np.floor(corners.max(axis=1)).astype(np.int64), -1, size - 1)
    extent = np.maximum(high - low + 1, 0)
    tries = extent.prod(axis=1)  # texels in each bounding box
    ends = np.cumsum(tries)
    cuts = np.searchsorted(ends, np.arange(_CANDIDATES, ends[-1], _CANDIDATES), side="right")
    parts = [_covered(corners, low, extent, part, size) for part in np.split(np.arange(len(tries)), cuts) if len(part)]
    texel, face, shares = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    texel, first = np.unique(texel, return_index=True)
    return texel, face[first], shares[first]


def _covered(
    corners: Float[np.ndarray, "face 3 2"],
    low: Int[np.ndarray, "face 2"],
    extent: Int[np.ndarray, "face 2"],
    part: Int[np.ndarray, " some_face"],
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tries = extent[part].prod(axis=1)
    face = np.repeat(part, tries)
    number = np.arange(len(face)) - np.repeat(np.cumsum(tries) - tries, tries)
    column = low[face, 0] + number % np.maximum(extent[face, 0], 1)
    row = low[face, 1] + number // np.maximum(extent[face, 0], 1)
    a, b, c = (corners[face, k] for k in range(3))
    center = np.stack([column, row], axis=1)
    # Barycentric weights: signed areas of the three triangles with the center, over that of the face.
    area = _cross(b - a, c - a)
    shares = np.stack(
        [_cross(b - center, c - center), _cross(c - center, a - center), _cross(a - center, b - center)], 1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = shares / area[:, None]
    inside = (np.abs(area) > 1e-12) & (shares >= -1e-6).all(axis=1)
    return (row * size + column)[inside], face[inside], shares[inside].astype(np.float32)


def _cross(a: Float[np.ndarray, "texel 2"], b: Float[np.ndarray, "texel 2"]) -> Float[np.ndarray, " texel"]:
    cross: np.ndarray = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return cross
