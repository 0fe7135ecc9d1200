"""Bake which vertices of the head basis MediaPipe's 468 face landmarks lie on.

    python tools/bake_landmark_vertices.py [--people 12]

Renders synthetic people from the front without expression, finds their landmarks, and takes for each landmark the
vertex of the twice subdivided neutral skin nearest to the median of its places over the people. Writes
src/panohead/synthetic/assets/landmark_vertices.npz (numbers of vertices, and how far the places spread).
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from panohead.alignment.face_landmarks import MediaPipeFaces
from panohead.geometry import Camera
from panohead.geometry.rays import project
from panohead.synthetic.basis import head_basis
from panohead.synthetic.framing import FRAMINGS
from panohead.synthetic.mesh import vertex_normals
from panohead.synthetic.people import sample_person
from panohead.synthetic.person_images import make_renderer, photograph
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.shape import head_vertices
from panohead.synthetic.views import FOCAL, PersonView

SIDE = 384
OUT = Path(__file__).parents[1] / "src" / "panohead" / "synthetic" / "assets" / "landmark_vertices.npz"


def places(seed: int, index: int, faces: MediaPipeFaces) -> np.ndarray | None:
    """Return where the landmarks of a person lie on the neutral skin, decimeters; None where no face is found."""
    basis, view = head_basis(), PersonView(0.0, 0.0)
    person = replace(
        sample_person(seed, index), expression={}, glasses="none", headwear="none", beard="none", hair_style="bald"
    )
    renderer = make_renderer(person, "fast", 2)
    light = replace(sample_lighting(person.stream("landmarks")), exposure=1.0)
    _, pixels, _ = photograph(renderer, person, view, "landmarks", SIDE, FOCAL, light)
    found = faces.faces(pixels, 1)
    if not found:
        return None
    skin = basis.subdivide(head_vertices(person))
    world = FRAMINGS[2].to_world(skin)
    normals = vertex_normals(world, basis.fine_triangles)
    camera = Camera.from_label(torch.tensor(view.label(FOCAL)))
    on_screen, distance, _ = project(torch.from_numpy(world).float(), camera)
    toward = camera.position.numpy() - world
    facing = (normals * toward).sum(axis=1) / np.linalg.norm(toward, axis=1) > 0.1
    front = np.flatnonzero(facing & (world[:, 2] > -0.05) & (basis.masks["inside-mouth"] < 0.3))
    wanted = (found[0][:, :2] / SIDE) * 2 - 1
    near = front[cKDTree(on_screen.numpy()[front]).query(wanted, k=3)[1]]
    # Where skin lies behind skin, the one in front is seen.
    best = near[np.arange(len(near)), distance.numpy()[near].argmin(axis=1)]
    return np.asarray(basis.neutral[best])


def main() -> int:
    """Bake the asset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--seed", type=int, default=4100)
    options = parser.parse_args()
    faces = MediaPipeFaces()
    found = [one for index in range(options.people) if (one := places(options.seed, index, faces)) is not None]
    if len(found) < 3:
        print("too few faces were found", file=sys.stderr)
        return 1
    together = np.stack(found)
    middle = np.median(together, axis=0)
    spread = np.median(np.linalg.norm(together - middle, axis=2), axis=0)
    vertices = cKDTree(head_basis().neutral).query(middle)[1].astype(np.int32)
    OUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(OUT, vertices=vertices, spread=spread.astype(np.float32))
    middle_mm, most_mm = 100 * np.median(spread), 100 * spread.max()
    print(f"{len(found)} faces; places spread by {middle_mm:.1f} mm (median), {most_mm:.1f} at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
