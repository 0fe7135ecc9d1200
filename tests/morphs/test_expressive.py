"""Targets of a surface whose true expressions are known: that of a synthetic person."""

import json
import struct
from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from panohead.errors import UsageError
from panohead.mesh.export import encoded
from panohead.mesh.head_mesh import HeadMesh
from panohead.mesh.morph_targets import moved, targets_of
from panohead.mesh.settings import MeshSettings
from panohead.mesh.surface import Surface
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, in_unit
from panohead.morphs.base_fit import FRAMING, to_head_frame
from panohead.morphs.expressive import ExpressiveSurface, expressive_surface
from panohead.morphs.morph_mesh import morph_mesh
from panohead.synthetic.basis import head_basis
from panohead.synthetic.expressions import EXPRESSION_UNITS
from panohead.synthetic.mesh import compact
from panohead.synthetic.people import sample_person
from panohead.synthetic.shape import head_shapes

MM = METERS_PER_WORLD_UNIT * 1000


def closed_mouth(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Triangles from lip to lip, as an extracted surface has them: it knows no gap."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs, count = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    rim = np.unique(pairs[count == 1])
    dm = to_head_frame(vertices[rim].astype(np.float64))
    mouth = (np.abs(dm[:, 0]) < 0.4) & (dm[:, 1] > 6.4) & (dm[:, 2] > 1.2)
    rim, dm = rim[mouth], dm[mouth]
    order = np.argsort(dm[:, 0])
    middle = np.interp(dm[:, 0], dm[order, 0], np.convolve(np.pad(dm[order, 1], 4, "edge"), np.full(9, 1 / 9), "valid"))
    upper, lower = (rim[k][np.argsort(dm[k, 0])] for k in (dm[:, 1] >= middle, dm[:, 1] < middle))
    strip, i, j = [], 0, 0
    while i + 1 < len(upper) or j + 1 < len(lower):
        up = vertices[upper[i + 1], 0] if i + 1 < len(upper) else np.inf
        low = vertices[lower[j + 1], 0] if j + 1 < len(lower) else np.inf
        if up < low:
            strip.append((upper[i], lower[j], upper[i + 1]))
            i += 1
        else:
            strip.append((upper[i], lower[j], lower[j + 1]))
            j += 1
    return np.concatenate([faces, np.array(strip)])


@cache
def person() -> tuple[Surface, np.ndarray, dict[str, np.ndarray]]:
    """The outer skin of one person as a closed-mouthed surface, its fine vertices, and true offsets of some names."""
    basis = head_basis()
    names = ("jawOpen", "mouthSmileLeft", "browInnerUp", "mouthPucker", "cheekPuff")
    still, *shapes = (
        FRAMING.to_world(basis.subdivide(shape))
        for shape in head_shapes(sample_person(7, 3), [{}, *({name: 1.0} for name in names)])
    )
    outer = ~(basis.masks["inside-mouth"][basis.middle_triangles] > 0.5).any(axis=1)
    used, faces = compact(basis.middle_triangles[outer], still)
    skin = still[used].astype(np.float32)
    surface = Surface(skin, closed_mouth(skin, faces))
    return surface, used, {name: shape[used] - still[used] for name, shape in zip(names, shapes, strict=True)}


@cache
def expressive() -> ExpressiveSurface:
    return expressive_surface(person()[0], None)


def test_zero_weights_are_the_surface_itself() -> None:
    surface, made = person()[0], expressive()
    np.testing.assert_array_equal(made.surface.vertices[: len(surface.vertices)], surface.vertices)
    extra = made.surface.vertices[len(surface.vertices) : made.outer_count]
    distance, _ = cKDTree(surface.vertices).query(extra)
    assert distance.max() * MM < 6
    assert tuple(made.offsets) == EXPRESSION_UNITS


def test_targets_are_the_true_expressions() -> None:
    surface, _, truth = person()
    made = expressive()
    for name, true in truth.items():
        found = made.offsets[name][: len(surface.vertices)]
        size = np.linalg.norm(true, axis=1)
        moving = size * MM > 1
        error = np.linalg.norm(found - true, axis=1)
        assert moving.sum() > 20, name
        assert error[moving].mean() < 0.25 * size[moving].mean(), name
        assert error[~moving].mean() * MM < 0.2, name


def test_left_is_the_persons_left_and_sides_mirror() -> None:
    made = expressive()
    x = made.surface.vertices[: made.outer_count, 0]
    for pair in ("mouthSmile", "eyeBlink", "browDown", "noseSneer", "mouthFrown"):
        for side, sign in (("Left", 1), ("Right", -1)):
            size = np.linalg.norm(made.offsets[pair + side][: made.outer_count], axis=1)
            assert (size * x).sum() * sign > 0.3 * (size * np.abs(x)).sum(), pair + side


def test_lips_part_and_the_mouth_is_behind_them() -> None:
    made = expressive()
    assert len(made.pairs) > 20
    jaw = made.offsets["jawOpen"]
    gap = (jaw[made.pairs[:, 0], 1] - jaw[made.pairs[:, 1], 1]) * MM
    assert gap.max() > 20
    np.testing.assert_array_equal(made.surface.vertices[made.pairs[:, 0]], made.surface.vertices[made.pairs[:, 1]])
    # Closed lips hide everything: from the front nothing inside lies before the outer surface.
    outer = made.outer
    front = outer.vertices[outer.vertex_normals[:, 2] > 0.3]
    inside = made.surface.vertices[made.outer_count :]
    rims = sum(len(part.vertices) for part in made.inner if part.source is not None)
    _, nearest = cKDTree(front[:, :2]).query(inside[rims:, :2])
    assert ((front[nearest, 2] - inside[rims:, 2]) * MM).min() > 1
    # Hardly a triangle of the face bridges the open mouth: without the cut it would be hundreds.
    faces = made.surface.faces[: made.outer_faces]
    before, after = made.surface.vertices[faces], (made.surface.vertices + jaw)[faces]
    edges = [np.linalg.norm(x - np.roll(x, 1, axis=1), axis=2).max(axis=1) for x in (before, after)]
    stretch = ((edges[1] - edges[0]) * MM)[made.outer.vertices[faces].mean(axis=1)[:, 2] > 0.15]
    # This person's lips overlap a little, so that a few triangles of the closed mouth belong to both.
    assert (stretch > 14).sum() <= 15


@cache
def mesh() -> HeadMesh:
    return morph_mesh(person()[0], None, [])


def glb() -> tuple[dict, bytes]:
    content = encoded(mesh(), "glb")
    length = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def test_glb_has_named_sparse_targets_and_two_animations() -> None:
    tree, binary = glb()
    head = tree["meshes"][0]
    assert tuple(head["extras"]["targetNames"]) == EXPRESSION_UNITS
    assert head["weights"] == [0.0] * 52
    assert head["extras"]["morph_convention"] == "ARKit"
    assert [clip["name"] for clip in tree["animations"]] == ["blink", "idle"]
    targets = targets_of(mesh())
    for name, target in zip(EXPRESSION_UNITS, head["primitives"][0]["targets"], strict=True):
        accessor = tree["accessors"][target["POSITION"]]
        dense = np.zeros((accessor["count"], 3), np.float32)
        sparse = accessor["sparse"]
        views = [tree["bufferViews"][sparse[part]["bufferView"]] for part in ("indices", "values")]
        kind = {5123: "<u2", 5125: "<u4"}[sparse["indices"]["componentType"]]
        places, values = (
            np.frombuffer(binary, dtype, view["byteLength"] // np.dtype(dtype).itemsize, view["byteOffset"])
            for view, dtype in zip(views, (kind, "<f4"), strict=True)
        )
        assert (np.diff(places.astype(int)) > 0).all()
        dense[places] = values.reshape(-1, 3)
        np.testing.assert_allclose(dense, targets[name], atol=2e-4)
        np.testing.assert_allclose(accessor["max"], dense.max(axis=0), atol=1e-7)
        np.testing.assert_allclose(accessor["min"], dense.min(axis=0), atol=1e-7)
        assert len(places) < 0.8 * accessor["count"]


def test_other_units_and_formats() -> None:
    made = mesh()
    assert made.metadata["lips_part"]
    assert made.metadata["basis_distance_mm"] < 1
    larger = in_unit(made, "millimetre")
    np.testing.assert_allclose(targets_of(larger)["jawOpen"], 1000 * targets_of(made)["jawOpen"], rtol=1e-5)
    np.testing.assert_array_equal(moved(made, {}), np.asarray(made.vertices, np.float32))
    assert b"target" not in encoded(made, "ply")[:3000]
    with pytest.raises(UsageError, match="does not go with morphs"):
        MeshSettings(morphs=True, texture=64)
