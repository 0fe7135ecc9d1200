"""Mesh files: GLB, OBJ with MTL and PNG, PLY, STL, 3MF, and the density itself as MRC.

Meshes leave the package y up with the face toward +z, as glTF asks for ("+Y up, the front faces +Z"). GLB, OBJ and PLY
have the mesh's own unit; STL and 3MF, which printers read, are in millimeters. All of them state the orientation.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, Float32
from trimesh.exchange.obj import export_obj
from trimesh.exchange.ply import export_ply
from trimesh.exchange.stl import export_stl

from panohead.errors import PanoHeadError
from panohead.files.regular import path_of
from panohead.media.provenance import NOTICE, software
from panohead.mesh.gltf import encode_glb, plain_metadata, png_bytes
from panohead.mesh.gltf_morphs import Clip
from panohead.mesh.morph_targets import without_targets
from panohead.mesh.settings import MeshUnit
from panohead.mesh.threemf import encode_3mf
from panohead.mesh.trimesh_object import (
    AXES,
    METERS_PER_WORLD_UNIT,
    in_unit,
    joined,
    texture_of,
    to_trimesh,
    unit_of,
    vertex_rgb,
)
from panohead.system.atomic_write import atomic_path

__all__ = ["MESH_FORMATS", "METERS_PER_WORLD_UNIT", "Volume", "to_trimesh", "write_mesh", "write_mrc"]

MESH_FORMATS = ("glb", "obj", "ply", "stl", "3mf", "usdz", "mrc")
"""Suffixes that :func:`write_mesh` knows."""


_FOR_PRINTERS = ("stl", "3mf")
_MOVING = ("glb", "usdz")
"""Formats that keep morph targets."""


@dataclass(frozen=True)
class Volume:
    """Raw density at the nodes of a regular grid."""

    density: Float32[np.ndarray, "x y z"]
    spacing: float
    """Distance between nodes in world units."""


def write_mesh(
    mesh: trimesh.Trimesh | None,
    path: str | Path,
    *,
    unit: MeshUnit | None = None,
    unlit: bool | None = None,
    volume: Volume | None = None,
    clips: Sequence[Clip] = (),
) -> Path:
    """Write a mesh, atomically, in the format of the suffix (one of MESH_FORMATS).

    ``.glb``: texture, or colors (linear, as glTF prescribes, in 16 bits); normals, vertex attributes such as ``_SEEN``,
    metadata. ``.obj``: texture in ``NAME.mtl`` and ``NAME.png`` beside it, or colors behind the coordinates.
    ``.ply``: binary, 8-bit colors, vertex attributes. ``.stl``: shape only. ``.3mf``: shape and colors. ``.usdz``
    (extra ``usd``): as GLB, with one animation. ``.mrc``: not the mesh but ``volume``.

    Args:
        mesh: y up, as ``to_trimesh`` makes it; None where only the volume is written.
        path: file to write.
        unit: unit of the file's coordinates; None keeps the mesh's, but gives STL and 3MF millimeters.
        unlit: GLB and USDZ only; say that the light is already in the colors (KHR_materials_unlit), so that web viewers
            and Blender show them as they are. None: meshes with colors or a texture. False: a matte material under the
            viewer's lights.
        volume: density for an MRC file.
        clips: GLB and USDZ only; animations of a mesh with morph targets, instead of a blink and an idle one.

    Returns:
        The path.

    Raises:
        UsageError: for a unit that does not exist.
        PanoHeadError: when the suffix is unknown, the mesh is empty, an MRC has no volume, or the folder cannot be
            written.
    """
    path, suffix = Path(path), check_mesh_path(path, volume=True)
    if suffix == "mrc":
        if volume is None:
            raise PanoHeadError(f"{path}: an MRC file holds the density, not the surface; give a volume")
        return write_mrc(volume.density, path, volume.spacing)
    if mesh is None or len(mesh.faces) == 0:
        raise PanoHeadError(f"{path}: the mesh is empty; there is nothing to write")
    if suffix == "obj" and texture_of(mesh) is not None:
        return _write_textured_obj(mesh if unit is None else in_unit(mesh, unit), path)
    return _write(encoded(mesh, suffix, unit=unit, unlit=unlit, clips=clips), path)


def check_mesh_path(path: str | Path, *, volume: bool = False) -> str:
    """Return the format of a mesh file by its suffix, without a dot.

    Args:
        path: file to write.
        volume: density volumes are allowed too.

    Raises:
        UsageError: for what is no path.
        PanoHeadError: when no such format is written.
    """
    suffix = path_of(path).suffix.lower().removeprefix(".")
    formats = [name for name in MESH_FORMATS if volume or name != "mrc"]
    if suffix not in formats:
        known = ", ".join(f".{name}" for name in formats)
        raise PanoHeadError(f"{path}: cannot write meshes of type '{Path(path).suffix}'; use one of {known}")
    return suffix


def encoded(
    mesh: trimesh.Trimesh,
    kind: str,
    *,
    unit: MeshUnit | None = None,
    unlit: bool | None = None,
    clips: Sequence[Clip] = (),
) -> bytes:
    """Return the content of a mesh file.

    Args:
        mesh: as of :func:`write_mesh`; not empty.
        kind: "glb", "obj" (without a texture), "ply", "stl", "3mf" or "usdz".
        unit, unlit, clips: see :func:`write_mesh`.
    """
    if kind not in _MOVING:
        mesh = without_targets(mesh)
    if kind in _FOR_PRINTERS:
        life_size = unit_of(mesh) != "world"
        mesh = in_unit(mesh, unit or ("millimetre" if life_size else "world"))
    elif unit is not None:
        mesh = in_unit(mesh, unit)
    if kind == "usdz":
        from panohead.mesh.usdz import encode_usdz

        return encode_usdz(mesh, unlit, clips)
    return encode_glb(mesh, unlit, clips) if kind == "glb" else _ENCODERS[kind](mesh)


def _write(content: bytes, path: Path) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def _comments(mesh: trimesh.Trimesh) -> list[str]:
    return [" ".join(f"{key}: {value}".split()) for key, value in plain_metadata(mesh).items()]


def _obj(mesh: trimesh.Trimesh) -> bytes:
    text: str = export_obj(mesh, include_color=vertex_rgb(mesh) is not None, digits=6, header=None)
    return "".join([*(f"# {line}\n" for line in _comments(mesh)), text]).encode()


def _write_textured_obj(mesh: trimesh.Trimesh, path: Path) -> Path:
    """OBJ, MTL and PNG. The OBJ comes last: when it is there, all it names is there."""
    # Material names end at a space for many readers.
    name = "_".join(path.stem.split())
    texture, texture_file = texture_of(mesh), path.with_name(f"{name}.png")
    assert texture is not None
    uv, image = texture
    _write(png_bytes(image), texture_file)
    comments = "".join(f"# {line}\n" for line in _comments(mesh))
    material = f"newmtl head\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd {texture_file.name}\n"
    _write((comments + material).encode(), path.with_name(f"{name}.mtl"))
    lines = [comments, f"mtllib {name}.mtl\no head\n"]
    for tag, rows, digits in (("v", mesh.vertices, 6), ("vt", uv, 6), ("vn", mesh.vertex_normals, 4)):
        lines += [f"{tag} {' '.join(f'{value:.{digits}f}' for value in row)}\n" for row in rows.tolist()]
    lines.append("usemtl head\n")
    lines += [f"f {a}/{a}/{a} {b}/{b}/{b} {c}/{c}/{c}\n" for a, b, c in (mesh.faces + 1).tolist()]
    return _write("".join(lines).encode(), path)


def _ply(mesh: trimesh.Trimesh) -> bytes:
    content: bytes = export_ply(joined(mesh))
    head, mark, rest = content.partition(b"\nelement vertex")
    return head + "".join(f"\ncomment {line}" for line in _comments(mesh)).encode() + mark + rest


def _stl(mesh: trimesh.Trimesh) -> bytes:
    content: bytes = export_stl(mesh)
    label = f"{software()}, unit {unit_of(mesh)}, {mesh.metadata.get('axes', AXES)}, synthetic".encode(
        "ascii", "replace"
    )
    return label[:80].ljust(80) + content[80:]


def _3mf(mesh: trimesh.Trimesh) -> bytes:
    whole = joined(mesh)
    return encode_3mf(np.asarray(whole.vertices), np.asarray(whole.faces), vertex_rgb(whole), plain_metadata(mesh))


_ENCODERS: dict[str, Callable[[trimesh.Trimesh], bytes]] = {"obj": _obj, "ply": _ply, "stl": _stl, "3mf": _3mf}


def write_mrc(volume: Float[np.ndarray, "x y z"], path: str | Path, voxel_size: float = 1.0) -> Path:
    """Write a density grid as MRC2014 (mode 2, 32-bit floats, x fastest), which ChimeraX and other volume viewers open.

    Args:
        volume: raw density.
        path: file to write, .mrc or .map.
        voxel_size: node spacing, nominally in angstrom; viewers only need it to be positive.

    Raises:
        PanoHeadError: when the suffix is another, or the file cannot be written.
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
