"""Radiance of each needed point toward the camera: wrapped diffuse and GGX for surfaces, three lobes for hair.

Skin scatters: red light uses the soft normal and wraps far around the terminator, blue hardly (a per-channel
stand-in for subsurface scattering). Hair follows Marschner et al. (2003) in simple Gaussian lobes: R white, TT and
TRT colored. Diffuse light comes from all baked directions, highlights from the eight brightest.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32

from panohead.ops.cpu.jit import jit
from panohead.synthetic.mesh import Material
from panohead.synthetic.renderer.lighting import Lighting, fibonacci_sphere
from panohead.synthetic.renderer.scene import Scene

_HIGHLIGHTS = 8
_PROBES = fibonacci_sphere(4096)
_ROUGHNESS = np.zeros(len(Material))
_REFLECTANCE = np.zeros(len(Material))
for _material, _rough, _f0 in (
    (Material.SKIN, 0.44, 0.033), (Material.EYE, 0.14, 0.04), (Material.CLOTH, 0.85, 0.02),
    (Material.TEETH, 0.3, 0.04), (Material.FRAME, 0.28, 0.05), (Material.LENS, 0.10, 0.06),
):  # fmt: skip
    _ROUGHNESS[_material], _REFLECTANCE[_material] = _rough, _f0
_FLAT = [int(Material.EYE), int(Material.CLOTH), int(Material.TEETH), int(Material.FRAME), int(Material.LENS)]


def gather_light(scene: Scene, lighting: Lighting) -> Float32[np.ndarray, "direction 3"]:
    """Return the sphere of light as one radiance times solid angle for each baked direction."""
    nearest = (_PROBES @ scene.directions.T.astype(np.float64)).argmax(1)
    radiance = lighting.radiance(_PROBES) * (4 * np.pi / len(_PROBES))
    total = [np.bincount(nearest, radiance[:, k], len(scene.directions)) for k in range(3)]
    return np.stack(total, 1).astype(np.float32)


def shade(
    scene: Scene,
    lighting: Lighting,
    eye: Float[np.ndarray, "3"],
    vertex_needed: Bool[np.ndarray, "vertex"],
    point_needed: Bool[np.ndarray, "point"],
) -> tuple[Float32[np.ndarray, "vertex 3"], Float32[np.ndarray, "point 3"]]:
    """Return linear radiance of the needed vertices and strand points (zero elsewhere) for a camera at ``eye``."""
    light = gather_light(scene, lighting)
    brightest = np.argsort(-light.sum(1), kind="stable")[:_HIGHLIGHTS]
    vertex_color = np.zeros_like(scene.vertices)
    point_color = np.zeros_like(scene.points)
    eye = eye.astype(np.float32)
    vertices, points = np.nonzero(vertex_needed)[0], np.nonzero(point_needed)[0]
    _shade_surface(
        vertices, scene.vertices, scene.normals, scene.soft_normals, scene.albedo, scene.material,
        np.ascontiguousarray(scene.vertex_light[:, vertices].T), scene.directions, light, brightest, eye,
        _ROUGHNESS, _REFLECTANCE, vertex_color,
    )  # fmt: skip
    _shade_hair(
        points, scene.points, scene.tangents, scene.strand_albedo,
        np.ascontiguousarray(scene.point_light[:, points].T), scene.directions, light, brightest, eye, point_color,
    )  # fmt: skip
    return vertex_color, point_color


@jit(error_model="numpy")
def _shade_surface(  # type: ignore[no-untyped-def]
    chosen, vertices, normals, soft_normals, albedo, material, received, directions, light, brightest, eye, roughness,
    reflectance, out,
):  # fmt: skip
    count = len(directions)
    ambient = np.zeros(3)
    for j in range(count):
        for c in range(3):
            ambient[c] += light[j, c] / (4 * np.pi)
    to_eye, total, dots = np.empty(3), np.empty(3), np.empty(count)
    for n, i in enumerate(chosen):
        normal, soft, kind = normals[i], soft_normals[i], material[i]
        for a in range(3):
            to_eye[a] = eye[a] - vertices[i, a]
        to_eye /= (to_eye[0] ** 2 + to_eye[1] ** 2 + to_eye[2] ** 2) ** 0.5
        total[:] = 0.0
        open_sky = 0.0
        for j in range(count):
            share = received[n, j] * (1 / 255)
            open_sky += share
            d = directions[j]
            hard = normal[0] * d[0] + normal[1] * d[1] + normal[2] * d[2]
            dots[j] = hard
            if kind == 0:
                wide = soft[0] * d[0] + soft[1] * d[1] + soft[2] * d[2]
                total[0] += share * max(wide + 0.25, 0.0) * (1 / 1.5625) * light[j, 0]
                total[1] += share * max(0.5 * (hard + wide) + 0.08, 0.0) * (1 / 1.1664) * light[j, 1]
                total[2] += share * max(hard + 0.03, 0.0) * (1 / 1.03) * light[j, 2]
            elif hard > 0:
                for c in range(3):
                    total[c] += share * hard * light[j, c]
        open_sky /= count
        # Light that bounces between near surfaces: stronger where little sky is visible.
        bounce = 0.35 * (1 - min(open_sky * 2, 1.0)) + 0.1
        for c in range(3):
            total[c] = albedo[i, c] * (total[c] / np.pi + albedo[i, c] * ambient[c] * bounce)
        facing = max(normal[0] * to_eye[0] + normal[1] * to_eye[1] + normal[2] * to_eye[2], 0.06)
        alpha2 = roughness[kind] ** 4
        mask = (roughness[kind] + 1) ** 2 / 8
        f0 = reflectance[kind]
        for j in brightest:
            lit = dots[j]
            if lit <= 0:
                continue
            d = directions[j]
            hx, hy, hz = to_eye[0] + d[0], to_eye[1] + d[1], to_eye[2] + d[2]
            length = max((hx * hx + hy * hy + hz * hz) ** 0.5, 1e-6)
            half = max((normal[0] * hx + normal[1] * hy + normal[2] * hz) / length, 0.0)
            grazing = 1 - max((to_eye[0] * hx + to_eye[1] * hy + to_eye[2] * hz) / length, 0.0)
            spread = half * half * (alpha2 - 1) + 1
            fresnel = f0 + (1 - f0) * grazing**5
            value = alpha2 / (np.pi * spread * spread) * fresnel * lit
            value /= 4 * (lit * (1 - mask) + mask) * (facing * (1 - mask) + mask)
            value = min(value * received[n, j] * (1 / 255), 8.0)
            for c in range(3):
                total[c] += value * light[j, c]
        for c in range(3):
            out[i, c] = total[c]


@jit(error_model="numpy")
def _shade_hair(  # type: ignore[no-untyped-def]
    chosen, points, tangents, albedo, received, directions, light, brightest, eye, out
):
    count = len(directions)
    ambient = np.zeros(3)
    for j in range(count):
        for c in range(3):
            ambient[c] += light[j, c] / (4 * np.pi)
    to_eye, flat_eye, flat_light, total = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for n, i in enumerate(chosen):
        tangent = tangents[i]
        for a in range(3):
            to_eye[a] = eye[a] - points[i, a]
        to_eye /= (to_eye[0] ** 2 + to_eye[1] ** 2 + to_eye[2] ** 2) ** 0.5
        sine_eye = min(max(tangent[0] * to_eye[0] + tangent[1] * to_eye[1] + tangent[2] * to_eye[2], -0.999), 0.999)
        eye_angle = np.arcsin(sine_eye)
        for a in range(3):
            flat_eye[a] = to_eye[a] - tangent[a] * sine_eye
        flat_eye /= max((flat_eye[0] ** 2 + flat_eye[1] ** 2 + flat_eye[2] ** 2) ** 0.5, 1e-4)
        total[:] = 0.0
        open_sky = 0.0
        for j in range(count):
            share = received[n, j] * (1 / 255)
            if share == 0:
                continue
            open_sky += share
            d = directions[j]
            sine = tangent[0] * d[0] + tangent[1] * d[1] + tangent[2] * d[2]
            across = share * max(1 - sine * sine, 0.0) ** 0.5
            for c in range(3):
                total[c] += across * light[j, c]
        open_sky /= count
        for c in range(3):
            color = albedo[i, c]
            total[c] = color * total[c] * 0.20 + color**1.15 * ambient[c] * (0.25 + 0.5 * open_sky)
        for j in brightest:
            share = received[n, j] * (1 / 255)
            if share == 0:
                continue
            d = directions[j]
            sine = min(max(tangent[0] * d[0] + tangent[1] * d[1] + tangent[2] * d[2], -0.999), 0.999)
            angle = np.arcsin(sine)
            for a in range(3):
                flat_light[a] = d[a] - tangent[a] * sine
            length = max((flat_light[0] ** 2 + flat_light[1] ** 2 + flat_light[2] ** 2) ** 0.5, 1e-4)
            cosine = (flat_light[0] * flat_eye[0] + flat_light[1] * flat_eye[1] + flat_light[2] * flat_eye[2]) / length
            half, same_side = (angle + eye_angle) / 2, max(0.5 + 0.5 * cosine, 0.0) ** 0.5
            weight = share * (1 - sine * sine) ** 0.5
            r = np.exp(-0.5 * ((half + 0.06) / 0.14) ** 2) * 0.055 * same_side * weight
            trt = np.exp(-0.5 * ((half - 0.09) / 0.26) ** 2) * 0.20 * same_side**3 * weight
            tt = np.exp(-0.5 * ((half - 0.03) / 0.13) ** 2) * np.exp(-2 * (1 + cosine)) * 0.18 * weight
            for c in range(3):
                color = albedo[i, c]
                # Pale hair scatters between strands: its lobes wash out instead of adding up.
                total[c] += (r + (color * trt + color**0.5 * tt) * (1 - 0.6 * color)) * light[j, c]
        for c in range(3):
            out[i, c] = total[c]
