"""Hair styles: one small function each, from a scalp to strands (decimetres)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from panohead.synthetic.fields import normalized, smoothstep
from panohead.synthetic.hair.scalp import HEAD_CENTRE, Scalp, along_skin
from panohead.synthetic.hair.strands import Growth, Roots, bundle, clump, curl, grow, resample

StrandArray = Float[np.ndarray, "strand point 3"]


def bald(scalp: Scalp) -> list[StrandArray]:
    """Nothing grows."""
    return []


def buzz(scalp: Scalp) -> list[StrandArray]:
    """A few millimetres, shorter at the sides."""
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
    """Short hair combed one way on the top and down at the sides."""
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
    """Cropped, combed forward, back or aside."""
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
    """Combed straight back."""
    rng, roots = scalp.rng, scalp.roots(15000)
    comb = np.broadcast_to([0.0, 0.0, -1.0], roots.points.shape)
    return _combed(scalp, rng.uniform(0.6, 1.1), rng.uniform(0.15, 0.5), comb, roots, rng.uniform(0.15, 0.45))


def side_part(scalp: Scalp) -> list[StrandArray]:
    """Parted at one side."""
    rng, roots = scalp.rng, scalp.roots(15000)
    side = scalp.side_of(roots)
    comb = np.stack([side, np.full(len(side), -0.15), np.full(len(side), -0.25)], 1)
    return _combed(scalp, rng.uniform(0.6, 1.05), rng.uniform(0.12, 0.5), comb, roots, rng.uniform(0.25, 0.5))


def _falling(
    scalp: Scalp, length: float, fringe: bool, waves: float
) -> tuple[StrandArray, Float[np.ndarray, "strand"]]:
    """Hair that falls from a parting; the strands and the side each one fell to."""
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
    """To the chin or the neck, parted."""
    return _bob(scalp, False)


def bob_fringe(scalp: Scalp) -> list[StrandArray]:
    """A bob with a fringe over the forehead."""
    return _bob(scalp, True)


def long(scalp: Scalp) -> list[StrandArray]:
    """Straight, over the shoulders."""
    rng = scalp.rng
    strands, side = _falling(scalp, rng.uniform(2.8, 4.6), rng.random() < 0.2, 0.08)
    strands, member = clump(
        strands, rng, int(rng.uniform(160, 420)), rng.uniform(0.35, 0.75), rng.uniform(0.7, 1.4), side
    )
    if rng.random() < 0.5:
        strands = curl(strands, rng, rng.uniform(0.01, 0.03), 0.3, member, grow_in=1.5)
    return [strands]


def wavy(scalp: Scalp) -> list[StrandArray]:
    """Long with waves of a few centimetres."""
    rng = scalp.rng
    strands, side = _falling(scalp, rng.uniform(2.1, 3.8), rng.random() < 0.2, 0.15)
    strands, member = clump(
        strands, rng, int(rng.uniform(140, 320)), rng.uniform(0.4, 0.8), rng.uniform(0.7, 1.2), side
    )
    return [curl(resample(strands, 26), rng, rng.uniform(0.03, 0.075), rng.uniform(0.45, 0.9), member, 0.4, 1.2)]


def curly(scalp: Scalp) -> list[StrandArray]:
    """Locks of curls around the head, bounded so that they stay in the frame."""
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
    """A cloud of tight coils."""
    rng, roots = scalp.rng, scalp.roots(12000)
    count = len(roots.points)
    lengths = rng.uniform(0.25, 0.72) * np.interp(roots.neutral[:, 1], [6.6, 7.3, 8.3], [0.35, 0.9, 0.9])
    lengths = lengths * (1 + 0.1 * rng.normal(size=count))
    directions = roots.normals + 0.25 * normalized(roots.points - HEAD_CENTRE) + 0.25 * rng.normal(size=(count, 3))
    how = Growth(points=10, gravity=0.0, stiffness=0.9, noise=0.25)
    strands = grow(roots, directions, lengths, roots.normals, np.full(count, 0.02), scalp.field, how, rng)
    strands, member = clump(strands, rng, int(rng.uniform(900, 1600)), 0.55)
    return [curl(resample(strands, 24), rng, rng.uniform(0.03, 0.05), rng.uniform(3.0, 4.5), member, 0.6, 0.12)]


def _gathered(scalp: Scalp) -> tuple[StrandArray, Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Hair drawn over the skull to a tie behind the head: strands, the tie, and the direction out of the head there."""
    rng, roots = scalp.rng, scalp.roots(14000)
    elevation = rng.uniform(-0.2, 0.95)
    tie = HEAD_CENTRE + np.array([0, np.sin(elevation), -1.05 * np.cos(elevation)])
    distance, gradient = scalp.field(tie[None])
    tie = tie - gradient[0] * (distance[0] - 0.12)
    start, end = roots.points - HEAD_CENTRE, tie - HEAD_CENTRE
    start_radius, end_radius = np.linalg.norm(start, axis=1, keepdims=True), float(np.linalg.norm(end))
    start_way, end_way = start / start_radius, end / end_radius
    angle = np.arccos(np.clip((start_way * end_way).sum(1, keepdims=True), -0.999, 0.999))
    loose, rough = rng.random(len(start)), rng.uniform(0.0, 0.02)
    points = [roots.points]
    for t in np.linspace(0, 1, 15)[1:]:
        way = (np.sin((1 - t) * angle) * start_way + np.sin(t * angle) * end_way) / np.sin(angle)
        place = HEAD_CENTRE + way * (start_radius * (1 - t) + end_radius * t)
        distance, gradient = scalp.field(place)
        wanted = 0.02 + 0.05 * loose * np.sin(np.pi * t) + 0.06 * t
        place = place - gradient * (distance - wanted)[:, None] * (1 - t**6)
        points.append(place + rough * rng.normal(size=place.shape) * 0.3 * np.sin(np.pi * t))
    strands, _ = clump(np.stack(points, 1), rng, 500, 0.5, 0.8)
    return scalp.field.push_out(strands, 0.012), tie, end_way


def ponytail(scalp: Scalp) -> list[StrandArray]:
    """Gathered and hanging down behind."""
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
    """Gathered and wound into a knot."""
    rng = scalp.rng
    gathered, tie, out = _gathered(scalp)
    count, radius = 3000, rng.uniform(0.22, 0.34)
    centre = tie + out * radius * 0.6
    across = normalized(np.cross(out, [0, 1, 0.01]))
    up = np.cross(across, out)
    along = np.linspace(0, 1, 22)[None]
    around = rng.uniform(0, 2 * np.pi, (count, 1)) + along * rng.uniform(2, 4.5, (count, 1))
    twist = rng.uniform(0, 2 * np.pi, (count, 1)) + along * rng.uniform(1, 3, (count, 1))
    tube_radius = 0.62 * radius * np.sqrt(rng.uniform(0.6, 1, count))[:, None]
    tube_radius = tube_radius * (1 + 0.012 * rng.normal(size=twist.shape).cumsum(1))
    ring = (0.62 * radius + tube_radius * np.cos(twist))[..., None]
    turned = np.cos(around)[..., None] * across + np.sin(around)[..., None] * up
    return [gathered, centre + ring * turned + (tube_radius * np.sin(twist))[..., None] * out]


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
    """Indices of ``count`` points far from each other (farthest-point sampling)."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    for _ in range(count - 1):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


STYLES: dict[str, Callable[[Scalp], list[StrandArray]]] = {
    style.__name__: style
    for style in (
        bald,
        buzz,
        short,
        receding,
        slick,
        side_part,
        bob,
        bob_fringe,
        long,
        wavy,
        curly,
        afro,
        ponytail,
        bun,
        locs,
        braids,
    )
}
