"""USDZ packages (extra ``usd``): what usd-core reads back is what went in. The rest runs without it."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from panohead.errors import PanoHeadError
from panohead.media.marks import read_mark
from panohead.mesh.export import write_mesh
from panohead.mesh.gltf import srgb_to_linear
from panohead.mesh.gltf_morphs import Clip
from panohead.mesh.morph_targets import set_targets, targets_of
from panohead.mesh.surface import Surface
from panohead.mesh.trimesh_object import to_trimesh


@pytest.fixture
def head() -> trimesh.Trimesh:
    """A colored sphere with two targets."""
    ball = trimesh.creation.icosphere(2, radius=0.2)
    surface = Surface(np.asarray(ball.vertices, np.float32), np.asarray(ball.faces))
    colors = np.arange(3 * len(ball.vertices)).reshape(-1, 3).astype(np.uint8)
    mesh = to_trimesh(surface, colors)
    up = np.zeros((len(ball.vertices), 3), np.float32)
    up[np.asarray(ball.vertices)[:, 1] > 0.1, 1] = 0.01
    set_targets(mesh, {"jawOpen": up, "mouthPucker": -2 * up})
    return mesh


def test_shape_colors_targets_and_animation_come_back(head: trimesh.Trimesh, tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdSkel

    clip = Clip("recording", [0.0, 0.5], [{"jawOpen": 0.0}, {"jawOpen": 0.75}])
    path = write_mesh(head, tmp_path / "head.usdz", clips=[clip])
    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (0, 15, 30)
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/head/mesh"))
    np.testing.assert_allclose(np.array(mesh.GetPointsAttr().Get()), head.vertices, atol=1e-6)
    np.testing.assert_array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), head.faces)
    colors = np.asarray(head.visual.vertex_colors)[:, :3]
    np.testing.assert_allclose(np.array(mesh.GetDisplayColorAttr().Get()), srgb_to_linear(colors), atol=1e-6)
    names = list(UsdSkel.BindingAPI(mesh).GetBlendShapesAttr().Get())
    assert names == ["jawOpen", "mouthPucker"]
    shape = UsdSkel.BlendShape(stage.GetPrimAtPath("/head/mesh/mouthPucker"))
    places = np.array(shape.GetPointIndicesAttr().Get())
    np.testing.assert_array_equal(places, np.flatnonzero(targets_of(head)["mouthPucker"].any(axis=1)))
    np.testing.assert_allclose(np.array(shape.GetOffsetsAttr().Get()), [[0, -0.02, 0]] * len(places), atol=1e-6)
    weights = UsdSkel.Animation(stage.GetPrimAtPath("/head/recording")).GetBlendShapeWeightsAttr()
    np.testing.assert_allclose(weights.Get(15), [0.75, 0])
    mark = read_mark(path)
    assert (mark.notice, mark.term) == (True, "trainedAlgorithmicMedia")
    validation = pytest.importorskip("pxr.UsdValidation")  # usd-core 25 and later
    known = validation.ValidationRegistry().GetOrLoadAllValidators()
    found = validation.ValidationContext(known).Validate(stage)
    assert [(error.GetName(), error.GetMessage()) for error in found] == []


def test_a_missing_package_is_said(head: trimesh.Trimesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(PanoHeadError, match=r"\.usdz files need usd-core"):
        write_mesh(head, tmp_path / "head.usdz")
    assert not (tmp_path / "head.usdz").exists()
