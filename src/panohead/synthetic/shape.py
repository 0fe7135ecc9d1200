"""Vertices of the head from a person's parameters: macro shapes, details, asymmetry, expression, pose of the torso."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from panohead.synthetic.basis import head_basis
from panohead.synthetic.fields import smoothstep
from panohead.synthetic.people import Person

_SUFFIXES = (
    ("decr", "incr"),
    ("down", "up"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
    ("in", "out"),
)
_NEVER = ("head-trans", "neck-trans")
_HALVED = ("measure-neck-circ", "measure-neck-height", "neck-double", "head-age")
_HEAD_SHAPES = ("diamond", "oval", "rectangular", "round", "square", "triangular", "invertedtriangular")
_NECK = np.array([0.0, 6.05, 0.05])  # pivot of the torso, decimeters of the neutral head


def head_vertices(person: Person) -> Float[np.ndarray, "vertex 3"]:
    """Return coarse vertices (body and helpers) in the frame of the neutral head, decimeters.

    The face without its expression is mapped onto the neutral head's by the least-squares similarity, so that size,
    position and tilt of every face are those of the neutral one and the framing needs one set of constants for all.
    """
    return head_shapes(person, [person.expression])[0]


def head_shapes(person: Person, expressions: Sequence[Mapping[str, float]]) -> list[Float[np.ndarray, "vertex 3"]]:
    """Return one person's coarse vertices under several expressions (weights by ARKit's names), in the same frame."""
    basis = head_basis()
    identity = _identity_weights(person)
    scale, rotation, offset = _onto_neutral(basis.blend(identity))
    shapes = []
    for weights in expressions:
        expression = np.zeros_like(identity)
        for name, value in weights.items():
            expression[basis.target_index[f"expression/{name}"]] += value
        vertices = scale * (basis.blend(identity + expression) @ rotation.T) + offset
        shapes.append(_turn_torso(vertices, person.stream("torso")))
    return shapes


def _identity_weights(person: Person) -> Float[np.ndarray, "target"]:
    weights = np.zeros(len(head_basis().target_index))
    _add_macro(weights, person)
    _add_details(weights, person)
    return weights


def _add_macro(weights: Float[np.ndarray, "target"], person: Person) -> None:
    """Set MakeHuman's macro targets: products of gender, age, muscle and weight; and of ancestry, gender and age."""
    index = head_basis().target_index
    child, baby = np.clip((25 - person.age) / 13, 0, 1), np.clip((12 - person.age) / 11, 0, 1)
    old = np.clip((person.age - 25) / 60, 0, 1)
    ages = {"baby": baby, "child": max(0.0, child - baby), "young": 1 - max(child, old), "old": old}
    muscles, fats = _three_levels(person.muscle, "muscle"), _three_levels(person.weight, "weight")
    for gender, of_gender in (("female", 1 - person.gender), ("male", person.gender)):
        for age, of_age in ages.items():
            for muscle, of_muscle in muscles.items():
                for fat, of_fat in fats.items():
                    name = f"macrodetails/universal-{gender}-{age}-{muscle}-{fat}"
                    if name in index:
                        weights[index[name]] += of_gender * of_age * of_muscle * of_fat
            for origin, share in zip(("african", "asian", "caucasian"), person.ancestry, strict=True):
                name = f"macrodetails/{origin}-{gender}-{age}"
                if name in index:
                    weights[index[name]] += of_gender * of_age * share


def _three_levels(value: float, name: str) -> dict[str, float]:
    return {
        f"min{name}": max(0.0, 1 - 2 * value),
        f"average{name}": 1 - abs(2 * value - 1),
        f"max{name}": max(0.0, 2 * value - 1),
    }


def _add_details(weights: Float[np.ndarray, "target"], person: Person) -> None:
    """Set pairs of opposite details (the two halves of the face nearly alike), a head shape, asymmetry."""
    index, rng = head_basis().target_index, person.stream("details")
    spread = 0.23 if person.age > 16 else 0.14  # above .3 faces turn into caricatures
    drawn: dict[str, float] = {}
    for name in sorted(index):
        folder, _, detail = name.partition("/")
        if folder in ("macrodetails", "expression", "asym", "torso") or detail.startswith(_NEVER):
            continue
        for low, high in _SUFFIXES:
            if not detail.endswith("-" + low) or f"{name[: -len(low)]}{high}" not in index:
                continue
            stem = detail[: -len(low) - 1]
            sd = spread * (0.4 if "trans" in stem else 1) * (0.5 if stem in _HALVED or "angle" in stem else 1)
            shared = stem[2:] if stem[:2] in ("l-", "r-") else stem
            if shared not in drawn:
                drawn[shared] = float(np.clip(rng.normal() * sd, -1, 1))
            value = drawn[shared] + (rng.normal() * 0.03 if shared != stem else 0.0)
            weights[index[name if value < 0 else f"{name[: -len(low)]}{high}"]] += abs(value)
            break
    for shape in rng.choice(_HEAD_SHAPES, 2, replace=False):
        weights[index[f"head/head-{shape}"]] += rng.uniform(0, 0.4)
    for name in sorted(index):
        if name.startswith("asym/") and rng.random() < 0.35:
            weights[index[name]] += abs(rng.normal()) * 0.1


def _onto_neutral(
    vertices: Float[np.ndarray, "vertex 3"],
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Return scale, rotation and offset of the similarity from this face to the neutral one (Umeyama 1991)."""
    basis = head_basis()
    neutral = basis.vertices[: basis.body_count]
    face = (neutral[:, 2] > 0.95) & (np.abs(neutral[:, 0]) < 0.75) & (neutral[:, 1] > 6.3) & (neutral[:, 1] < 7.9)
    source, target = vertices[: basis.body_count][face], neutral[face]
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean)
    left, singular, right = np.linalg.svd(covariance)
    sign = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(left @ right)))])
    rotation = left @ sign @ right
    scale = float((singular * np.diag(sign)).sum() / ((source - source_mean) ** 2).sum())
    return scale, rotation, target_mean - scale * rotation @ source_mean


def _turn_torso(vertices: Float[np.ndarray, "vertex 3"], rng: np.random.Generator) -> Float[np.ndarray, "vertex 3"]:
    """Turn the shoulders a little under the head, which stays canonical; blended along the neck."""
    yaw, pitch = rng.normal() * 0.12, rng.normal() * 0.07 + 0.13
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    rotation = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    neutral = head_basis().vertices
    share = smoothstep(6.35, 5.55, neutral[:, 1] - 0.12 * np.clip(neutral[:, 2] - 0.6, 0, 1))[:, None]
    turned = (vertices - _NECK) @ rotation.T + _NECK
    return vertices * (1 - share) + turned * share
