# SPDX-License-Identifier: GPL-3.0-or-later
"""The optional quality tier: color by Blender's path tracer Cycles, geometry by the package's own renderer."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from jaxtyping import Float, Float32
from mathutils import Matrix

from panohead.synthetic.head import SyntheticHead
from panohead.synthetic.mesh import Material, Part, Strands
from panohead.synthetic.renderer.lighting import Lighting
from panohead.synthetic.renderer.render import Rendered, render
from panohead.synthetic.renderer.scene import Scene
from panohead.synthetic.views import PersonView

_SAMPLES = 8
_ROUGHNESS = {
    Material.SKIN: 0.45,
    Material.EYE: 0.06,
    Material.CLOTH: 0.9,
    Material.TEETH: 0.2,
    Material.FRAME: 0.3,
    Material.LENS: 0.05,
}


class CyclesRenderer:
    """Renderer of one loaded head; each call renders one view with 8 samples per pixel and Intel's denoiser."""

    def __init__(self, head: SyntheticHead, scene: Scene) -> None:
        self.scene = scene
        self.blender = _empty_scene()
        for part in head.parts:
            _add_part(self.blender, part)
        material = _hair_material()
        for strands in head.strands:
            _add_strands(self.blender, strands, material)

    def __call__(self, view: PersonView, lighting: Lighting, resolution: int, focal: float) -> Rendered:
        """Render the layers of :func:`panohead.synthetic.renderer.render.render`; only the color is different."""
        geometry = render(self.scene, view, lighting, resolution, focal)
        settings, camera = self.blender.render, self.blender.camera
        settings.resolution_x = settings.resolution_y = resolution
        camera.data.angle = 2 * float(np.arctan(0.5 / focal))
        camera.matrix_world = Matrix((view.cam2world() @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist())
        _set_world(self.blender, lighting)
        with tempfile.TemporaryDirectory() as folder:
            settings.filepath = str(Path(folder) / "view.exr")
            bpy.ops.render.render(write_still=True)
            image = bpy.data.images.load(settings.filepath)
            pixels = np.empty(resolution * resolution * 4, np.float32)
            image.pixels.foreach_get(pixels)
            bpy.data.images.remove(image)
        rgba = pixels.reshape(resolution, resolution, 4)[::-1]
        # Blender's own alpha is not denoised; the color is composited with the mask that the labels promise.
        alpha = np.maximum(rgba[..., 3:], 1e-3)
        color = np.where(rgba[..., 3:] > 0.02, rgba[..., :3] / alpha, geometry.color / _safe(geometry.mask))
        return replace(geometry, color=(color * geometry.mask[..., None]).astype(np.float32))


def _safe(mask: Float32[np.ndarray, "height width"]) -> Float32[np.ndarray, "height width 1"]:
    return np.maximum(mask, np.float32(1e-3))[..., None]


def _empty_scene() -> Any:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling = "CPU", _SAMPLES, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 6, 2, 2
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.filter_width, cycles.seed = 1.3, 0
    render_settings = scene.render
    render_settings.threads_mode, render_settings.threads = "FIXED", 1
    render_settings.film_transparent = render_settings.use_persistent_data = True
    render_settings.image_settings.file_format = "OPEN_EXR"
    render_settings.image_settings.color_mode = "RGBA"
    scene.cycles_curves.shape = "RIBBONS"
    scene.view_settings.view_transform = "Standard"
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.clip_start, camera.data.clip_end = 0.1, 20
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


def _add_part(scene: Any, part: Part) -> None:
    mesh = bpy.data.meshes.new(part.material.name)
    count = len(part.triangles)
    mesh.vertices.add(len(part.vertices))
    mesh.vertices.foreach_set("co", part.vertices.astype(np.float32).ravel())
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", part.triangles.astype(np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    mesh.update(calc_edges=True)
    mesh.polygons.foreach_set("use_smooth", np.ones(count, bool))
    color = mesh.attributes.new("albedo", "FLOAT_COLOR", "POINT")
    color.data.foreach_set("color", _opaque(part.albedo))
    mesh.materials.append(_surface_material(part.material))
    scene.collection.objects.link(bpy.data.objects.new(part.material.name, mesh))


def _add_strands(scene: Any, strands: Strands, material: Any) -> None:
    count, steps = strands.points.shape[:2]
    curves = bpy.data.hair_curves.new("hair")
    curves.add_curves([steps] * count)
    curves.attributes["position"].data.foreach_set("vector", strands.points.astype(np.float32).ravel())
    along = np.linspace(0, 1, steps)
    taper = np.minimum(1, (1.02 - along) * 4) * 0.75 + 0.25 * (1 - along)
    radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.tile(strands.radius * taper, count).astype(np.float32))
    color = curves.attributes.new("albedo", "FLOAT_COLOR", "CURVE")
    color.data.foreach_set("color", _opaque(np.clip(strands.albedo, 0.004, 0.9)))
    curves.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("hair", curves))


def _opaque(color: Float[np.ndarray, "point 3"]) -> Float32[np.ndarray, "value"]:
    return np.concatenate([color, np.ones((len(color), 1))], 1).astype(np.float32).ravel()


def _nodes(name: str) -> tuple[Any, Any, Any]:
    """Return a new material, its node tree, and the node that reads the albedo attribute."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes.clear()
    attribute = material.node_tree.nodes.new("ShaderNodeAttribute")
    attribute.attribute_name = "albedo"
    return material, material.node_tree, attribute


def _surface_material(kind: Material) -> Any:
    material, tree, attribute = _nodes(kind.name)
    output, shader = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeBsdfPrincipled")
    tree.links.new(attribute.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    shader.inputs["Roughness"].default_value = _ROUGHNESS[kind]
    if kind is Material.SKIN:
        shader.inputs["Subsurface Weight"].default_value = 1.0
        shader.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
        shader.inputs["Subsurface Scale"].default_value = 0.012
    elif kind is Material.EYE:
        shader.inputs["Coat Weight"].default_value = 0.5
        shader.inputs["Coat Roughness"].default_value = 0.02
    elif kind is Material.CLOTH:
        shader.inputs["Sheen Weight"].default_value = 0.3
    return material


def _hair_material() -> Any:
    material, tree, attribute = _nodes("hair")
    output, shader = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeBsdfHairPrincipled")
    shader.model, shader.parametrization = "CHIANG", "COLOR"
    tree.links.new(attribute.outputs["Color"], shader.inputs["Color"])
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    shader.inputs["Roughness"].default_value, shader.inputs["Radial Roughness"].default_value = 0.35, 0.45
    return material


def _set_world(scene: Any, lighting: Lighting, height: int = 64) -> None:
    """Set the lighting as an environment image. Our y is up, Blender's z is: directions are taken in its mapping."""
    v, u = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(2 * height) + 0.5) / (2 * height), indexing="ij")
    latitude, longitude = np.pi * (v - 0.5), -2 * np.pi * (u - 0.5)
    ring = np.cos(latitude)
    directions = np.stack([ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude)], -1).reshape(-1, 3)
    world = bpy.data.worlds.new("light")
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    for old in [image for image in bpy.data.images if image.name.startswith("light")]:
        bpy.data.images.remove(old)
    image = bpy.data.images.new("light", 2 * height, height, float_buffer=True)
    image.colorspace_settings.name = "Linear Rec.709"
    image.pixels.foreach_set(_opaque(lighting.radiance(directions)))
    image.pack()
    texture, background = nodes.new("ShaderNodeTexEnvironment"), nodes.new("ShaderNodeBackground")
    texture.image = image
    links.new(texture.outputs[0], background.inputs[0])
    links.new(background.outputs[0], nodes.new("ShaderNodeOutputWorld").inputs[0])
    scene.world = world
