"""glTF 2.0 binary files (GLB) of colored or textured heads.

Written here because trimesh would store sRGB bytes as vertex colors where the format asks for linear values: pale
heads. Colors are 16-bit normalized integers (8 bits of a linear value would band in dark hair), indices 16-bit where
they fit; positions and normals stay floats, which every reader of the format takes. Beyond positions, normals and
colors a vertex may carry application-specific attributes, whose names start with an underscore: ``seen`` becomes
``_SEEN``.
"""

import io
import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float32, UInt8, UInt16
from PIL import Image

from panohead.media.provenance import SourceType, image_metadata, software
from panohead.mesh.gltf_binary import INDICES, Binary
from panohead.mesh.gltf_morphs import Clip, add_morphs
from panohead.mesh.morph_targets import targets_of
from panohead.mesh.trimesh_object import texture_of, vertex_rgb

_SYNTHETIC: SourceType = "trainedAlgorithmicMedia"
_MAX_SHORT_INDEX = 65534  # 65535 would restart the primitive
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071


def srgb_to_linear(rgb: UInt8[np.ndarray, "vertex 3"]) -> Float32[np.ndarray, "vertex 3"]:
    """Apply the sRGB transfer function (IEC 61966-2-1), 0..255 to linear 0..1."""
    level = np.arange(256) / 255  # every 8-bit value once
    table = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return table.astype(np.float32)[rgb]


def linear_rgba16(rgb: UInt8[np.ndarray, "vertex 3"]) -> UInt16[np.ndarray, "vertex 4"]:
    """Return sRGB colors as COLOR_0 stores them: linear, opaque, 0 to 65535 for 0 to 1."""
    linear = np.rint(srgb_to_linear(rgb) * 65535)
    return np.concatenate([linear, np.full((len(rgb), 1), 65535)], axis=1).astype("<u2")


def plain_metadata(mesh: trimesh.Trimesh) -> dict[str, Any]:
    """Return the entries of a mesh's metadata that JSON can hold."""
    return {str(key): value for key, value in mesh.metadata.items() if isinstance(value, str | bool | int | float)}


def png_bytes(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG file, marked as synthetic."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "png", **image_metadata(".png", _SYNTHETIC))
    return buffer.getvalue()


def encode_glb(mesh: trimesh.Trimesh, unlit: bool | None = None, clips: Sequence[Clip] = ()) -> bytes:
    """Return the content of a .glb file.

    Args:
        mesh: y up; texture, or vertex colors.
        unlit: the light is already in the colors (KHR_materials_unlit); None for meshes that have colors.
        clips: animations of a mesh with morph targets; none gives it a blink and an idle one.
    """
    texture = texture_of(mesh)
    if unlit is None:
        unlit = texture is not None or vertex_rgb(mesh) is not None
    binary = Binary()
    attributes = {
        name: binary.add_array(values, bounds=name == "POSITION") for name, values in _attributes(mesh).items()
    }
    narrow = len(mesh.vertices) <= _MAX_SHORT_INDEX + 1
    indices = binary.add_array(mesh.faces.astype("<u2" if narrow else "<u4").reshape(-1), INDICES)
    primitive: dict[str, Any] = {"attributes": attributes, "indices": indices, "mode": 4, "material": 0}
    metadata = plain_metadata(mesh)
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": software(), "extras": metadata},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "head", "mesh": 0}],
        "meshes": [{"name": "head", "primitives": [primitive], "extras": metadata}],
    }
    # Without a material the format's default applies: a metal, black in many viewers.
    tree |= _material(binary, None if texture is None else texture[1], unlit)
    if targets_of(mesh):
        # Parted lips show the insides of cheeks, a closed lid folds: both sides are drawn.
        tree["materials"][0]["doubleSided"] = True
        add_morphs(binary, tree, mesh, clips)
    tree["accessors"] = binary.accessors
    tree["bufferViews"] = binary.views
    tree["buffers"] = [{"byteLength": len(binary.content)}]
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary.content)
    head = struct.pack("<4sII", b"glTF", 2, total) + struct.pack("<I4s", len(text), b"JSON") + text
    return b"".join([head, struct.pack("<I4s", len(binary.content), b"BIN\0"), binary.content])


def _attributes(mesh: trimesh.Trimesh) -> dict[str, np.ndarray]:
    normals = np.array(mesh.vertex_normals, np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    # A vertex whose faces have no area has no normal; the format asks for one of unit length all the same.
    normals = np.where(length > 1e-6, normals / np.maximum(length, 1e-6), [0, 0, 1])
    arrays = {"POSITION": mesh.vertices.astype("<f4"), "NORMAL": normals.astype("<f4")}
    texture, colors = texture_of(mesh), vertex_rgb(mesh)
    if texture is not None:
        arrays["TEXCOORD_0"] = (texture[0] * [1, -1] + [0, 1]).astype("<f4")  # v runs downward in glTF
    elif colors is not None:
        arrays["COLOR_0"] = linear_rgba16(colors)
    for name, values in mesh.vertex_attributes.items():
        if np.ndim(values) == 1 and np.issubdtype(np.asarray(values).dtype, np.number):
            arrays["_" + name.lstrip("_").upper()] = np.asarray(values).astype("<f4")
    return arrays


def _material(binary: Binary, image: Image.Image | None, unlit: bool) -> dict[str, Any]:
    surface: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 1}
    material: dict[str, Any] = {"name": "head", "pbrMetallicRoughness": surface}
    parts: dict[str, Any] = {"materials": [material]}
    if image is not None:
        surface["baseColorTexture"] = {"index": 0}
        clamped = {"wrapS": _CLAMP_TO_EDGE, "wrapT": _CLAMP_TO_EDGE}
        parts["textures"] = [{"sampler": 0, "source": 0}]
        parts["samplers"] = [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, **clamped}]
        parts["images"] = [{"name": "head", "bufferView": binary.add(png_bytes(image)), "mimeType": "image/png"}]
    if unlit:
        material["extensions"] = {"KHR_materials_unlit": {}}
        parts["extensionsUsed"] = ["KHR_materials_unlit"]
    return parts
