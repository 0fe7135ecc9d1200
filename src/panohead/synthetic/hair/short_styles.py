"""Short hair: none, cropped, or combed one way; each style turns a scalp into strands (decimeters)."""

import numpy as np
from jaxtyping import Float

from panohead.synthetic.fields import smoothstep
from panohead.synthetic.hair.scalp import Scalp, StrandArray, along_skin
from panohead.synthetic.hair.strands import Growth, Roots, clump, curl, grow


def bald(scalp: Scalp) -> list[StrandArray]:
    """Grow no hair."""
    return []


def buzz(scalp: Scalp) -> list[StrandArray]:
    """Hair of a few millimeters, shorter at the sides."""
    rng, roots = scalp.rng, scalp.roots(20000)
    lengths = rng.uniform(0.04, 0.10) * (1 + 0.1 * rng.normal(size=len(roots.points)))
    lengths = lengths * (0.35 + 0.65 * smoothstep(6.7, 7.6, roots.neutral[:, 1]))
    flow = np.broadcast_to([0, -0.6, 0.5], roots.points.shape)
    directions = 0.6 * roots.normals + 0.8 * along_skin(flow, roots.normals) + 0.2 * rng.normal(size=roots.points.shape)
    how = Growth(points=4, gravity=0.0, stiffness=0.8)
    return [grow(roots, directions, lengths, flow, np.full(len(lengths), 0.004), scalp.field, how, rng)]


def _combed(
    scalp: Scalp, top_length: float, side_length: float, comb: Float[np.ndarray, "strand 3"], roots: Roots, lift: float
) -> list[StrandArray]:
    """Grow short hair combed one way on the top and down at the sides."""
    rng, count = scalp.rng, len(roots.points)
    top = smoothstep(7.55, 8.15, roots.neutral[:, 1])
    lengths = np.maximum((side_length + (top_length - side_length) * top) * (1 + 0.12 * rng.normal(size=count)), 0.05)
    sides = np.array([0.0, -1.0, -0.25]) * (1 - top[:, None])
    flow = comb * top[:, None] + sides + 0.45 * scalp.wander(roots.points)
    rise = roots.normals * (lift * top + 0.2)[:, None]
    directions = along_skin(flow, roots.normals) + rise + 0.12 * rng.normal(size=roots.points.shape)
    how = Growth(points=8, gravity=0.5, stiffness=0.72, noise=0.1, comb_all=0.5)
    strands = grow(roots, directions, lengths, flow, 0.02 + 0.06 * rng.random(count), scalp.field, how, rng)
    strands, member = clump(strands, rng, int(rng.uniform(350, 900)), rng.uniform(0.3, 0.65))
    if rng.random() < 0.35:
        strands = curl(strands, rng, rng.uniform(0.01, 0.035), rng.uniform(0.8, 2.0), member, grow_in=0.3)
    return [strands]


def short(scalp: Scalp) -> list[StrandArray]:
    """Cropped hair, combed forward, back or aside."""
    rng, roots = scalp.rng, scalp.roots(15000)
    angle = rng.uniform(-0.9, 0.9)
    comb = np.array([np.sin(angle), 0, np.cos(angle) * rng.choice([1, 1, -0.4])])
    return _combed(
        scalp,
        rng.uniform(0.3, 0.7),
        rng.uniform(0.08, 0.3),
        np.broadcast_to(comb, roots.points.shape),
        roots,
        rng.uniform(0.2, 0.8),
    )


def receding(scalp: Scalp) -> list[StrandArray]:
    """Short hair behind a receding hairline."""
    rng, roots = scalp.rng, scalp.roots(13000)
    comb = np.array([rng.uniform(-0.7, 0.7), 0, rng.choice([0.7, -0.7])])
    return _combed(
        scalp,
        rng.uniform(0.12, 0.4),
        rng.uniform(0.08, 0.3),
        np.broadcast_to(comb, roots.points.shape),
        roots,
        rng.uniform(0.2, 0.6),
    )


def slick(scalp: Scalp) -> list[StrandArray]:
    """Hair combed straight back."""
    rng, roots = scalp.rng, scalp.roots(15000)
    comb = np.broadcast_to([0.0, 0.0, -1.0], roots.points.shape)
    return _combed(scalp, rng.uniform(0.6, 1.1), rng.uniform(0.15, 0.5), comb, roots, rng.uniform(0.15, 0.45))


def side_part(scalp: Scalp) -> list[StrandArray]:
    """Hair parted at one side."""
    rng, roots = scalp.rng, scalp.roots(15000)
    side = scalp.side_of(roots)
    comb = np.stack([side, np.full(len(side), -0.15), np.full(len(side), -0.25)], 1)
    return _combed(scalp, rng.uniform(0.6, 1.05), rng.uniform(0.12, 0.5), comb, roots, rng.uniform(0.25, 0.5))
