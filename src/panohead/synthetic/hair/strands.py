"""Growth of strands from the scalp, and their shaping afterwards: clumps, curls, bundles."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from panohead.ops.cpu.jit import jit
from panohead.synthetic.basis import head_basis
from panohead.synthetic.fields import normalized
from panohead.synthetic.hair.field import DistanceField, lookup


@dataclass(frozen=True)
class Roots:
    """Start points of strands: on this head, with its normals, and the same places on the neutral head."""

    points: Float[np.ndarray, "strand 3"]
    normals: Float[np.ndarray, "strand 3"]
    neutral: Float[np.ndarray, "strand 3"]


@dataclass(frozen=True)
class Growth:
    """Parameters of growth, shared by all strands of one style.

    A step turns the direction by ``1 - stiffness`` toward the sum of the comb direction (``comb_start`` near the root,
    ``comb_all`` everywhere), a push off the face (sideways, up, back), waves, gravity and noise; ``inward`` draws
    long hair to the neck. ``margin`` is the distance to the skin that a strand reaches, the volume of the hair.
    """

    points: int
    gravity: float
    stiffness: float
    noise: float = 0.0
    comb_start: float = 0.0
    comb_all: float = 0.0
    face_push: tuple[float, float, float] = (0.0, 0.0, 0.0)
    waves: float = 0.0
    inward: float = 0.0


def sample_roots(
    vertices: Float[np.ndarray, "fine 3"],
    normals: Float[np.ndarray, "fine 3"],
    density: Float[np.ndarray, "fine"],
    count: int,
    rng: np.random.Generator,
) -> Roots:
    """Sample ``count`` roots, uniform over the skin area weighted by ``density``; none where it is zero everywhere."""
    triangles = head_basis().fine_triangles
    triangles = triangles[(density[triangles] > 0.02).any(1)]
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * density[triangles].mean(1)
    if area.sum() <= 0:
        return Roots(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3)))
    chosen = triangles[np.searchsorted(np.cumsum(area) / area.sum(), rng.random(count)).clip(max=len(triangles) - 1)]
    u = rng.random((count, 2))
    u = np.where(u.sum(1, keepdims=True) > 1, 1 - u, u)
    weights = np.stack([1 - u.sum(1), u[:, 0], u[:, 1]], 1)[..., None]

    def at(values: Float[np.ndarray, "fine 3"]) -> Float[np.ndarray, "strand 3"]:
        return (values[chosen] * weights).sum(1)

    return Roots(at(vertices), normalized(at(normals)), at(head_basis().neutral))


def grow(
    roots: Roots,
    directions: Float[np.ndarray, "strand 3"],
    lengths: Float[np.ndarray, "strand"],
    comb: Float[np.ndarray, "strand 3"],
    margin: Float[np.ndarray, "strand"],
    field: DistanceField,
    how: Growth,
    rng: np.random.Generator,
    side: Float[np.ndarray, "strand"] | None = None,
    fringe: Bool[np.ndarray, "strand"] | None = None,
) -> Float[np.ndarray, "strand point 3"]:
    """Grow strands of ``how.points`` points each. ``side`` (+-1) is the side of the parting that a strand falls to; a
    ``fringe`` stays on the face."""
    count = len(roots.points)
    waves, phases = rng.normal(size=(3, 6, 3)), rng.uniform(0, 2 * np.pi, (3, 6))
    waves *= 2.2 * rng.uniform(0.5, 1.6, (3, 6, 1)) / np.linalg.norm(waves, axis=2, keepdims=True)
    jitter = rng.standard_normal((count, how.points, 3), dtype=np.float32) * np.float32(how.noise)
    out = np.empty((count, how.points, 3))
    constants = np.array(
        [how.gravity, how.stiffness, how.comb_start, how.comb_all, *how.face_push, how.waves, how.inward], np.float64
    )
    on_face = np.zeros(count) if fringe is None else fringe.astype(np.float64)
    _grow_all(
        np.ascontiguousarray(roots.points), normalized(directions), lengths, normalized(comb), margin, field.values,
        constants, waves, phases, jitter, np.zeros(count) if side is None else side, on_face, out,
    )  # fmt: skip
    return out


@jit()
def _step(start, end, x):  # type: ignore[no-untyped-def]
    t = min(max((x - start) / (end - start), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@jit()
def _grow_all(  # type: ignore[no-untyped-def]
    roots, directions, lengths, comb, margin, values, constants, waves, phases, jitter, side, fringe, out
):
    gravity, stiffness, comb_start, comb_all, push_x, push_y, push_z, wave_weight, inward = constants
    sampled, pull, d, q = np.empty(4), np.empty(3), np.empty(3), np.empty(3)
    amplitude = (2.0 / waves.shape[1]) ** 0.5
    points = out.shape[1]
    for i in range(len(roots)):
        step = lengths[i] / (points - 1)
        down = gravity * min(step * 14, 1.5)
        out[i, 0] = roots[i]
        d[:] = directions[i]
        for k in range(1, points):
            t, p = k / (points - 1), out[i, k - 1]
            face = _step(0.9, 1.35, p[2]) * _step(0.9, 0.4, abs(p[0])) * (1 - fringe[i])
            held = max(0.0, 0.22 - t) * comb_start + comb_all
            for a in range(3):
                pull[a] = d[a] + held * comb[i, a] + jitter[i, k, a]
                if wave_weight > 0:
                    total = 0.0
                    for m in range(waves.shape[1]):
                        w = waves[a, m]
                        total += np.cos(w[0] * p[0] + w[1] * p[1] + w[2] * p[2] + phases[a, m])
                    pull[a] += wave_weight * amplitude * total
            pull[0] += side[i] * push_x * face - (inward * 0.25 * p[0] if p[1] < 7.3 else 0.0)
            pull[1] += push_y * face - down
            pull[2] -= push_z * face + (inward * 0.2 * (p[2] + 0.1) if p[1] < 7.0 else 0.0)
            length = max((pull[0] ** 2 + pull[1] ** 2 + pull[2] ** 2) ** 0.5, 1e-9)
            d *= stiffness
            d += (1 - stiffness) * pull / length
            d /= max((d[0] ** 2 + d[1] ** 2 + d[2] ** 2) ** 0.5, 1e-9)
            q[:] = p + d * step
            lookup(values, q[0], q[1], q[2], sampled)
            missing = min(margin[i], 0.012 + 2 * margin[i] * t) - sampled[0]
            if missing > 0:
                q += sampled[1:] * missing
                into = d[0] * sampled[1] + d[1] * sampled[2] + d[2] * sampled[3]
                if into < 0:
                    d -= 0.9 * into * sampled[1:]
                    d /= max((d[0] ** 2 + d[1] ** 2 + d[2] ** 2) ** 0.5, 1e-9)
            q -= p
            out[i, k] = p + q * (step / max((q[0] ** 2 + q[1] ** 2 + q[2] ** 2) ** 0.5, 1e-9))


def clump(
    strands: Float[np.ndarray, "strand point 3"],
    rng: np.random.Generator,
    leaders: int,
    amount: float,
    power: float = 1.2,
    side: Float[np.ndarray, "strand"] | None = None,
) -> tuple[Float[np.ndarray, "strand point 3"], Int[np.ndarray, "strand"]]:
    """Draw strands toward the nearest of ``leaders`` strands, more at the tip; never across the parting. Return the
    strands and the clump of each."""
    count = len(strands)
    if count < 2 * leaders:
        return strands, np.zeros(count, np.int64)
    chosen = rng.choice(count, leaders, replace=False)
    tree = cKDTree(strands[chosen, 0])
    wanted = strands[:, 0] + rng.normal(size=(count, 3)) * 0.02
    _, member = tree.query(wanted)
    if side is not None:
        wrong = np.nonzero(side[chosen[member]] * side < 0)[0]
        if len(wrong):
            _, near = tree.query(strands[wrong, 0], k=min(12, leaders))
            same = side[chosen[near]] * side[wrong][:, None] > 0
            member[wrong] = near[np.arange(len(wrong)), np.argmax(same, 1)]
    weight = (amount * np.linspace(0, 1, strands.shape[1]) ** power)[None, :, None]
    return strands * (1 - weight) + strands[chosen[member]] * weight, member


def frames(
    strands: Float[np.ndarray, "strand point 3"],
) -> tuple[Float[np.ndarray, "strand point 3"], Float[np.ndarray, "strand point 3"], Float[np.ndarray, "strand point"]]:
    """Return two unit vectors across each strand, and the length traveled from the root."""
    tangent = normalized(np.gradient(strands, axis=1))
    mean = normalized(strands[:, -1] - strands[:, 0])[:, None]
    # One reference per strand: a reference per point would flip where the tangent passes it.
    reference = np.where(np.abs(mean[..., 1:2]) < 0.8, np.array([0.0, 1.0, 0.0]), np.array([0.6, 0.0, 0.8]))
    across = normalized(np.cross(tangent, np.broadcast_to(reference, tangent.shape)))
    step = np.linalg.norm(np.diff(strands, axis=1), axis=-1)
    return across, np.cross(tangent, across), np.concatenate([np.zeros((len(strands), 1)), np.cumsum(step, 1)], 1)


def curl(
    strands: Float[np.ndarray, "strand point 3"],
    rng: np.random.Generator,
    amplitude: float,
    turns_per_dm: float,
    member: Int[np.ndarray, "strand"],
    jitter: float = 0.35,
    grow_in: float = 0.35,
) -> Float[np.ndarray, "strand point 3"]:
    """Wind strands into helices, in phase within a clump, reaching ``amplitude`` after ``grow_in`` decimeters."""
    across, up, traveled = frames(strands)
    clumps = int(member.max()) + 1
    phase = rng.uniform(0, 2 * np.pi, clumps)[member] + rng.normal(size=len(strands)) * jitter
    turns = turns_per_dm * (1 + 0.2 * rng.normal(size=clumps)[member])
    angle = (2 * np.pi * turns[:, None] * traveled + phase[:, None])[..., None]
    radius = amplitude * np.clip(traveled / max(grow_in, 1e-3), 0, 1) * (1 + 0.25 * rng.normal(size=(len(strands), 1)))
    return strands + radius[..., None] * (np.cos(angle) * across + np.sin(angle) * up)


def resample(strands: Float[np.ndarray, "strand point 3"], points: int) -> Float[np.ndarray, "strand new_point 3"]:
    """Return the same curves with another number of points."""
    place = np.linspace(0, strands.shape[1] - 1, points)
    index = np.minimum(place.astype(int), strands.shape[1] - 2)
    part = (place - index)[None, :, None]
    return strands[:, index] * (1 - part) + strands[:, index + 1] * part


def bundle(
    leaders: Float[np.ndarray, "leader point 3"],
    rng: np.random.Generator,
    hairs: int,
    thickness: float,
    plaited: bool,
) -> Float[np.ndarray, "strand point 3"]:
    """Grow ropes around leaders: matted locs, or braids whose three bundles cross each other."""
    across, up, traveled = (np.repeat(x, hairs, 0) for x in frames(leaders))
    count = len(across)
    base = np.repeat(leaders, hairs, 0)
    inner = thickness * (0.45 if plaited else 1.0) * np.sqrt(rng.random(count))[:, None]
    start = rng.uniform(0, 2 * np.pi, count)[:, None]
    taper = np.clip((traveled[:, -1:] - traveled) / 0.12, 0.25, 1)
    if plaited:
        third = 2 * np.pi / 3 * rng.integers(3, size=count)[:, None]
        wave = 2 * np.pi * traveled / (5.5 * thickness) + third
        sideways = inner * np.cos(start) + 0.75 * thickness * np.sin(wave)
        outward = inner * np.sin(start) + 0.40 * thickness * np.sin(2 * wave)
    else:
        angle = start + 2 * np.pi * traveled * rng.uniform(0.2, 1.2, (count, 1))
        lumps = 1 + 0.15 * np.sin(traveled * 9 + np.repeat(rng.uniform(0, 6.28, len(leaders)), hairs)[:, None])
        sideways, outward = inner * lumps * np.cos(angle), inner * lumps * np.sin(angle)
    return base + taper[..., None] * (sideways[..., None] * across + outward[..., None] * up)
