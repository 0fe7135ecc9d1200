"""Textures: every texel shows what the views show there, and the files hold together."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.geometry import Camera, rays_from_camera
from panohead.media.marks import is_marked_synthetic
from panohead.mesh.export import MESH_FORMATS, Volume, write_mesh
from panohead.mesh.surface import Surface
from panohead.mesh.texture import Atlas, baked, rasterized, textured
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, joined, texture_of, to_trimesh
from panohead.mesh.vertex_colors import ColoringView

RADIUS = 0.25


def paint(points: torch.Tensor) -> torch.Tensor:
    return torch.sin(points * torch.tensor([9.0, 7.0, 5.0]) + torch.tensor([0.3, 0.1, -0.2]))


def view(yaw_deg: float, pitch_deg: float = 0.0, size: int = 128) -> ColoringView:
    camera = Camera.orbit(yaw_deg, pitch_deg)
    origins, rays = (part[0] for part in rays_from_camera(camera.expand(1), size))
    b = (origins * rays).sum(dim=1)
    root = b.square() - origins.square().sum(dim=1) + RADIUS**2
    hit = (root > 0).reshape(1, size, size)
    depth = torch.where(root > 0, -b - root.clamp_min(0).sqrt(), torch.inf)
    image = paint(origins + torch.nan_to_num(depth, posinf=0)[:, None] * rays).T.reshape(3, size, size)
    return ColoringView(image, depth.reshape(1, size, size), camera.cam2world, camera.intrinsics, hit.float())


ROUND = [view(yaw) for yaw in range(0, 360, 45)] + [view(10, 80), view(10, -80)]


def ball() -> Surface:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=RADIUS)
    return Surface(np.asarray(sphere.vertices, np.float32), np.asarray(sphere.faces))


def quilt(surface: Surface) -> Atlas:
    """Every face a triangle of its own in a square of a chessboard: the plainest atlas."""
    count = len(surface.faces)
    side = int(np.ceil(np.sqrt(count)))
    cell = np.stack([np.arange(count) % side, np.arange(count) // side], axis=1)[:, None]
    uv = (cell + np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]])) / side
    return Atlas(surface.faces.reshape(-1), np.arange(3 * count).reshape(-1, 3), uv.reshape(-1, 2).astype(np.float32))


def test_rasterizer_against_every_texel_and_face() -> None:
    generator = np.random.default_rng(0)
    atlas = Atlas(np.arange(9), np.arange(9).reshape(3, 3), generator.random((9, 2)).astype(np.float32))
    texel, face, shares = rasterized(atlas, 24)
    found = dict(zip(texel.tolist(), zip(face.tolist(), shares, strict=True), strict=True))
    for row in range(24):
        for column in range(24):
            place = np.array([(column + 0.5) / 24, 1 - (row + 0.5) / 24])
            covering = []
            for i in range(3):
                a, b, c = atlas.uv[atlas.faces[i]].astype(float)
                s, t = np.linalg.solve(np.stack([b - a, c - a], axis=1), place - a)
                if min(s, t, 1 - s - t) > 1e-4:
                    covering.append(i)
            if covering:
                number, weights = found[row * 24 + column]
                assert number in covering
                np.testing.assert_allclose(weights @ atlas.uv[atlas.faces[number]], place, atol=1e-4)
            elif row * 24 + column in found:
                assert min(found[row * 24 + column][1]) < 1e-3


@pytest.mark.parametrize("views", [ROUND, ROUND[:1]])
def test_texels_show_what_the_views_show(views: list[ColoringView]) -> None:
    surface = ball()
    atlas, size = quilt(surface), 1024
    grey = np.full(surface.vertices.shape, 77, np.uint8)
    normals = surface.vertices / RADIUS
    pixels = baked(surface, normals.astype(np.float32), grey, atlas, views, size)
    texel, face, shares = rasterized(atlas, size)
    points = np.einsum("tk,tkc->tc", shares, surface.vertices[surface.faces[face]])
    truth = paint(torch.from_numpy(points).float()).numpy() * 127.5 + 127.5
    error = np.abs(pixels.reshape(-1, 3)[texel] - truth).mean(axis=1)
    if len(views) > 1:
        assert error.mean() < 2
        assert np.quantile(error, 0.99) < 8
    else:
        assert error[points[:, 2] > 0.15].mean() < 2
        assert (pixels.reshape(-1, 3)[texel][points[:, 2] < -0.05] == 77).all(), "unseen: the vertex colors"
    # Nothing stays black: the rest copies its neighbors.
    assert (pixels.reshape(-1, 3).max(axis=1) > 0).all()


def glb(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    assert length % 4 == 0
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def check_glb(path: Path) -> dict:
    """What the format demands of sizes, alignment, bounds and references."""
    tree, binary = glb(path)
    assert tree["buffers"] == [{"byteLength": len(binary)}]
    assert len(binary) % 4 == 0
    parts = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
    values = []
    for accessor in tree["accessors"]:
        part = tree["bufferViews"][accessor["bufferView"]]
        width = parts[accessor["type"]]
        assert part["byteOffset"] % 4 == 0
        assert part["byteOffset"] + part["byteLength"] <= len(binary)
        dtype = {5126: "<f4", 5125: "<u4", 5123: "<u2"}[accessor["componentType"]]
        assert part["byteLength"] == accessor["count"] * width * np.dtype(dtype).itemsize
        array = np.frombuffer(binary, dtype, accessor["count"] * width, part["byteOffset"]).reshape(-1, width)
        assert np.isfinite(array).all()
        for name in ("min", "max"):
            if name in accessor:
                np.testing.assert_array_equal(np.float32(accessor[name]), getattr(array, name)(axis=0))
        values.append(array)
    primitive = tree["meshes"][0]["primitives"][0]
    attributes = primitive["attributes"]
    assert {"min", "max"} <= set(tree["accessors"][attributes["POSITION"]])
    assert len({len(values[i]) for i in attributes.values()}) == 1
    assert values[primitive["indices"]].max() < len(values[attributes["POSITION"]])
    np.testing.assert_allclose(np.linalg.norm(values[attributes["NORMAL"]], axis=1), 1, atol=1e-5)
    for name in attributes:
        assert name in ("POSITION", "NORMAL", "TEXCOORD_0", "COLOR_0") or name.startswith("_")
    return {name: values[i] for name, i in attributes.items()}


def by_hand() -> trimesh.Trimesh:
    """A textured ball without xatlas: a quilt of faces, each in the color of its number."""
    pytest.importorskip("PIL")
    surface = ball()
    mesh = to_trimesh(surface, np.full(surface.vertices.shape, 90, np.uint8), level=10)
    mesh.vertex_attributes["seen"] = np.linspace(0, 1, len(mesh.vertices), dtype=np.float32)
    return mesh


def with_quilt(monkeypatch: pytest.MonkeyPatch, size: int = 256) -> trimesh.Trimesh:
    monkeypatch.setattr("panohead.mesh.texture.laid_flat", quilt)
    return textured(by_hand(), ROUND, size)


def test_textured_glb_is_sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mesh = with_quilt(monkeypatch)
    path = write_mesh(mesh, tmp_path / "head.glb")
    attributes = check_glb(path)
    assert set(attributes) == {"POSITION", "NORMAL", "TEXCOORD_0", "_SEEN"}
    np.testing.assert_allclose(attributes["_SEEN"][:, 0], mesh.vertex_attributes["seen"])
    extras = glb(path)[0]["asset"]["extras"]
    assert extras["unit"] == "metre"
    assert extras["axes"] == "y up, face toward +z"
    assert extras["watertight"] is True
    assert extras["triangles"] == len(mesh.faces)
    assert extras["level"] == 10
    again = trimesh.load(path, force="mesh", process=False)
    uv, image = texture_of(again)
    np.testing.assert_allclose(uv, mesh.visual.uv, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(mesh.visual.material.baseColorTexture))


def test_textured_obj_comes_with_material_and_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mesh = with_quilt(monkeypatch)
    write_mesh(mesh, tmp_path / "my head.obj")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my head.obj", "my_head.mtl", "my_head.png"]
    assert is_marked_synthetic(tmp_path / "my_head.png")
    with Image.open(tmp_path / "my_head.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(mesh.visual.material.baseColorTexture))
    text = (tmp_path / "my head.obj").read_text().splitlines()
    assert "# unit: metre" in text
    again = trimesh.load(tmp_path / "my head.obj", force="mesh", process=False)
    assert again.visual.material.image.size == (256, 256)
    assert len(again.faces) == len(mesh.faces)
    np.testing.assert_allclose(again.triangles, mesh.triangles, atol=2e-6)


def test_joining_undoes_the_cuts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mesh = with_quilt(monkeypatch)
    whole = joined(mesh)
    assert whole.is_watertight
    assert len(whole.vertices) == len(ball().vertices)
    assert (whole.visual.vertex_colors[:, 0] == 90).all()
    again = trimesh.load(write_mesh(mesh, tmp_path / "head.ply"), process=False)
    assert again.is_watertight
    assert b"comment watertight: True" in (tmp_path / "head.ply").read_bytes()
    assert again.extents == pytest.approx([2 * RADIUS * METERS_PER_WORLD_UNIT] * 3, rel=1e-2)


def test_xatlas_lays_a_closed_mesh_flat(tmp_path: Path) -> None:
    pytest.importorskip("xatlas")
    mesh = textured(by_hand(), ROUND, 128)
    assert mesh.visual.uv.min() >= 0
    assert mesh.visual.uv.max() <= 1
    assert joined(mesh).is_watertight
    check_glb(write_mesh(mesh, tmp_path / "head.glb"))


def test_colored_glb_is_sound(tmp_path: Path) -> None:
    attributes = check_glb(write_mesh(by_hand(), tmp_path / "head.glb", unlit=True))
    assert set(attributes) == {"POSITION", "NORMAL", "COLOR_0", "_SEEN"}


def test_one_list_of_formats(tmp_path: Path) -> None:
    from typing import get_args, get_type_hints

    from panohead.cli.generate import Generate

    assert get_args(get_args(get_type_hints(Generate)["mesh"])[0]) == MESH_FORMATS
    volume = Volume(np.zeros((4, 4, 4), np.float32), 0.1)
    for suffix in MESH_FORMATS:
        if suffix == "usdz":
            continue  # an extra: tests/mesh/test_usdz.py
        assert write_mesh(by_hand(), tmp_path / f"a.{suffix}", volume=volume).stat().st_size > 0
    with pytest.raises(PanoHeadError, match="density"):
        write_mesh(by_hand(), tmp_path / "b.mrc")


def test_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(PanoHeadError, match=r"panohead\[texture\]"):
        textured(by_hand(), ROUND, 64)
    with pytest.raises(PanoHeadError, match="16 to 8192"):
        textured(by_hand(), ROUND, 4)
