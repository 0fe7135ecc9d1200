"""One person as geometry in world units: skin, eyes, clothes, things worn, hair."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from panohead.synthetic.basis import head_basis
from panohead.synthetic.expressions import Shot
from panohead.synthetic.eyes import eye_and_mouth_parts, eyelashes, lash_edges
from panohead.synthetic.fields import normalized
from panohead.synthetic.framing import FIRST, Framing
from panohead.synthetic.hair.growth import Bound, grow_hair, hairline_density, keep_in_dome, keep_in_frame
from panohead.synthetic.mesh import Material, Part, Strands, compact, vertex_normals
from panohead.synthetic.outfit.clothes import clothing
from panohead.synthetic.outfit.glasses import glasses
from panohead.synthetic.outfit.headwear import headwear, hides_all_hair
from panohead.synthetic.people import Person
from panohead.synthetic.shape import head_shapes, head_vertices
from panohead.synthetic.skin import skin_color

_MIDDLE = np.array([0.0, 7.35, 0.40])  # middle of the head, decimeters; the outermost points are farthest from it


@dataclass(frozen=True)
class SyntheticHead:
    """Parts and strands in world units (y up, face toward +z, camera radius 2.7).

    Attributes:
        skin: all fine vertices of the skin, also those under clothes.
        skin_vertices: the fine vertices that the first part, the visible skin, consists of.
    """

    person: Person
    parts: list[Part]
    strands: list[Strands]
    skin: Float[np.ndarray, "fine 3"]
    skin_vertices: Int[np.ndarray, "used"]


@dataclass(frozen=True)
class _Dressed:
    """Everything that the shots of a person share, in decimeters of the head frame.

    Attributes:
        color: albedo of the fine skin.
        hidden: fine vertices of skin under clothes or headwear.
        worn: garment, headwear and glasses.
        hair: scalp hair, brows and beard.
        lids: places of the lashes.
    """

    color: Float[np.ndarray, "fine 3"]
    hidden: Bool[np.ndarray, "fine"]
    worn: list[Part]
    hair: list[Strands]
    lids: list[tuple[int, Int[np.ndarray, "_ 2"]]]


def build_head(person: Person, framing: Framing = FIRST) -> SyntheticHead:
    """Build everything of one person that does not depend on light or camera, with hair on the expressed face."""
    coarse = head_vertices(person)
    skin = head_basis().subdivide(coarse)
    shared = _dress(person, coarse, skin, skin, keep_in_frame)
    return _assemble(person, coarse, skin, shared, shared.hair, framing)


def build_shots(person: Person, shots: Sequence[Shot], framing: Framing) -> list[SyntheticHead]:
    """Build one head per shot; parts and strands of all have the same numbers of vertices, triangles and points.

    Hair, clothes and headwear are made once, on the face without expression. Then brows and beard move with the skin at
    their roots, strand by strand without turning; hair of the scalp stays where it is. Glasses and a headscarf lie over
    the outermost skin of all shots, so that no cheek or chin comes through.
    """
    rest, *expressed = head_shapes(person, [{}, *(shot.expression for shot in shots)])
    still, *skins = (head_basis().subdivide(coarse) for coarse in (rest, *expressed))
    outermost = still
    for skin in skins:
        farther = np.linalg.norm(skin - _MIDDLE, axis=1) > np.linalg.norm(outermost - _MIDDLE, axis=1)
        outermost = np.where(farther[:, None], skin, outermost)
    shared = _dress(person, rest, still, outermost, keep_in_dome)
    near = _nearest_skin(shared.hair, still)
    heads = []
    for shot, coarse, skin in zip(shots, expressed, skins, strict=True):
        one = replace(person, expression=shot.expression, gaze=shot.gaze)
        hair = [
            s if at is None else replace(s, points=s.points + (skin - still)[at].mean(1)[:, None])
            for s, at in zip(shared.hair, near, strict=True)
        ]
        heads.append(_assemble(one, coarse, skin, shared, hair, framing, second_edition=True))
    return heads


def to_world(points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Map decimeters of the head frame to world units of edition 1."""
    return FIRST.to_world(points)


def _dress(
    person: Person,
    coarse: Float[np.ndarray, "vertex 3"],
    skin: Float[np.ndarray, "fine 3"],
    outermost: Float[np.ndarray, "fine 3"],
    bound: Bound,
) -> _Dressed:
    """Return hair, clothes and worn things on one skin; glasses and a headscarf must clear ``outermost``."""
    normals = vertex_normals(skin, head_basis().fine_triangles)
    density = hairline_density(person)
    hat = headwear(person, outermost if person.headwear == "headscarf" else skin, normals)
    hair, field = grow_hair(person, skin, normals, density, bound)
    if hat is not None:
        hair = [s for s in hair if s.kind != "hair" or not hides_all_hair(person)]
        hair = [replace(s, points=hat.tuck(s.points, field)) if s.kind == "hair" else s for s in hair]
    garment, depth = clothing(person, skin, normals)
    hidden = (depth >= 0.3) if hat is None else (depth >= 0.3) | hat.covers
    worn = [garment] if garment is not None else []
    worn += [hat.part] if hat is not None else []
    worn += glasses(person, coarse, outermost, field)
    return _Dressed(skin_color(person, density), hidden, worn, hair, lash_edges(coarse, skin))


def _assemble(
    person: Person,
    coarse: Float[np.ndarray, "vertex 3"],
    skin: Float[np.ndarray, "fine 3"],
    shared: _Dressed,
    hair: list[Strands],
    framing: Framing,
    second_edition: bool = False,
) -> SyntheticHead:
    """Return skin, eyes, mouth and lashes of one expression together with the shared parts, in world units.

    In the second edition a quarter of the skin's triangles cast its shadow (they leave the surface by at most about
    .002 world units, a fifth of the bias of shadows), and soft normals tilt with the head, unlike in the first one.
    """
    basis = head_basis()
    shown = basis.fine_triangles[~shared.hidden[basis.fine_triangles].all(1)]
    used, triangles = compact(shown, skin)
    # Normals of the coarse mesh, refined: light that scatters under skin blurs the finer relief.
    coarse_normals = vertex_normals(coarse[: basis.body_count], basis.coarse_triangles)
    soft = normalized(basis.refine @ coarse_normals)
    body = Part(skin[used], triangles, shared.color[used], Material.SKIN, soft[used])
    if second_edition:
        kept = basis.middle_triangles[np.isin(basis.middle_triangles, used).all(1)]
        body = replace(body, shadow_triangles=np.searchsorted(used, kept), soft_normals=framing.turn(soft[used]))
    parts = [body, *eye_and_mouth_parts(person, coarse), *shared.worn]
    lashes = eyelashes(person, coarse, shared.lids)
    strands = hair + ([lashes] if lashes is not None else [])
    return SyntheticHead(
        person,
        [replace(part, vertices=framing.to_world(part.vertices)) for part in parts],
        [replace(s, points=framing.to_world(s.points), radius=s.radius * framing.scale) for s in strands],
        framing.to_world(skin),
        used,
    )


def _nearest_skin(hair: list[Strands], skin: Float[np.ndarray, "fine 3"]) -> list[np.ndarray | None]:
    """Return the four fine vertices nearest each root of brows and beard; None for hair of the scalp."""
    if all(s.kind == "hair" for s in hair):
        return [None] * len(hair)
    basis = head_basis()
    front = np.flatnonzero((basis.masks["inside-mouth"] < 0.3) & (basis.neutral[:, 2] > 0.3))
    tree = cKDTree(skin[front])
    return [None if s.kind == "hair" else front[tree.query(s.points[:, 0], 4)[1]] for s in hair]
