"""From a surface to a file: colours painted from rendered views, scale in metres, GLB, OBJ, PLY, STL and MRC.

Meshes leave the package y up with the face toward +z, which is also what glTF asks for ("+Y up, the front faces +Z").
"""

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.spatial import cKDTree
from torch import Tensor
from trimesh.exchange.obj import export_obj
from trimesh.exchange.ply import export_ply
from trimesh.exchange.stl import export_stl
from trimesh.visual.color import ColorVisuals

from panohead.errors import PanoHeadError
from panohead.media.atomic import atomic_path
from panohead.media.provenance import NOTICE, SourceType, software, source_uri
from panohead.mesh import Surface

METRES_PER_WORLD_UNIT = 0.232 / 0.56
"""A canonical head is about 0.56 world units from chin to top, an adult one 0.232 m: an average, not a measurement."""

_SYNTHETIC: SourceType = "trainedAlgorithmicMedia"
# Below this sum of weights (a single view at 84 degrees from the normal) a vertex counts as unseen.
_SEEN = 1e-4


@dataclass(frozen=True)
class View:
    """One rendered picture of the head, with what is needed to project a point into it (geometry/camera.py)."""

    image: Float[Tensor, "3 height width"]
    """[-1, 1]."""
    depth: Float[Tensor, "1 depth_height depth_width"]
    """World units along unit rays; may be coarser than the image; not finite where nothing is."""
    cam2world: Float[Tensor, "4 4"]
    """OpenCV camera axes: x right, y down, z forward."""
    intrinsics: Float[Tensor, "3 3"]
    """Divided by the image size."""
    mask: Float[Tensor, "1 mask_height mask_width"] | None = None
    """[0, 1], foreground; keeps background colour from the outline."""


@dataclass(frozen=True)
class VertexColours:
    """sRGB colours of vertices, and which of them some view has shown (the others copy the nearest that was)."""

    rgb: UInt8[np.ndarray, "vertex 3"]
    seen: Bool[np.ndarray, " vertex"]


def colour_vertices(
    surface: Surface, views: Iterable[View], *, sharpness: float = 4.0, depth_tolerance: float = 0.02
) -> VertexColours:
    """Paint each vertex with the mean of the views that see it, weighted by cos(angle to the normal)^sharpness.

    A view sees a vertex that faces it and lies at most ``depth_tolerance`` world units behind its depth map (the weight
    falls to 0 at twice that). Views are used one at a time, so a generator keeps memory flat.
    Raises PanoHeadError if no vertex is seen at all.
    """
    points, normals = torch.from_numpy(surface.vertices), torch.from_numpy(surface.vertex_normals)
    total, colour = torch.zeros(len(points)), torch.zeros(len(points), 3)
    for view in views:
        weights, seen_colour = _look(points, normals, view, sharpness, depth_tolerance)
        total += weights
        colour += weights[:, None] * seen_colour
    seen = (total > _SEEN).numpy()
    if not seen.any():
        raise PanoHeadError("none of the views shows the mesh, so it cannot be coloured; check cameras and depth maps")
    rgb = ((colour / total.clamp_min(1e-12)[:, None]) * 127.5 + 128).clamp(0, 255).to(torch.uint8).numpy()
    if not seen.all():
        _, nearest = cKDTree(surface.vertices[seen]).query(surface.vertices[~seen])
        rgb[~seen] = rgb[seen][nearest]
    return VertexColours(rgb, seen)


def _look(
    points: Float[Tensor, "vertex 3"],
    normals: Float[Tensor, "vertex 3"],
    view: View,
    sharpness: float,
    depth_tolerance: float,
) -> tuple[Float[Tensor, " vertex"], Float[Tensor, "vertex 3"]]:
    """Weight and colour, in [-1, 1], that one view gives to each vertex."""
    cam2world, intrinsics = view.cam2world.float().cpu(), view.intrinsics.float().cpu()
    ray = points - cam2world[:3, 3]
    distance = ray.norm(dim=1)
    local = ray @ cam2world[:3, :3]
    ahead = local[:, 2] > 1e-6
    pixel = (local / local[:, 2:].clamp_min(1e-6)) @ intrinsics.T
    place = pixel[None, None, :, :2] * 2 - 1

    def sample(picture: Tensor, mode: str) -> Tensor:
        picture = picture.float().cpu()[None]
        return F.grid_sample(picture, place, mode=mode, padding_mode="border", align_corners=False)[0, :, 0].T

    facing = -(ray * normals).sum(dim=1) / distance
    weights = facing.clamp_min(0) ** sharpness * ahead * (place[0, 0].abs() < 1).all(dim=1)
    # The nearest depth in 3 x 3 pixels: beside an occluding edge it is safer to see nothing than the wrong thing.
    depth = torch.nan_to_num(view.depth.float().cpu(), nan=1e6, posinf=1e6)
    nearest = -F.max_pool2d(-depth, 3, stride=1, padding=1)
    behind = (distance - sample(nearest, "nearest")[:, 0]) / depth_tolerance
    weights = weights * (2 - behind).clamp(0, 1)
    if view.mask is not None:
        inner = -F.max_pool2d(-view.mask.float().cpu(), 3, stride=1, padding=1)
        weights = weights * sample(inner, "nearest")[:, 0].clamp(0, 1)
    return weights, sample(view.image, "bilinear")


def to_trimesh(
    surface: Surface,
    colours: UInt8[np.ndarray, "vertex 3"] | None = None,
    *,
    unit: Literal["metre", "world"] = "metre",
    source: SourceType = _SYNTHETIC,
) -> trimesh.Trimesh:
    """The surface as a ``trimesh.Trimesh``, y up, face toward +z, with sRGB vertex colours.

    unit: "metre" (life size, see METRES_PER_WORLD_UNIT) or "world". ``mesh.metadata`` holds unit,
    world_units_per_metre, watertight, generator, notice and digital_source_type, which ``write_mesh`` puts into files.
    """
    scale = METRES_PER_WORLD_UNIT if unit == "metre" else 1.0
    mesh = trimesh.Trimesh(
        vertices=surface.vertices.astype(np.float64) * scale,
        faces=surface.faces,
        vertex_normals=surface.vertex_normals,
        vertex_colors=colours,
        process=False,
    )
    if unit == "metre":
        mesh.units = "meters"
    mesh.metadata.update(
        unit=unit,
        world_units_per_metre=1 / METRES_PER_WORLD_UNIT,
        watertight=bool(mesh.is_watertight),
        generator=software(),
        notice=NOTICE,
        digital_source_type=source_uri(source),
    )
    return mesh


def write_mesh(mesh: trimesh.Trimesh, path: str | Path, *, unlit: bool = False) -> Path:
    """Write a mesh, atomically, in the format of the suffix.

    ``.glb``: colours (linear floats, as glTF prescribes), normals, metadata. ``.obj``: colours behind the coordinates.
    ``.ply``: binary, 8-bit colours. ``.stl``: shape only.
    unlit: GLB only; say that the light is already in the colours (KHR_materials_unlit), so that web viewers and Blender
    show them as they are. Off by default, because trimesh then reads the colours as visual.vertex_attributes["color"].
    Raises PanoHeadError: unknown suffix, empty mesh, folder that cannot be written.
    """
    path = Path(path)
    encode = _ENCODERS.get(path.suffix.lower())
    if encode is None:
        known = ", ".join(_ENCODERS)
        raise PanoHeadError(f"{path}: cannot write meshes of type '{path.suffix}'; use one of {known}")
    if len(mesh.faces) == 0:
        raise PanoHeadError(f"{path}: the mesh is empty; there is nothing to write")
    content = _glb(mesh, unlit=unlit) if path.suffix.lower() == ".glb" else encode(mesh)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def _colours(mesh: trimesh.Trimesh) -> UInt8[np.ndarray, "vertex 3"] | None:
    if not isinstance(mesh.visual, ColorVisuals) or mesh.visual.kind is None:
        return None
    return np.asarray(mesh.visual.vertex_colors)[:, :3].astype(np.uint8)


def srgb_to_linear(rgb: UInt8[np.ndarray, "vertex 3"]) -> Float32[np.ndarray, "vertex 3"]:
    """The sRGB transfer function (IEC 61966-2-1), 0..255 to linear 0..1."""
    level = np.arange(256) / 255
    table = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return table.astype(np.float32)[rgb]


def _glb(mesh: trimesh.Trimesh, unlit: bool = False) -> bytes:
    """glTF 2.0 binary. trimesh would write sRGB bytes where the format asks for linear values: pale heads."""
    vertices, faces = mesh.vertices.astype("<f4"), mesh.faces.astype("<u4")
    arrays: dict[str, np.ndarray] = {"POSITION": vertices, "NORMAL": mesh.vertex_normals.astype("<f4")}
    colours = _colours(mesh)
    if colours is not None:
        arrays["COLOR_0"] = srgb_to_linear(colours).astype("<f4")
    accessors: list[dict[str, Any]] = [
        {"bufferView": i, "componentType": 5126, "count": len(array), "type": "VEC3"}
        for i, array in enumerate(arrays.values())
    ]
    accessors[0] |= {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()}
    accessors.append({"bufferView": len(arrays), "componentType": 5125, "count": faces.size, "type": "SCALAR"})
    blobs = [*(array.tobytes() for array in arrays.values()), faces.tobytes()]
    starts = np.cumsum([0, *map(len, blobs)]).tolist()
    views = [{"buffer": 0, "byteOffset": s, "byteLength": len(b)} for s, b in zip(starts[:-1], blobs, strict=True)]
    attributes = {name: i for i, name in enumerate(arrays)}
    primitive: dict[str, Any] = {"attributes": attributes, "indices": len(arrays), "mode": 4}
    metadata = _plain(mesh.metadata)
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": software(), "extras": metadata},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "head", "mesh": 0}],
        "meshes": [{"name": "head", "primitives": [primitive], "extras": metadata}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": starts[-1]}],
    }
    if unlit:
        primitive["material"] = 0
        surface = {"metallicFactor": 0, "roughnessFactor": 1}  # for viewers that do not know the extension
        tree["materials"] = [{"pbrMetallicRoughness": surface, "extensions": {"KHR_materials_unlit": {}}}]
        tree["extensionsUsed"] = ["KHR_materials_unlit"]
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + starts[-1]
    head = struct.pack("<4sII", b"glTF", 2, total) + struct.pack("<I4s", len(text), b"JSON") + text
    return b"".join([head, struct.pack("<I4s", starts[-1], b"BIN\0"), *blobs])


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold of a mesh's metadata."""
    return {str(key): value for key, value in metadata.items() if isinstance(value, str | bool | int | float)}


def _comments(mesh: trimesh.Trimesh) -> list[str]:
    return [" ".join(f"{key}: {value}".split()) for key, value in _plain(mesh.metadata).items()]


def _obj(mesh: trimesh.Trimesh) -> bytes:
    text: str = export_obj(mesh, include_color=_colours(mesh) is not None, digits=6, header=None)
    return "".join([*(f"# {line}\n" for line in _comments(mesh)), text]).encode()


def _ply(mesh: trimesh.Trimesh) -> bytes:
    content: bytes = export_ply(mesh)
    head, mark, rest = content.partition(b"\nelement vertex")
    return head + "".join(f"\ncomment {line}" for line in _comments(mesh)).encode() + mark + rest


def _stl(mesh: trimesh.Trimesh) -> bytes:
    content: bytes = export_stl(mesh)
    label = f"{software()}, unit {mesh.metadata.get('unit', 'unknown')}, synthetic".encode("ascii", "replace")
    return label[:80].ljust(80) + content[80:]


_ENCODERS: dict[str, Callable[[trimesh.Trimesh], bytes]] = {".glb": _glb, ".obj": _obj, ".ply": _ply, ".stl": _stl}


def write_mrc(volume: Float[np.ndarray, "x y z"], path: str | Path, voxel_size: float = 1.0) -> Path:
    """Write a density grid as MRC2014 (mode 2, 32-bit floats, x fastest), which ChimeraX and other volume viewers open.

    voxel_size: node spacing, nominally in angstrom; viewers only need it to be positive.
    """
    path = Path(path)
    if path.suffix.lower() not in (".mrc", ".map"):
        raise PanoHeadError(f"{path}: density grids are written as .mrc; use a name with that suffix")
    volume = volume.astype(np.float32, copy=False)
    size = volume.shape
    mean = float(volume.mean(dtype=np.float64))
    deviation = float(np.sqrt(np.mean([np.square(plane - mean, dtype=np.float64).mean() for plane in volume])))
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, *size, 2, 0, 0, 0, *size)
    struct.pack_into("<6f", header, 40, *(n * voxel_size for n in size), 90, 90, 90)
    struct.pack_into("<3i3f2i", header, 64, 1, 2, 3, float(volume.min()), float(volume.max()), mean, 1, 0)
    struct.pack_into("<i", header, 108, 20140)
    struct.pack_into("<4s4Bfi80s", header, 208, b"MAP ", 0x44, 0x44, 0, 0, deviation, 1, NOTICE.encode().ljust(80))
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        for plane in volume.transpose(2, 1, 0):
            file.write(np.ascontiguousarray(plane, dtype="<f4").data)
    return path
