"""Hair that is gathered, matted or plaited; each style turns a scalp into strands (decimeters)."""

import numpy as np
from jaxtyping import Float

from panohead.synthetic.fields import normalized, smoothstep
from panohead.synthetic.hair.scalp import HEAD_CENTER, Scalp, StrandArray, along_skin
from panohead.synthetic.hair.strands import Growth, Roots, bundle, clump, curl, grow, resample


def _gathered(scalp: Scalp) -> tuple[StrandArray, Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Draw hair over the skull to a tie behind the head; return strands, tie, and the outward direction there."""
    rng, roots = scalp.rng, scalp.roots(14000)
    elevation = rng.uniform(-0.2, 0.95)
    tie = HEAD_CENTER + np.array([0, np.sin(elevation), -1.05 * np.cos(elevation)])
    distance, gradient = scalp.field(tie[None])
    tie = tie - gradient[0] * (distance[0] - 0.12)
    start, end = roots.points - HEAD_CENTER, tie - HEAD_CENTER
    start_radius, end_radius = np.linalg.norm(start, axis=1, keepdims=True), float(np.linalg.norm(end))
    start_way, end_way = start / start_radius, end / end_radius
    angle = np.arccos(np.clip((start_way * end_way).sum(1, keepdims=True), -0.999, 0.999))
    loose, rough = rng.random(len(start)), rng.uniform(0.0, 0.02)
    points = [roots.points]
    for t in np.linspace(0, 1, 15)[1:]:
        way = (np.sin((1 - t) * angle) * start_way + np.sin(t * angle) * end_way) / np.sin(angle)
        place = HEAD_CENTER + way * (start_radius * (1 - t) + end_radius * t)
        distance, gradient = scalp.field(place)
        wanted = 0.02 + 0.05 * loose * np.sin(np.pi * t) + 0.06 * t
        place = place - gradient * (distance - wanted)[:, None] * (1 - t**6)
        points.append(place + rough * rng.normal(size=place.shape) * 0.3 * np.sin(np.pi * t))
    strands, _ = clump(np.stack(points, 1), rng, 500, 0.5, 0.8)
    return scalp.field.push_out(strands, 0.012), tie, end_way


def ponytail(scalp: Scalp) -> list[StrandArray]:
    """Hair gathered behind and hanging down."""
    rng = scalp.rng
    gathered, tie, out = _gathered(scalp)
    count = 3600
    start = tie + rng.normal(size=(count, 3)) * 0.06
    directions = 0.8 * out + 0.2 * rng.normal(size=(count, 3)) + np.array([0, -0.1, 0])
    lengths = rng.uniform(1.4, 3.2) * (1 + 0.08 * rng.normal(size=count))
    how = Growth(points=18, gravity=rng.uniform(1.8, 2.6), stiffness=0.62, noise=0.05)
    roots = Roots(start, np.broadcast_to(out, start.shape), start)
    tail = grow(roots, directions, lengths, directions, 0.04 + 0.1 * rng.random(count), scalp.field, how, rng)
    tail, member = clump(tail, rng, 110, 0.5)
    if rng.random() < 0.6:
        tail = curl(resample(tail, 26), rng, rng.uniform(0.02, 0.07), rng.uniform(0.3, 1.3), member, grow_in=0.8)
    return [gathered, scalp.field.push_out(tail, 0.015)]


def bun(scalp: Scalp) -> list[StrandArray]:
    """Hair gathered and wound into a knot."""
    rng = scalp.rng
    gathered, tie, out = _gathered(scalp)
    count, radius = 3000, rng.uniform(0.22, 0.34)
    center = tie + out * radius * 0.6
    across = normalized(np.cross(out, [0, 1, 0.01]))
    up = np.cross(across, out)
    along = np.linspace(0, 1, 22)[None]
    around = rng.uniform(0, 2 * np.pi, (count, 1)) + along * rng.uniform(2, 4.5, (count, 1))
    twist = rng.uniform(0, 2 * np.pi, (count, 1)) + along * rng.uniform(1, 3, (count, 1))
    tube_radius = 0.62 * radius * np.sqrt(rng.uniform(0.6, 1, count))[:, None]
    tube_radius = tube_radius * (1 + 0.012 * rng.normal(size=twist.shape).cumsum(1))
    ring = (0.62 * radius + tube_radius * np.cos(twist))[..., None]
    turned = np.cos(around)[..., None] * across + np.sin(around)[..., None] * up
    return [gathered, center + ring * turned + (tube_radius * np.sin(twist))[..., None] * out]


def _ropes(scalp: Scalp, ropes: int, hairs: int, thickness: float, plaited: bool) -> list[StrandArray]:
    rng, candidates = scalp.rng, scalp.roots(2500)
    chosen = _spread_out(candidates.points, ropes)
    roots = Roots(candidates.points[chosen], candidates.normals[chosen], candidates.neutral[chosen])
    side = scalp.side_of(roots)
    top = smoothstep(7.5, 8.2, roots.neutral[:, 1])
    flow = np.stack([side * (0.3 + 0.7 * top), np.full(ropes, -0.8), np.full(ropes, -0.7)], 1)
    lengths = (
        rng.uniform(1.2, 3.2)
        * (1 + 0.08 * rng.normal(size=ropes))
        * np.interp(roots.neutral[:, 1], [6.6, 7.6, 8.4], [0.6, 0.85, 1.05])
    )
    directions = along_skin(flow, roots.normals) + 0.45 * roots.normals
    how = Growth(
        points=26,
        gravity=2.0,
        stiffness=0.62,
        noise=0.05,
        comb_start=2.5,
        face_push=(1.2, 0.0, 1.0),
        waves=0.2,
        inward=0.6,
    )
    margin = thickness * (0.9 + 1.6 * rng.random(ropes))
    leaders = grow(roots, directions, lengths, flow, margin, scalp.field, how, rng, side)
    return [bundle(leaders, rng, hairs, thickness, plaited)]


def locs(scalp: Scalp) -> list[StrandArray]:
    """Matted ropes."""
    return _ropes(scalp, int(scalp.rng.uniform(130, 210)), 44, scalp.rng.uniform(0.055, 0.075), False)


def braids(scalp: Scalp) -> list[StrandArray]:
    """Box braids: many thin plaits."""
    return _ropes(scalp, int(scalp.rng.uniform(150, 230)), 36, scalp.rng.uniform(0.045, 0.06), True)


def _spread_out(points: Float[np.ndarray, "candidate 3"], count: int) -> np.ndarray:
    """Return indices of ``count`` points far from each other (farthest-point sampling)."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    for _ in range(count - 1):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
