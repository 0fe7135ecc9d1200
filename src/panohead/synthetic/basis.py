"""The head basis: one neutral head, the offsets that turn it into any person, and named parts of its surface.

MakeHuman's CC0 data, baked by ``tools/bake_head_basis.py``. Lengths are decimeters, y up, the face toward +z. All
regions (scalp, beard, brows, clothes) are functions of the *neutral* positions, so they follow every identity.
"""

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from jaxtyping import Float, Float16, Int

from panohead.errors import PanoHeadError
from panohead.synthetic.mesh import triangulate
from panohead.synthetic.sparse_offsets import unpack_offsets
from panohead.synthetic.subdivision import catmull_clark


@dataclass(frozen=True)
class HeadBasis:
    """Arrays of the head basis.

    ``vertices`` and ``offsets`` are coarse (body first, then helpers); everything called fine is subdivided twice.
    ``middle_triangles`` are the triangles after one subdivision, between fine vertices (the first ones).
    """

    vertices: Float[np.ndarray, "vertex 3"]
    body_count: int
    helpers: dict[str, Int[np.ndarray, "quad 4"]]
    target_index: dict[str, int]
    offsets: Float16[np.ndarray, "target vertex 3"]
    coarse_triangles: Int[np.ndarray, "coarse_triangle 3"]
    refine: Any
    fine_quads: Int[np.ndarray, "fine_quad 4"]
    fine_triangles: Int[np.ndarray, "fine_triangle 3"]
    middle_triangles: Int[np.ndarray, "middle_triangle 3"]
    neutral: Float[np.ndarray, "fine 3"]
    masks: dict[str, Float[np.ndarray, "fine"]]

    def blend(self, weights: Float[np.ndarray, "target"]) -> Float[np.ndarray, "vertex 3"]:
        """Return the coarse vertices (decimeters) of the head with these target weights."""
        active = np.nonzero(weights)[0]
        moved = np.tensordot(weights[active].astype(np.float32), self.offsets[active].astype(np.float32), 1)
        return self.vertices + moved.astype(np.float64)

    def subdivide(self, coarse: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "fine 3"]:
        """Return the body after two subdivisions."""
        return self.refine @ coarse[: self.body_count]


@functools.cache
def head_basis() -> HeadBasis:
    """Read the basis of the package, once per process.

    Raises:
        PanoHeadError: when the asset is missing from the installation.
    """
    path = resources.files("panohead.synthetic") / "assets" / "head_basis.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            data = {key: stored[key] for key in stored.files}
    except OSError as error:
        raise PanoHeadError(f"cannot read the head basis {path}; reinstall panohead") from error
    vertices = data["vertices"].astype(np.float64)
    body_count = int(data["body_vertex_count"])
    once, quads = catmull_clark(data["body_quads"].astype(np.int64), body_count)
    middle = triangulate(quads)
    twice, quads = catmull_clark(quads, once.shape[0])
    refine = (twice @ once).tocsr()
    groups = data["helper_group"]
    return HeadBasis(
        vertices=vertices,
        body_count=body_count,
        helpers={str(name): data["helper_quads"][groups == i] for i, name in enumerate(data["helper_names"])},
        target_index={str(name): i for i, name in enumerate(data["target_names"])},
        offsets=unpack_offsets(
            data["target_moved"], data["target_planes"], len(data["target_names"]), vertices.shape[0]
        ),
        coarse_triangles=triangulate(data["body_quads"].astype(np.int64)),
        refine=refine,
        fine_quads=quads,
        fine_triangles=triangulate(quads),
        middle_triangles=middle,
        neutral=refine @ vertices[:body_count],
        masks={str(n): m.astype(np.float64) / 255 for n, m in zip(data["mask_names"], data["masks"], strict=True)},
    )


@functools.cache
def landmark_places() -> tuple[Int[np.ndarray, "468"], Float[np.ndarray, "468"]]:
    """Return the fine vertices that MediaPipe's face landmarks lie on, and how far these places spread over people.

    Baked by ``tools/bake_landmark_vertices.py``; spreads are in decimeters.

    Raises:
        PanoHeadError: when the asset is missing from the installation.
    """
    path = resources.files("panohead.synthetic") / "assets" / "landmark_vertices.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return stored["vertices"].astype(np.int64), stored["spread"].astype(np.float64)
    except OSError as error:
        raise PanoHeadError(f"cannot read the landmarks of the head basis {path}; reinstall panohead") from error
