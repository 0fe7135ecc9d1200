"""Hair that falls or stands freely; each style turns a scalp into strands (decimeters)."""

import numpy as np
from jaxtyping import Float

from panohead.synthetic.fields import normalized, smoothstep
from panohead.synthetic.hair.scalp import HEAD_CENTER, Scalp, StrandArray, along_skin
from panohead.synthetic.hair.strands import Growth, clump, curl, grow, resample


def _falling(
    scalp: Scalp, length: float, fringe: bool, waves: float
) -> tuple[StrandArray, Float[np.ndarray, "strand"]]:
    """Grow hair that falls from a parting; return the strands and the side each one fell to."""
    rng, roots = scalp.rng, scalp.roots(13000)
    neutral, count = roots.neutral, len(roots.points)
    side = scalp.side_of(roots)
    front, top = smoothstep(0.2, 1.0, neutral[:, 2]), smoothstep(7.5, 8.2, neutral[:, 1])
    back = smoothstep(0.5, -0.2, neutral[:, 2])
    sideways = side * (0.25 + 0.75 * top) * (1 - 0.8 * back * (1 - top))
    flow = np.stack([sideways, np.full(count, -0.9), -0.3 - 0.6 * front * rng.uniform(0.5, 1.2)], 1)
    lengths = (
        length * (1 + 0.05 * rng.normal(size=count)) * np.interp(neutral[:, 1], [6.6, 7.6, 8.4], [0.55, 0.85, 1.08])
    )
    on_face = np.zeros(count, bool)
    if fringe:
        on_face = (neutral[:, 2] > 0.95) & (np.abs(neutral[:, 0]) < 0.5) & (neutral[:, 1] > 7.75)
        x = neutral[on_face, 0]
        flow[on_face] = np.stack([0.25 * x, np.full(len(x), -0.55), np.ones(len(x))], 1)
        cut = np.interp(neutral[on_face, 1], [7.9, 8.4], [0.42, 0.9]) * rng.uniform(0.85, 1.05)
        lengths[on_face] = cut * (1 + 0.04 * rng.normal(size=len(x)))
    rise = roots.normals * (rng.uniform(0.2, 0.5) * (0.4 + 0.6 * top))[:, None]
    directions = along_skin(flow + 0.2 * scalp.wander(roots.points), roots.normals) + rise
    directions = directions + 0.05 * rng.normal(size=directions.shape)
    volume = rng.uniform(0.05, 0.2)
    how = Growth(
        points=18, gravity=rng.uniform(1.5, 2.2), stiffness=0.6, noise=0.04, comb_start=3.0,
        face_push=(1.6, 0.0, 0.9), waves=waves, inward=1.0,
    )  # fmt: skip
    margin = 0.02 + volume * rng.random(count) ** 0.7
    return grow(roots, directions, lengths, flow, margin, scalp.field, how, rng, side, on_face), side


def _bob(scalp: Scalp, fringe: bool) -> list[StrandArray]:
    rng = scalp.rng
    strands, side = _falling(scalp, rng.uniform(1.45, 2.2), fringe, 0.15)
    strands, member = clump(
        strands, rng, int(rng.uniform(160, 420)), rng.uniform(0.35, 0.75), rng.uniform(0.7, 1.4), side
    )
    if rng.random() < 0.5:
        strands = curl(strands, rng, rng.uniform(0.01, 0.03), 0.3, member, grow_in=1.5)
    return [strands]


def bob(scalp: Scalp) -> list[StrandArray]:
    """Hair to the chin or the neck, parted."""
    return _bob(scalp, False)


def bob_fringe(scalp: Scalp) -> list[StrandArray]:
    """Bob with a fringe over the forehead."""
    return _bob(scalp, True)


def long(scalp: Scalp) -> list[StrandArray]:
    """Straight hair over the shoulders."""
    rng = scalp.rng
    strands, side = _falling(scalp, rng.uniform(2.8, 4.6), rng.random() < 0.2, 0.08)
    strands, member = clump(
        strands, rng, int(rng.uniform(160, 420)), rng.uniform(0.35, 0.75), rng.uniform(0.7, 1.4), side
    )
    if rng.random() < 0.5:
        strands = curl(strands, rng, rng.uniform(0.01, 0.03), 0.3, member, grow_in=1.5)
    return [strands]


def wavy(scalp: Scalp) -> list[StrandArray]:
    """Long hair with waves of a few centimeters."""
    rng = scalp.rng
    strands, side = _falling(scalp, rng.uniform(2.1, 3.8), rng.random() < 0.2, 0.15)
    strands, member = clump(
        strands, rng, int(rng.uniform(140, 320)), rng.uniform(0.4, 0.8), rng.uniform(0.7, 1.2), side
    )
    return [curl(resample(strands, 26), rng, rng.uniform(0.03, 0.075), rng.uniform(0.45, 0.9), member, 0.4, 1.2)]


def curly(scalp: Scalp) -> list[StrandArray]:
    """Grow locks of curls around the head, bounded so that they stay in the frame."""
    rng, roots = scalp.rng, scalp.roots(11000)
    count, side = len(roots.points), scalp.side_of(roots)
    lengths = rng.uniform(0.6, 1.5) * np.interp(roots.neutral[:, 1], [6.6, 7.6, 8.3], [0.6, 0.9, 0.85])
    lengths = lengths * (1 + 0.1 * rng.normal(size=count))
    behind = smoothstep(0.6, -0.2, roots.neutral[:, 2])
    flow = np.stack([side * 0.8 * (1 - 0.85 * behind), np.full(count, -0.4), np.full(count, -0.4)], 1)
    directions = roots.normals * rng.uniform(0.5, 0.8) + 0.8 * along_skin(flow, roots.normals)
    directions = directions + 0.12 * rng.normal(size=directions.shape)
    how = Growth(
        points=16, gravity=rng.uniform(0.6, 1.1), stiffness=0.72, noise=0.08, face_push=(0.9, 0.2, 0.5), waves=0.35
    )
    margin = 0.03 + 0.1 * rng.random(count)
    strands = grow(roots, directions, lengths, flow, margin, scalp.field, how, rng, side)
    strands, member = clump(strands, rng, int(rng.uniform(220, 520)), 0.8, 0.6, side)
    points = int(np.clip(lengths.mean() * 26, 22, 34))
    return [curl(resample(strands, points), rng, rng.uniform(0.045, 0.085), rng.uniform(1.1, 2.0), member, 0.35, 0.5)]


def afro(scalp: Scalp) -> list[StrandArray]:
    """Grow a cloud of tight coils."""
    rng, roots = scalp.rng, scalp.roots(12000)
    count = len(roots.points)
    lengths = rng.uniform(0.25, 0.72) * np.interp(roots.neutral[:, 1], [6.6, 7.3, 8.3], [0.35, 0.9, 0.9])
    lengths = lengths * (1 + 0.1 * rng.normal(size=count))
    directions = roots.normals + 0.25 * normalized(roots.points - HEAD_CENTER) + 0.25 * rng.normal(size=(count, 3))
    how = Growth(points=10, gravity=0.0, stiffness=0.9, noise=0.25)
    strands = grow(roots, directions, lengths, roots.normals, np.full(count, 0.02), scalp.field, how, rng)
    strands, member = clump(strands, rng, int(rng.uniform(900, 1600)), 0.55)
    return [curl(resample(strands, 24), rng, rng.uniform(0.03, 0.05), rng.uniform(3.0, 4.5), member, 0.6, 0.12)]
