"""Brows and beards."""

import numpy as np
from jaxtyping import Float

from panohead.synthetic.fields import normalized, smoothstep
from panohead.synthetic.hair.scalp import HAIR_RADIUS, Scalp, strand_colors
from panohead.synthetic.hair.strands import Growth, clump, curl, grow, sample_roots
from panohead.synthetic.mesh import Strands
from panohead.synthetic.regions import beard_mask, brow_mask


def brows(scalp: Scalp) -> Strands:
    """Grow both brows, a shade darker than the hair."""
    rng, person = scalp.rng, scalp.person
    thickness = rng.uniform(0.6, 1.05) * (1.0 if person.is_male and person.age > 14 else 0.8)
    count = int(560 * rng.uniform(0.5, 1.0) * thickness)
    roots = sample_roots(scalp.vertices, scalp.normals, brow_mask(thickness), count, rng)
    along = np.clip((np.abs(roots.neutral[:, 0]) - 0.11) / 0.46, 0, 1)
    outward = np.sign(roots.neutral[:, 0]) * np.interp(along, [0, 0.3, 1], [0.35, 1, 1])
    up = np.interp(along, [0, 0.3, 0.7, 1], [1.0, 0.35, 0.0, -0.3])
    flow = np.stack([outward, up, np.full(len(up), -0.25)], 1)
    flat = normalized(flow - (flow * roots.normals).sum(1, keepdims=True) * roots.normals)
    directions = flat + 0.18 * roots.normals + 0.15 * rng.normal(size=flat.shape)
    lengths = rng.uniform(0.05, 0.075) * (1 + 0.2 * rng.normal(size=len(up)))
    how = Growth(points=4, gravity=0.0, stiffness=0.9)
    strands = grow(roots, directions, lengths, flow, np.full(len(up), 0.004), scalp.field, how, rng)
    return Strands(strands, 0.0026, strand_colors(person, len(strands), rng, 0.12, False, 0.55), "brow")


def beard(scalp: Scalp) -> Strands | None:
    """Grow a moustache, goatee, short or full beard; None for a shaven or stubbly face."""
    rng, person = scalp.rng, scalp.person
    if person.beard in ("none", "stubble"):
        return None
    mask = beard_mask({"short": "full"}.get(person.beard, person.beard))
    roots = sample_roots(scalp.vertices, scalp.normals, mask, 8000 if person.beard in ("short", "full") else 3400, rng)
    y, z = roots.neutral[:, 1], roots.neutral[:, 2]
    lengths = _beard_lengths(person.beard, y, rng)
    moustache = (y > 6.63) & (z > 1.42)
    lengths = np.maximum(np.where(moustache, np.minimum(lengths, 0.2), lengths), 0.03)
    downward = 0.45 * roots.normals + np.array([0, -1, 0.1]) + 0.3 * rng.normal(size=roots.points.shape)
    zero = np.zeros(len(y))
    aside = 0.35 * roots.normals + np.stack([np.sign(roots.neutral[:, 0]) * 0.6, zero - 0.7, zero], 1)
    directions = np.where(moustache[:, None], aside, downward)
    how = Growth(points=7, gravity=0.4, stiffness=0.8, noise=0.15)
    strands = grow(roots, directions, lengths, directions, np.full(len(y), 0.012), scalp.field, how, rng)
    strands, member = clump(strands, rng, 500, 0.35)
    if person.beard == "full" or person.hair_style in ("afro", "curly", "locs", "braids"):
        strands = curl(strands, rng, 0.018, 2.5, member, grow_in=0.2)
    color = strand_colors(person, len(strands), rng, dyed=False) * 0.9
    return Strands(scalp.field.push_out(strands, 0.005), HAIR_RADIUS * 0.8, color, "beard")


def _beard_lengths(kind: str, y: Float[np.ndarray, "strand"], rng: np.random.Generator) -> Float[np.ndarray, "strand"]:
    length = rng.uniform(0.25, 0.8) if kind == "full" else rng.uniform(0.06, 0.15)
    lengths = length * (1 + 0.2 * rng.normal(size=len(y)))
    return lengths * (0.25 + 0.75 * smoothstep(6.9, 6.3, y)) if kind == "full" else lengths
