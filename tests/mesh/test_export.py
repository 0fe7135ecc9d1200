"""Colors painted from views, life size, and files that other programs open."""

import json
import math
import struct
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.media.provenance import NOTICE
from panohead.mesh.export import write_mesh, write_mrc
from panohead.mesh.fill_colors import filled
from panohead.mesh.gltf import srgb_to_linear
from panohead.mesh.head_mesh import HeadMesh
from panohead.mesh.settings import MeshUnit
from panohead.mesh.surface import Surface, extract_surface
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, to_trimesh
from panohead.mesh.vertex_colors import ColoringView, color_vertices

RADIUS = 0.25
INTRINSICS = torch.tensor([[4.2647, 0, 0.5], [0, 4.2647, 0.5], [0, 0, 1]])


def paint(points: Tensor) -> Tensor:
    """A smooth color in [-1, 1] that differs front to back, left to right and top to bottom."""
    return torch.sin(points * torch.tensor([9.0, 7.0, 5.0]) + torch.tensor([0.3, 0.1, -0.2]))


def orbit(yaw_deg: float, pitch_deg: float = 0.0) -> Tensor:
    """OpenCV cam2world on the sphere of radius 2.7, looking at the origin; yaw 0 on +z, positive toward +x."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    out = torch.tensor([math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
    right = torch.nn.functional.normalize(torch.linalg.cross(-out, torch.tensor([0.0, 1.0, 0.0])), dim=0)
    pose = torch.eye(4)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(-out, right), -out], dim=1)
    pose[:3, 3] = 2.7 * out
    return pose


def trace(cam2world: Tensor, size: int, spheres: list[tuple[Tensor, float]]) -> tuple[Tensor, Tensor]:
    """Points seen "size size 3" and depths along the rays "1 size size" of a scene of spheres, pixel by pixel."""
    u = (torch.arange(size) + 0.5) / size
    rows, columns = torch.meshgrid(u, u, indexing="ij")
    rays = torch.stack([(columns - 0.5) / 4.2647, (rows - 0.5) / 4.2647, torch.ones_like(u + rows)], dim=-1)
    rays = torch.nn.functional.normalize(rays @ cam2world[:3, :3].T, dim=-1)
    depth = torch.full((size, size), torch.inf)
    for center, radius in spheres:
        origin = cam2world[:3, 3] - center
        b = (rays * origin).sum(dim=-1)
        root = b**2 - (origin @ origin) + radius**2
        depth = torch.where(root > 0, torch.minimum(depth, -b - root.clamp_min(0).sqrt()), depth)
    return cam2world[:3, 3] + depth[..., None] * rays, depth[None]


def view(cam2world: Tensor, size: int = 128, depth_size: int = 48, masked: bool = True) -> ColoringView:
    points, depth = trace(cam2world, size, [(torch.zeros(3), RADIUS)])
    hit = depth[0].isfinite()
    image = torch.where(hit[..., None], paint(points), torch.ones(3)).permute(2, 0, 1)
    coarse = trace(cam2world, depth_size, [(torch.zeros(3), RADIUS)])[1]
    return ColoringView(image.contiguous(), coarse, cam2world, INTRINSICS, hit[None].float() if masked else None)


@pytest.fixture(scope="module")
def sphere() -> Surface:
    return extract_surface(lambda points: 10 + 400 * (RADIUS - points.norm(dim=1)), resolution=80)


def color_error(surface: Surface, rgb: np.ndarray) -> np.ndarray:
    truth = paint(torch.from_numpy(surface.vertices)) * 127.5 + 127.5
    return np.abs(rgb - truth.numpy()).mean(axis=1)


@pytest.mark.parametrize("masked", [True, False])
def test_painted_sphere_comes_back_from_views_all_round(sphere: Surface, masked: bool) -> None:
    poses = [orbit(yaw) for yaw in range(0, 360, 45)] + [orbit(10, 80), orbit(10, -80)]
    colors = color_vertices(sphere, (view(pose, masked=masked) for pose in poses))
    error = color_error(sphere, colors.rgb)
    assert colors.seen.all()
    assert error.mean() < 1.5
    back = sphere.vertices[:, 2] < -0.15
    assert error[back].mean() < 1.5
    assert error.max() < 12


def test_what_no_view_shows_continues_its_neighbors(sphere: Surface) -> None:
    """Harmonic: no brighter or darker than what is seen, and without jumps from vertex to vertex."""
    colors = color_vertices(sphere, [view(orbit(0))])
    z = sphere.vertices[:, 2]
    assert not colors.seen[z < 0].any()
    assert colors.seen[z > 0.15].all()
    assert color_error(sphere, colors.rgb)[z > 0.15].mean() < 1.5
    values = colors.rgb.astype(float)
    rim, back = values[colors.seen & (z < 0.2)], values[z < -0.1]
    assert (back >= rim.min(axis=0) - 2).all()
    assert (back <= rim.max(axis=0) + 2).all()
    edges = np.concatenate([sphere.faces[:, [0, 1]], sphere.faces[:, [1, 2]], sphere.faces[:, [2, 0]]])
    behind = (z[edges] < -0.02).all(axis=1)
    assert np.abs(values[edges[behind, 0]] - values[edges[behind, 1]]).max() < 12


def test_filling_is_the_membrane_of_a_direct_solution(sphere: Surface) -> None:
    """Against a dense solution of the normal equations on a small mesh."""
    mesh = trimesh.creation.icosphere(subdivisions=2)
    vertices, faces = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces)
    generator = np.random.default_rng(0)
    colors = generator.uniform(-1, 1, vertices.shape).astype(np.float32)
    trust = generator.choice([0.0, 0.3, 1.0], len(vertices), p=[0.6, 0.2, 0.2])
    found = filled(colors, trust, vertices, faces)
    adjacent = np.zeros((len(vertices), len(vertices)))
    for a, b, c in faces:
        for i, j in ((a, b), (b, c), (c, a)):
            adjacent[i, j] = adjacent[j, i] = 1
    laplacian = np.diag(adjacent.sum(axis=1)) - adjacent
    free = trust < 1
    matrix = (np.diag(trust) + 0.05 * laplacian)[free]
    right = trust[free, None] * colors[free] - matrix[:, ~free] @ colors[~free]
    expected = np.linalg.solve(matrix[:, free], right)
    np.testing.assert_array_equal(found[~free], colors[~free])
    np.testing.assert_allclose(found[free], expected, atol=5e-3)


def test_an_occluder_does_not_print_on_what_is_behind_it(sphere: Surface) -> None:
    """A small white ball before the sphere hides part of it: that part must count as unseen, not as white."""
    ball = (torch.tensor([0.0, 0.0, 0.4]), 0.08)
    points, depth = trace(orbit(0), 128, [(torch.zeros(3), RADIUS), ball])
    on_ball = (points - ball[0]).norm(dim=-1) < 0.081
    image = torch.where(on_ball[..., None], torch.ones(3), paint(points)).nan_to_num(1).permute(2, 0, 1)
    colors = color_vertices(sphere, [ColoringView(image.contiguous(), depth, orbit(0), INTRINSICS)])
    front = sphere.vertices[:, 2] > 0.15
    shadow = np.linalg.norm(sphere.vertices[:, :2], axis=1) < 0.07
    assert not colors.seen[front & shadow].any()
    assert color_error(sphere, colors.rgb)[front & colors.seen].max() < 12


def test_a_sharper_blend_trusts_the_frontal_view_more(sphere: Surface) -> None:
    """Two views 60 degrees apart, one painted black, one white: between them gray, at their centers nearly pure."""
    black, white = view(orbit(-30)), view(orbit(30))
    pair = [
        ColoringView(torch.full_like(v.image, color), v.depth, v.cam2world, v.intrinsics)
        for v, color in ((black, -1.0), (white, 1.0))
    ]
    facing_white = int((torch.from_numpy(sphere.vertices) @ white.cam2world[:3, 3]).argmax())
    middle = int(np.argmin(np.abs(sphere.vertices[:, 0]) + (sphere.vertices[:, 2] < 0.2)))
    soft, sharp = (color_vertices(sphere, pair, sharpness=k).rgb for k in (1.0, 8.0))
    # cos(0)^k against cos(60 degrees)^k (a little less in perspective): 2/3 and 256/257 of white.
    assert 160 < soft[facing_white, 0] < 185
    assert sharp[facing_white, 0] > 250
    # The vertex nearest the middle may lie half a voxel beside it, which tells at this sharpness.
    assert abs(int(soft[middle, 0]) - 127) < 6
    assert abs(int(sharp[middle, 0]) - 127) < 25


def test_views_that_miss_are_an_error(sphere: Surface) -> None:
    away = orbit(0)
    away[:3, 3] *= -1
    with pytest.raises(PanoHeadError, match="none of the views"):
        color_vertices(sphere, [ColoringView(torch.zeros(3, 8, 8), torch.ones(1, 8, 8), away, INTRINSICS)])


@pytest.fixture(scope="module")
def painted(sphere: Surface) -> trimesh.Trimesh:
    rgb = (paint(torch.from_numpy(sphere.vertices)) * 127.5 + 127.5).to(torch.uint8).numpy()
    return to_trimesh(sphere, rgb)


def test_life_size_with_unit_in_the_metadata(sphere: Surface, painted: trimesh.Trimesh) -> None:
    assert painted.metadata["unit"] == "metre"
    assert painted.metadata["watertight"] is True
    assert painted.metadata["world_units_per_metre"] == pytest.approx(1 / METERS_PER_WORLD_UNIT)
    # A head 0.56 world units high measures 23.2 cm.
    np.testing.assert_allclose(painted.extents, 2 * RADIUS / 0.56 * 0.232, rtol=1e-3)
    world = to_trimesh(sphere, unit="world")
    assert world.metadata["unit"] == "world"
    np.testing.assert_allclose(world.vertices, sphere.vertices)
    assert world.volume == pytest.approx(sphere.volume)
    np.testing.assert_allclose(painted.vertex_normals, sphere.vertex_normals, atol=1e-6)


@pytest.mark.parametrize("unit", [None, "metre", "millimetre", "world"])
@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_files_open_again(painted: trimesh.Trimesh, tmp_path: Path, suffix: str, unit: MeshUnit | None) -> None:
    path = write_mesh(painted, tmp_path / "new" / f"head{suffix}", unit=unit)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    again = trimesh.load(path, force="mesh", process=False)
    written = unit or ("millimetre" if suffix == ".stl" else "metre")
    scale = {"metre": 1, "millimetre": 1000, "world": 1 / METERS_PER_WORLD_UNIT}[written]
    np.testing.assert_allclose(again.extents, painted.extents * scale, rtol=1e-4)
    assert again.volume == pytest.approx(painted.volume * scale**3, rel=1e-4)
    assert len(again.faces) == len(painted.faces)
    if suffix == ".stl":
        return
    np.testing.assert_allclose(again.vertices, painted.vertices * scale, atol=2e-6 * scale)
    assert again.is_watertight
    expected = painted.visual.vertex_colors[:, :3]
    if suffix == ".glb":
        assert again.metadata["unit"] == written
        (again,) = trimesh.load(path, process=False).geometry.values()
        found = again.visual.vertex_attributes["color"][:, :3] / 65535
        np.testing.assert_allclose(found, srgb_to_linear(expected), atol=1e-5)
        assert again.visual.material.metallicFactor == 0
        return
    assert again.visual.kind == "vertex"
    np.testing.assert_allclose(again.visual.vertex_colors[:, :3].astype(float), expected, atol=1.01)


@pytest.mark.parametrize("colored", [True, False])
def test_3mf_holds_shape_colors_unit_and_the_notice(painted: trimesh.Trimesh, tmp_path: Path, colored: bool) -> None:
    mesh = painted if colored else to_trimesh(Surface(np.asarray(painted.vertices, np.float32), painted.faces))
    with zipfile.ZipFile(write_mesh(mesh, tmp_path / "head.3mf")) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"[Content_Types].xml", "_rels/.rels", "3D/3dmodel.model"}
        root = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
    assert root.attrib["unit"] == "millimeter"
    assert NOTICE in "".join(root.itertext())
    assert "y up" in "".join(root.itertext())
    vertices = [[float(node.attrib[axis]) for axis in "xyz"] for node in root.iter() if node.tag.endswith("}vertex")]
    np.testing.assert_allclose(vertices, mesh.vertices * 1000, atol=1e-3)
    nodes = [node.attrib for node in root.iter() if node.tag.endswith("}triangle")]
    faces = np.array([[int(node[name]) for name in ("v1", "v2", "v3")] for node in nodes])
    np.testing.assert_array_equal(faces, mesh.faces)
    palette = [node.attrib["color"] for node in root.iter() if node.tag.endswith("}color")]
    if not colored:
        assert palette == []
        return
    for node, corners in list(zip(nodes, mesh.faces, strict=True))[::97]:
        for name, vertex in zip(("p1", "p2", "p3"), corners, strict=True):
            r, g, b = mesh.visual.vertex_colors[vertex, :3]
            assert palette[int(node[name])] == f"#{r:02X}{g:02X}{b:02X}"


def test_the_mesh_writes_what_the_commands_write(painted: trimesh.Trimesh, tmp_path: Path) -> None:
    """``head.mesh().export("head.glb")``: no metal, linear colors, the mark; the same bytes as write_mesh."""
    mesh = HeadMesh.of(trimesh.Trimesh(painted.vertices, painted.faces, process=False))
    mesh.visual, mesh.vertex_normals, mesh.metadata = painted.visual.copy(), painted.vertex_normals, painted.metadata
    for suffix in ("glb", "obj", "ply", "stl", "3mf"):
        mesh.export(tmp_path / f"a.{suffix}")
        write_mesh(painted, tmp_path / f"b.{suffix}")
        content = (tmp_path / f"b.{suffix}").read_bytes()
        assert (tmp_path / f"a.{suffix}").read_bytes() == content
        assert mesh.export(file_type=suffix) == content
        with (tmp_path / "c").open("wb") as file:
            mesh.copy().export(file, file_type=suffix)
        assert (tmp_path / "c").read_bytes() == content
    assert mesh.export(file_type="off").startswith("OFF"), "other formats are trimesh's"


def test_trimesh_itself_writes_no_metal(painted: trimesh.Trimesh, tmp_path: Path) -> None:
    """A scene, or a copy that lost its class, is written by trimesh: with the material that the colors carry."""
    for what in (trimesh.Scene(painted), painted.copy()):
        what.export(tmp_path / "head.glb")
        tree, _ = read_glb(tmp_path / "head.glb")
        material = tree["materials"][tree["meshes"][0]["primitives"][0]["material"]]["pbrMetallicRoughness"]
        assert material["metallicFactor"] == 0
        assert material["roughnessFactor"] == 1


def read_glb(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, total, kind) == (b"glTF", 2, len(content), b"JSON")
    assert length % 4 == 0
    size, kind = struct.unpack_from("<I4s", content, 20 + length)
    assert (kind, size) == (b"BIN\0", len(content) - 28 - length)
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def test_glb_follows_the_format_and_says_it_is_synthetic(painted: trimesh.Trimesh, tmp_path: Path) -> None:
    tree, binary = read_glb(write_mesh(painted, tmp_path / "head.glb", unlit=True))
    assert tree["asset"]["generator"].startswith("PanoHead")
    assert tree["asset"]["extras"]["notice"] == NOTICE
    assert tree["asset"]["extras"]["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert tree["buffers"][0]["byteLength"] == len(binary)
    primitive = tree["meshes"][0]["primitives"][0]

    def values(accessor: int, dtype: str, width: int = 3) -> np.ndarray:
        part = tree["bufferViews"][tree["accessors"][accessor]["bufferView"]]
        assert part["byteOffset"] % 4 == 0
        count = part["byteLength"] // np.dtype(dtype).itemsize
        return np.frombuffer(binary, dtype, count, part["byteOffset"]).reshape(-1, width)

    position = values(primitive["attributes"]["POSITION"], "<f4")
    np.testing.assert_allclose(position, painted.vertices, atol=1e-6)
    np.testing.assert_array_equal(tree["accessors"][0]["max"], position.max(axis=0))
    assert tree["accessors"][primitive["indices"]]["componentType"] == 5123
    np.testing.assert_array_equal(values(primitive["indices"], "<u2"), painted.faces)
    assert tree["accessors"][primitive["attributes"]["COLOR_0"]]["normalized"] is True
    linear = values(primitive["attributes"]["COLOR_0"], "<u2", 4) / 65535
    assert (linear[:, 3] == 1).all()
    # Gray 188 is half the light: the textbook value of the sRGB curve.
    assert srgb_to_linear(np.array([[188, 0, 255]], np.uint8))[0] == pytest.approx([0.5029, 0, 1], abs=1e-3)
    expected = srgb_to_linear(np.asarray(painted.visual.vertex_colors)[:, :3])
    np.testing.assert_allclose(linear[:, :3], expected, atol=0.51 / 65535)
    assert tree["materials"][0]["pbrMetallicRoughness"] == {"metallicFactor": 0, "roughnessFactor": 1}


def test_many_vertices_have_wide_indices(tmp_path: Path) -> None:
    grid = trimesh.creation.icosphere(subdivisions=7)
    assert len(grid.vertices) > 65536
    tree, binary = read_glb(write_mesh(grid, tmp_path / "fine.glb"))
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["indices"]]
    assert accessor["componentType"] == 5125
    part = tree["bufferViews"][accessor["bufferView"]]
    faces = np.frombuffer(binary, "<u4", accessor["count"], part["byteOffset"]).reshape(-1, 3)
    np.testing.assert_array_equal(faces, grid.faces)


def test_meshes_without_color_are_written_too(sphere: Surface, tmp_path: Path) -> None:
    plain = to_trimesh(sphere)
    for suffix in (".glb", ".obj", ".ply"):
        again = trimesh.load(write_mesh(plain, tmp_path / f"head{suffix}"), force="mesh", process=False)
        assert len(again.vertices) == len(plain.vertices)
    tree, _ = read_glb(tmp_path / "head.glb")
    assert "COLOR_0" not in tree["meshes"][0]["primitives"][0]["attributes"]
    assert tree["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert "extensionsUsed" not in tree, "a mesh without colors needs light"


def test_text_formats_carry_the_notice(painted: trimesh.Trimesh, tmp_path: Path) -> None:
    assert f"# notice: {NOTICE}" in write_mesh(painted, tmp_path / "a.obj").read_text().splitlines()
    assert f"comment notice: {NOTICE}".encode() in write_mesh(painted, tmp_path / "a.ply").read_bytes().splitlines()
    label = write_mesh(painted, tmp_path / "a.stl").read_bytes()[:80]
    assert b"synthetic" in label
    assert b"unit millimetre, y up, face toward +z" in label
    assert not label.startswith(b"solid")


def test_errors_name_file_and_remedy(painted: trimesh.Trimesh, tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match=r"head\.fbx.*\.glb"):
        write_mesh(painted, tmp_path / "head.fbx")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PanoHeadError, match="choose another place"):
        write_mesh(painted, tmp_path / "file" / "head.glb")
    with pytest.raises(PanoHeadError, match="empty"):
        write_mesh(trimesh.Trimesh(), tmp_path / "head.glb")
    with pytest.raises(PanoHeadError, match=r"\.mrc"):
        write_mrc(np.zeros((2, 2, 2), np.float32), tmp_path / "grid.npy")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_mrc_holds_the_grid(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(3, 5, (4, 6, 5)).astype(np.float32)
    content = write_mrc(volume, tmp_path / "grid.mrc", voxel_size=0.5).read_bytes()
    header = np.frombuffer(content[:1024], "<i4")
    floats = np.frombuffer(content[:1024], "<f4")
    # Word numbers of the MRC2014 table, counted from 1.
    assert header[[0, 1, 2, 3]].tolist() == [4, 6, 5, 2]
    assert header[[7, 8, 9]].tolist() == [4, 6, 5]
    assert floats[10:16].tolist() == [2.0, 3.0, 2.5, 90, 90, 90]
    assert header[16:19].tolist() == [1, 2, 3]
    expected = [volume.min(), volume.max(), volume.mean()]
    np.testing.assert_allclose(floats[19:22], expected, rtol=1e-5)
    assert header[22:24].tolist() == [1, 0]
    assert header[27] == 20140
    assert content[208:216] == b"MAP \x44\x44\x00\x00"
    assert floats[54] == pytest.approx(volume.std(), rel=1e-5)
    assert header[55] == 1
    assert NOTICE.encode() in content[224:304]
    data = np.frombuffer(content[1024:], "<f4").reshape(5, 6, 4)
    assert data[3, 5, 1] == volume[1, 5, 3]
    np.testing.assert_array_equal(data.transpose(2, 1, 0), volume)
