"""USDZ packages of heads (extra ``usd``): Apple's Quick Look, Blender, Houdini, Omniverse.

Two layers: ``head.usda``, text with what the file is, and beneath it ``geometry.usdc``. Morph targets are UsdSkel blend
shapes under ARKit's names, with one animation of their weights; a skeleton of one joint goes with them, without which
readers ignore blend shapes.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from panohead.errors import PanoHeadError
from panohead.files.regular import read_regular
from panohead.mesh.gltf import plain_metadata, png_bytes, srgb_to_linear
from panohead.mesh.gltf_morphs import Clip, idle_clip
from panohead.mesh.morph_targets import moving_places, targets_of
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, UNITS_PER_WORLD_UNIT, texture_of, unit_of, vertex_rgb
from panohead.system.optional import failure_of

_RATE = 30.0
"""Time codes a second."""
_COLOR, _UV = "displayColor", "st"


def encode_usdz(mesh: trimesh.Trimesh, unlit: bool | None = None, clips: Sequence[Clip] = ()) -> bytes:
    """Return the content of a .usdz file.

    Args:
        mesh: y up; texture, or vertex colors.
        unlit: the light is already in the colors, which are shown as they are; None for meshes that have colors.
        clips: animations of a mesh with morph targets, of which the format plays the first; none gives it an idle one.

    Raises:
        PanoHeadError: when usd-core cannot be imported.
    """
    pxr = import_usd()
    with tempfile.TemporaryDirectory(prefix="panohead-") as place:
        folder = Path(place)
        stage = pxr.Usd.Stage.CreateNew(str(folder / "geometry.usdc"))
        _Writer(pxr, stage, mesh, folder).write(unlit, clips)
        stage.GetRootLayer().Save()
        root = pxr.Sdf.Layer.CreateNew(str(folder / "head.usda"))
        root.subLayerPaths.append("./geometry.usdc")
        root.defaultPrim = "head"
        about = {key: value if isinstance(value, str) else repr(value) for key, value in plain_metadata(mesh).items()}
        root.customLayerData = about
        # A root layer does not take these from the layers beneath it.
        root.pseudoRoot.SetInfo("upAxis", "Y")
        root.pseudoRoot.SetInfo("metersPerUnit", METERS_PER_WORLD_UNIT / UNITS_PER_WORLD_UNIT[unit_of(mesh)])
        for name in ("startTimeCode", "endTimeCode", "timeCodesPerSecond"):
            if stage.GetRootLayer().pseudoRoot.HasInfo(name):
                root.pseudoRoot.SetInfo(name, stage.GetRootLayer().pseudoRoot.GetInfo(name))
        root.Save()
        package = folder / "head.usdz"
        if not pxr.UsdUtils.CreateNewUsdzPackage(str(folder / "head.usda"), str(package)):
            raise PanoHeadError("usd-core could not make the .usdz file; its messages are above")
        return read_regular(package)


def import_usd() -> Any:
    """Import usd-core and return its package ``pxr``.

    Raises:
        PanoHeadError: when it cannot be imported, with the reason and the remedy here.
    """
    try:
        import pxr
        from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, UsdSkel, UsdUtils, Vt  # noqa: F401
    except ImportError as error:
        failure = failure_of("pxr", error)
        raise PanoHeadError(
            f".usdz files need usd-core, and {failure.reason}: {failure.remedy}; or take glb"
        ) from error
    return pxr


class _Writer:
    """One stage."""

    def __init__(self, pxr: Any, stage: Any, mesh: trimesh.Trimesh, folder: Path) -> None:
        self.pxr, self.stage, self.source, self.folder = pxr, stage, mesh, folder
        self.targets = targets_of(mesh)

    def write(self, unlit: bool | None, clips: Sequence[Clip]) -> None:
        geometry, skel = self.pxr.UsdGeom, self.pxr.UsdSkel
        root = (skel.Root if self.targets else geometry.Xform).Define(self.stage, "/head")
        self.stage.SetDefaultPrim(root.GetPrim())
        mesh = geometry.Mesh.Define(self.stage, "/head/mesh")
        self._shape(mesh)
        texture, colors = texture_of(self.source), vertex_rgb(self.source)
        api = geometry.PrimvarsAPI(mesh)
        types = self.pxr.Sdf.ValueTypeNames
        if texture is not None:
            (self.folder / "texture.png").write_bytes(png_bytes(texture[1]))
            values = self.pxr.Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(texture[0], np.float32))
            api.CreatePrimvar(_UV, types.TexCoord2fArray, geometry.Tokens.vertex).Set(values)
        elif colors is not None:
            mesh.CreateDisplayColorPrimvar(geometry.Tokens.vertex).Set(self._vectors(srgb_to_linear(colors)))
        if texture is not None or colors is not None:
            self._material(mesh, texture is not None, True if unlit is None else unlit)
        if self.targets:
            self._blend_shapes(mesh, clips[0] if clips else idle_clip())

    def _vectors(self, values: np.ndarray) -> Any:
        return self.pxr.Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values, np.float32))

    def _shape(self, mesh: Any) -> None:
        points, faces = np.asarray(self.source.vertices, np.float32), np.asarray(self.source.faces, np.int32)
        integers = self.pxr.Vt.IntArray.FromNumpy
        mesh.CreatePointsAttr(self._vectors(points))
        mesh.CreateFaceVertexCountsAttr(integers(np.full(len(faces), 3, np.int32)))
        mesh.CreateFaceVertexIndicesAttr(integers(np.ascontiguousarray(faces.ravel())))
        mesh.CreateNormalsAttr(self._vectors(np.asarray(self.source.vertex_normals)))
        mesh.SetNormalsInterpolation(self.pxr.UsdGeom.Tokens.vertex)
        mesh.CreateSubdivisionSchemeAttr(self.pxr.UsdGeom.Tokens.none)
        mesh.CreateExtentAttr(self._vectors(np.stack([points.min(axis=0), points.max(axis=0)])))
        mesh.CreateDoubleSidedAttr(bool(self.targets))

    def _material(self, mesh: Any, textured: bool, unlit: bool) -> None:
        """Bind a matte material; unlit colors are emitted, so that no light of the viewer changes them."""
        shade, types = self.pxr.UsdShade, self.pxr.Sdf.ValueTypeNames
        material = shade.Material.Define(self.stage, "/head/material")
        surface = shade.Shader.Define(self.stage, "/head/material/surface")
        surface.CreateIdAttr("UsdPreviewSurface")
        surface.CreateInput("roughness", types.Float).Set(1.0)
        surface.CreateInput("metallic", types.Float).Set(0.0)
        reader = shade.Shader.Define(self.stage, "/head/material/reader")
        reader.CreateIdAttr("UsdPrimvarReader_float2" if textured else "UsdPrimvarReader_float3")
        reader.CreateInput("varname", types.String).Set(_UV if textured else _COLOR)
        color = reader.CreateOutput("result", types.Float2 if textured else types.Float3)
        if textured:
            image = shade.Shader.Define(self.stage, "/head/material/image")
            image.CreateIdAttr("UsdUVTexture")
            image.CreateInput("file", types.Asset).Set("./texture.png")
            image.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
            image.CreateInput("st", types.Float2).ConnectToSource(color)
            color = image.CreateOutput("rgb", types.Float3)
        shown, other = ("emissiveColor", "diffuseColor") if unlit else ("diffuseColor", "emissiveColor")
        surface.CreateInput(shown, types.Color3f).ConnectToSource(color)
        surface.CreateInput(other, types.Color3f).Set((0.0, 0.0, 0.0))
        material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
        shade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)

    def _blend_shapes(self, mesh: Any, clip: Clip) -> None:
        skel, names = self.pxr.UsdSkel, list(self.targets)
        paths = []
        for name, offsets in self.targets.items():
            shape = skel.BlendShape.Define(self.stage, f"/head/mesh/{name}")
            places = moving_places(self.source, offsets)
            shape.CreateOffsetsAttr(self._vectors(offsets[places]))
            shape.CreatePointIndicesAttr(self.pxr.Vt.IntArray.FromNumpy(places.astype(np.int32)))
            paths.append(shape.GetPath())
        skeleton = skel.Skeleton.Define(self.stage, "/head/skeleton")
        still = self.pxr.Vt.Matrix4dArray([self.pxr.Gf.Matrix4d(1.0)])
        skeleton.CreateJointsAttr(["root"])
        skeleton.CreateBindTransformsAttr(still)
        skeleton.CreateRestTransformsAttr(still)
        animation = skel.Animation.Define(self.stage, f"/head/{clip.name}")
        animation.CreateBlendShapesAttr(names)
        weights = animation.CreateBlendShapeWeightsAttr()
        for time, frame in zip(clip.times, clip.weights, strict=True):
            values = np.array([float(frame.get(name, 0.0)) for name in names], np.float32)
            weights.Set(self.pxr.Vt.FloatArray.FromNumpy(values), time * _RATE)
        binding = skel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateBlendShapesAttr(names)
        binding.CreateBlendShapeTargetsRel().SetTargets(paths)
        binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        skel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
        self.stage.SetTimeCodesPerSecond(_RATE)
        self.stage.SetStartTimeCode(0.0)
        self.stage.SetEndTimeCode(max(clip.times) * _RATE)
