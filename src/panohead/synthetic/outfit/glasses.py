"""Spectacles: two rims, a bridge, two temples over the ears; dark lenses for sunglasses (clear ones are not drawn)."""

import numpy as np
from jaxtyping import Float

from panohead.synthetic.basis import head_basis
from panohead.synthetic.hair.field import DistanceField
from panohead.synthetic.mesh import Material, Part, tube
from panohead.synthetic.people import Person

# Half-width and half-height of a rim (decimeters), exponent of its superellipse, thickness of the frame.
_SHAPES = {
    "round": (0.235, 0.225, 2.0, 0.016), "square": (0.265, 0.185, 3.6, 0.023),
    "aviator": (0.275, 0.235, 2.4, 0.012), "sunglasses": (0.28, 0.215, 3.0, 0.022),
}  # fmt: skip
_COLORS = ((0.012, 0.012, 0.012), (0.06, 0.03, 0.015), (0.35, 0.24, 0.09), (0.25, 0.25, 0.26), (0.18, 0.03, 0.03))
_WRAP = 0.10  # curvature of the frame away from the middle, per decimeter


def glasses(
    person: Person, coarse: Float[np.ndarray, "vertex 3"], skin: Float[np.ndarray, "fine 3"], field: DistanceField
) -> list[Part]:
    """Return the meshes of the glasses in the head frame; none where the person wears none."""
    if person.glasses == "none":
        return []
    basis, rng = head_basis(), person.stream("glasses")
    width, height, exponent, thickness = _SHAPES[person.glasses]
    size = rng.uniform(0.94, 1.08)
    width, height, thickness = width * size, height * size, thickness * rng.uniform(0.85, 1.15)
    eyes = [_middle(coarse[np.unique(basis.helpers[f"helper-{side}-eye"])]) for side in "lr"]
    eyes.sort(key=lambda eye: -eye[0])  # +x first
    front = _front_plane(skin, eyes, width, height)
    color = np.array(_COLORS[rng.integers(len(_COLORS))])
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    paths: list[tuple[Float[np.ndarray, "point 3"], bool]] = []
    parts = []
    for sign, eye in zip((1, -1), eyes, strict=True):
        x = sign * width * _power(np.cos(angle), 2 / exponent)
        y = height * _power(np.sin(angle), 2 / exponent) - 0.02
        if person.glasses == "aviator":
            x = x * (1 - 0.16 * (y < 0) * np.abs(y) / height)
        rim = np.stack([eye[0] + x, eye[1] + y, np.zeros_like(x)], 1)
        rim[:, 2] = front - _WRAP * rim[:, 0] ** 2
        paths.append((rim, True))
        if person.glasses == "sunglasses":
            parts.append(_lens(rim, np.array([0.010, 0.009, 0.008])))
        paths.append((_temple(sign, eye, width, front, skin, field), False))
    paths.append((_bridge(eyes, width, front, skin), False))
    for path, closed in paths:
        vertices, triangles = tube(path, (thickness, thickness * 0.8), closed)
        parts.append(Part(vertices, triangles, np.tile(color, (len(vertices), 1)), Material.FRAME))
    return parts


def _power(x: Float[np.ndarray, "point"], exponent: float) -> Float[np.ndarray, "point"]:
    return np.sign(x) * np.abs(x) ** exponent


def _middle(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "3"]:
    return (points.max(0) + points.min(0)) / 2


def _front_plane(
    skin: Float[np.ndarray, "fine 3"], eyes: list[Float[np.ndarray, "3"]], width: float, height: float
) -> float:
    """Return z at which flat rims just clear brow and cheek (the nose passes between them)."""
    shown = head_basis().masks["inside-mouth"] < 0.3
    clear = 0.0
    for eye in eyes:
        near = (
            (np.abs(skin[:, 0] - eye[0]) < width) & (np.abs(skin[:, 1] - eye[1]) < height) & (np.abs(skin[:, 0]) > 0.13)
        )
        clear = max(clear, float((skin[near & shown, 2] + _WRAP * skin[near & shown, 0] ** 2).max()))
    return clear + 0.035


def _bridge(
    eyes: list[Float[np.ndarray, "3"]], width: float, front: float, skin: Float[np.ndarray, "fine 3"]
) -> Float[np.ndarray, "point 3"]:
    """Return an arc over the nose, in front of it."""
    height = (eyes[0][1] + eyes[1][1]) / 2 + 0.05
    nose = (np.abs(skin[:, 0]) < 0.06) & (np.abs(skin[:, 1] - height) < 0.06)
    top = max(float(skin[nose, 2].max()) + 0.03, front)
    right, left = eyes[0][0] - width, eyes[1][0] + width
    t = np.linspace(0, 1, 13)
    bow = np.sin(np.pi * t)
    return np.stack([right + (left - right) * t, height + 0.03 * bow, front + (top - front) * bow], 1)


def _temple(
    sign: int,
    eye: Float[np.ndarray, "3"],
    width: float,
    front: float,
    skin: Float[np.ndarray, "fine 3"],
    field: DistanceField,
) -> Float[np.ndarray, "point 3"]:
    """Return a path from the hinge over the ear, bent down behind it."""
    ears = skin[(head_basis().masks["ears"] > 0.3) & (sign * skin[:, 0] > 0)]
    top = ears[ears[:, 1].argmax()]
    hinge_x = eye[0] + sign * width
    hinge = np.array([hinge_x, eye[1] + 0.06, front - _WRAP * hinge_x**2])
    over = np.array([sign * (abs(top[0]) + 0.0), top[1] - 0.03, top[2]])
    behind = over + np.array([-sign * 0.03, -0.22, -0.16])
    straight = hinge + (over - hinge) * np.linspace(0, 1, 14)[:, None]
    bent = over + (behind - over) * np.linspace(0, 1, 5)[1:, None]
    return field.push_out(np.concatenate([straight, bent])[None], 0.02)[0]


def _lens(rim: Float[np.ndarray, "point 3"], color: Float[np.ndarray, "3"]) -> Part:
    """Return a triangle fan, slightly domed so that it mirrors more than one direction."""
    middle = rim.mean(0)
    rings = [middle + (rim - middle) * share + np.array([0, 0, 0.02 * (1 - share**2)]) for share in (1.0, 0.66, 0.33)]
    vertices = np.concatenate([*rings, middle[None] + [0, 0, 0.02]])
    count = len(rim)
    i, ahead = np.arange(count), (np.arange(count) + 1) % count
    triangles = []
    for ring in range(2):
        a, b = ring * count, (ring + 1) * count
        triangles += [np.stack([a + i, a + ahead, b + i], 1), np.stack([b + i, a + ahead, b + ahead], 1)]
    triangles.append(np.stack([2 * count + i, 2 * count + ahead, np.full(count, 3 * count)], 1))
    joined = np.concatenate(triangles)
    if middle[0] < 0:  # the mirrored rim runs the other way round
        joined = joined[:, ::-1]
    return Part(vertices, np.ascontiguousarray(joined), np.tile(color, (len(vertices), 1)), Material.LENS)
