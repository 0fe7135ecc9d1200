"""One person as geometry in world units: skin, eyes, clothes, things worn, hair."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from panohead.synthetic.basis import head_basis
from panohead.synthetic.eyes import eye_and_mouth_parts, eyelashes
from panohead.synthetic.fields import normalized
from panohead.synthetic.hair.growth import grow_hair, hairline_density
from panohead.synthetic.mesh import Material, Part, Strands, compact, vertex_normals
from panohead.synthetic.outfit.clothes import clothing
from panohead.synthetic.outfit.glasses import glasses
from panohead.synthetic.outfit.headwear import headwear, hides_all_hair
from panohead.synthetic.people import Person
from panohead.synthetic.shape import head_vertices
from panohead.synthetic.skin import skin_color

# The head frame (decimetres) in the world: found by `tools/measure_faces.py` so that face landmarks on frontal
# renders ask for the very crop and camera that were used (centre, half-size 0.3166 world units, pitch 0).
WORLD_ORIGIN = np.array([0.0, 7.127, 0.58])
WORLD_SCALE = 0.2563
WORLD_PITCH_DEG = 6.8


@dataclass(frozen=True)
class SyntheticHead:
    """Parts and strands in world units (y up, face toward +z, camera radius 2.7)."""

    person: Person
    parts: list[Part]
    strands: list[Strands]


def build_head(person: Person) -> SyntheticHead:
    """Everything of one person that does not depend on light or camera."""
    basis = head_basis()
    coarse = head_vertices(person)
    skin = basis.subdivide(coarse)
    normals = vertex_normals(skin, basis.fine_triangles)
    density = hairline_density(person)
    hat = headwear(person, skin, normals)
    hair, field = grow_hair(person, skin, normals, density)
    if hat is not None:
        hair = [s for s in hair if s.kind != "hair" or not hides_all_hair(person)]
        hair = [replace(s, points=hat.tuck(s.points, field)) if s.kind == "hair" else s for s in hair]
    lashes = eyelashes(person, coarse, skin)
    color = skin_color(person, density)
    garment, depth = clothing(person, skin, normals)
    hidden = (depth >= 0.3) if hat is None else (depth >= 0.3) | hat.covers
    shown = basis.fine_triangles[~hidden[basis.fine_triangles].all(1)]
    used, triangles = compact(shown, skin)
    # The normals of the coarse mesh, refined: light that scatters under skin does not see the finer relief.
    coarse_normals = vertex_normals(coarse[: basis.body_count], basis.coarse_triangles)
    soft = normalized(basis.refine @ coarse_normals)
    parts = [Part(skin[used], triangles, color[used], Material.SKIN, soft[used]), *eye_and_mouth_parts(person, coarse)]
    parts += [garment] if garment is not None else []
    parts += [hat.part] if hat is not None else []
    parts += glasses(person, coarse, skin, field)
    strands = hair + ([lashes] if lashes is not None else [])
    return SyntheticHead(
        person,
        [replace(part, vertices=to_world(part.vertices)) for part in parts],
        [replace(s, points=to_world(s.points), radius=s.radius * WORLD_SCALE) for s in strands],
    )


def to_world(points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """From decimetres of the head frame to world units."""
    angle = np.radians(WORLD_PITCH_DEG)
    c, s = np.cos(angle), np.sin(angle)
    tilt = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])  # positive: the face looks up
    return (points - WORLD_ORIGIN) @ tilt.T * WORLD_SCALE
