"""Morph targets and animations of a GLB file: sparse accessors, names in ``extras.targetNames``, weights over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float

from panohead.mesh.gltf_binary import Binary
from panohead.mesh.morph_targets import moving_places, targets_of

_NORMAL_STEP = 0.02
"""Change of a unit normal below which it is left out."""


@dataclass(frozen=True)
class Clip:
    """An animation of the weights.

    Attributes:
        name: what viewers call it.
        times: seconds from its beginning, rising.
        weights: of each frame, by the names of targets; those that are missing are 0.
    """

    name: str
    times: Sequence[float]
    weights: Sequence[Mapping[str, float]]


def blink_clip() -> Clip:
    """Return a blink of both eyes, 0.4 s."""
    steps = [(0.0, 0.0), (0.1, 1.0), (0.16, 1.0), (0.32, 0.0), (0.4, 0.0)]
    return Clip("blink", [t for t, _ in steps], [{"eyeBlinkLeft": w, "eyeBlinkRight": w} for _, w in steps])


def idle_clip() -> Clip:
    """Return a calm loop of six seconds: two blinks, brows and the corners of the mouth move a little."""
    times, weights = [round(0.1 * k, 3) for k in range(61)], []
    for t in times:
        turn = 2 * np.pi * t / 6
        blink = max(0.0, 1 - abs(t - 1.5) / 0.15, 1 - abs(t - 4.6) / 0.15)
        smile = 0.08 * (1 - np.cos(turn))
        calm = {"mouthSmileLeft": smile, "mouthSmileRight": smile, "jawOpen": 0.015 * (1 - np.cos(2 * turn))}
        brows = {"browInnerUp": 0.1 * (1 - np.cos(turn + 0.0)) / 2}
        weights.append({**calm, **brows, "eyeBlinkLeft": blink, "eyeBlinkRight": blink})
    return Clip("idle", times, weights)


def add_morphs(binary: Binary, tree: dict[str, Any], mesh: trimesh.Trimesh, clips: Sequence[Clip] = ()) -> None:
    """Add the targets of a mesh to a tree that has its primitive, and animations: blink and idle, or those given."""
    targets, head = targets_of(mesh), tree["meshes"][0]
    names = list(targets)
    still = np.asarray(mesh.vertices, np.float64)
    normals = _normals(mesh, still)
    primitive = head["primitives"][0]
    primitive["targets"] = []
    for offsets in targets.values():
        places = moving_places(mesh, offsets)
        turned = _normals(mesh, still + offsets) - normals
        bent = np.flatnonzero(np.abs(turned).max(axis=1) > _NORMAL_STEP)
        primitive["targets"].append(
            {
                "POSITION": binary.add_sparse(len(still), places, offsets[places], bounds=True),
                "NORMAL": binary.add_sparse(len(still), bent, turned[bent], bounds=False),
            }
        )
    head["weights"] = [0.0] * len(names)
    head["extras"] = {**head.get("extras", {}), "targetNames": names}
    for clip in clips or (blink_clip(), idle_clip()):
        tree.setdefault("animations", []).append(_animation(binary, clip, names))


def _animation(binary: Binary, clip: Clip, names: list[str]) -> dict[str, Any]:
    table = np.array([[float(frame.get(name, 0.0)) for name in names] for frame in clip.weights], np.float32)
    times = binary.add_values(np.asarray(clip.times, np.float32), bounds=True)
    values = binary.add_values(table.ravel())
    return {
        "name": clip.name,
        "samplers": [{"input": times, "output": values, "interpolation": "LINEAR"}],
        "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
    }


def _normals(mesh: trimesh.Trimesh, vertices: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "vertex 3"]:
    """Return unit normals of the mesh with its vertices elsewhere, faces weighted by area."""
    a, b, c = (vertices[mesh.faces[:, k]] for k in range(3))
    area = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    corners, count = np.asarray(mesh.faces).ravel(), len(vertices)
    total = np.stack([np.bincount(corners, area[:, k], count) for k in range(3)], axis=1)
    normals: Float[np.ndarray, "vertex 3"] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)
    return normals
