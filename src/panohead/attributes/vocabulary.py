"""Vocabulary of the numbers that describe a synthetic head: names, ranges, and extraction from a dataset's record.

An attribute vector has four sections in a fixed order: ``identity`` (age, skin, hair, clothes, ...), ``shape``
(principal components of the neutral head), ``light`` (irradiance from twelve directions) and ``expression`` (gaze and
ARKit weights). Every number is scaled to about [-1, 1], so that an encoder treats them alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

LIGHT_DIRECTIONS = 12
"""Number of directions, evenly spread over the sphere, in which irradiance is measured."""

_PROBES = 512
"""Number of directions over which radiance is summed."""

GAZE_SCALE, EXPRESSION_SCALE = 3.0, 2.0
"""Scales of gaze (radians) and of ARKit weights in a vector."""

CHOICES: dict[str, tuple[str, ...]] = {
    "hair_style": ("bald", "buzz", "short", "side_part", "slick", "receding", "bob", "bob_fringe", "long", "wavy",
                   "curly", "afro", "ponytail", "bun", "locs", "braids"),
    "beard": ("none", "stubble", "short", "full", "goatee", "moustache"),
    "iris": ("brown", "blue", "green", "hazel", "grey"),
    "clothes": ("crew", "vneck", "turtle", "tank", "shirt", "none"),
    "glasses": ("none", "round", "square", "aviator", "sunglasses"),
    "headwear": ("none", "beanie", "skullcap", "headscarf", "wrap"),
}  # fmt: skip
"""Values of the categorical attributes, in the order of their one-hot numbers."""

_NUMBERS = (
    "gender", "age", "age_child", "age_old", "tone", "melanin", "haemoglobin",
    "ancestry_african", "ancestry_asian", "ancestry_caucasian", "muscle", "weight",
    "hair_melanin", "hair_red", "grey", "dyed", "dye_red", "dye_green", "dye_blue", "freckles", "lipstick",
    "clothes_red", "clothes_green", "clothes_blue", "headwear_red", "headwear_green", "headwear_blue",
)  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """Names of all numbers of an attribute vector, and the basis of its shape section.

    Attributes:
        expressions: ARKit names of the expression weights, in order.
        shape_mean, shape_components: mean of the sampled vertices (decimeters, flattened) and principal directions
            divided by the standard deviation along them; see :func:`fit_shape_basis`.
    """

    expressions: tuple[str, ...]
    shape_mean: Float[np.ndarray, " coordinate"]
    shape_components: Float[np.ndarray, "component coordinate"]
    sections: dict[str, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        start, sections = 0, {}
        for name, names in self._names_by_section().items():
            sections[name] = (start, start + len(names))
            start += len(names)
        object.__setattr__(self, "sections", sections)

    def _names_by_section(self) -> dict[str, list[str]]:
        one_hot = [f"{key}={value}" for key, values in CHOICES.items() for value in values]
        return {
            "identity": [*_NUMBERS, *one_hot],
            "shape": [f"shape_{k}" for k in range(len(self.shape_components))],
            "light": [f"light_{k}_{channel}" for k in range(LIGHT_DIRECTIONS) for channel in "rgb"],
            "expression": ["gaze_x", "gaze_y", *self.expressions],
        }

    @property
    def names(self) -> list[str]:
        """Names of all numbers, in order."""
        return [name for names in self._names_by_section().values() for name in names]

    @property
    def size(self) -> int:
        """Length of an attribute vector."""
        return self.sections["expression"][1]

    def vector(
        self,
        person: Mapping[str, Any],
        shape: Float[np.ndarray, " coordinate"],
        light: Float[np.ndarray, " light"],
        *,
        expression: Mapping[str, float],
        gaze: Sequence[float],
    ) -> Float[np.ndarray, " attribute"]:
        """Return the attribute vector of one shot of a person.

        Args:
            person: the person's record, as ``people.jsonl`` holds it.
            shape: result of :func:`shape_coordinates` for the person.
            light: result of :func:`light_numbers` for the shot's lighting.
            expression: ARKit weights, 0 to 1; names that are missing count as 0.
            gaze: radians, (horizontal, vertical).
        """
        return np.concatenate(
            [
                identity_numbers(person),
                self.shape_components @ (shape - self.shape_mean),
                light,
                [gaze[0] * GAZE_SCALE, gaze[1] * GAZE_SCALE],
                [expression.get(name, 0.0) * EXPRESSION_SCALE for name in self.expressions],
            ]
        ).astype(np.float32)


def identity_numbers(person: Mapping[str, Any]) -> Float[np.ndarray, " identity"]:
    """Return the identity section: ``_NUMBERS``, then the one-hot numbers of ``CHOICES``."""
    age, dye = person["age"], person["dye"]
    numbers = [
        person["gender"] * 2 - 1, age / 40 - 1, max(0.0, (20 - age) / 15), max(0.0, (age - 45) / 40),
        person["tone"] * 2 - 1, person["melanin"] - 1, person["haemoglobin"] * 2 - 1, *person["ancestry"],
        person["muscle"] * 2 - 1, person["weight"] * 2 - 1,
        person["hair_melanin"], person["hair_red"], person["grey"],
        float(dye is not None), *(dye or (0.0, 0.0, 0.0)), person["freckles"] * 3, person["lipstick"],
        *_display(person.get("clothes_color")), *_display(person.get("headwear_color")),
    ]  # fmt: skip
    one_hot = [float(person[key] == value) for key, values in CHOICES.items() for value in values]
    return np.array([*numbers, *one_hot], np.float32)


def _display(color: Sequence[float] | None) -> list[float]:
    """Map linear RGB to about [-1, 1], in perceptually even steps; zeros for no color."""
    return [0.0, 0.0, 0.0] if color is None else [2 * float(c) ** (1 / 2.2) - 1 for c in color]


def light_numbers(lighting: Mapping[str, Any]) -> Float[np.ndarray, " light"]:
    """Return the light section: log irradiance (exposure included) on surfaces that face twelve directions.

    Args:
        lighting: a lighting's record, as ``people.jsonl`` holds it.
    """
    from panohead.synthetic.renderer.lighting import Lighting, fibonacci_sphere

    lights = lighting["lights"]
    light = Lighting(
        tuple(lighting["above"]),
        tuple(lighting["below"]),
        np.array([x["direction"] for x in lights]),
        np.array([x["width"] for x in lights]),
        np.array([x["colour"] for x in lights]),
        lighting["exposure"],
    )
    directions = fibonacci_sphere(_PROBES)
    cosine = np.clip(fibonacci_sphere(LIGHT_DIRECTIONS) @ directions.T, 0, None)
    # 4 / count: the mean over the sphere of the clamped cosine is 1/4, so even light of radiance 1 gives 1.
    # direction 3, linear RGB
    irradiance = cosine @ light.radiance(directions) * (4 / _PROBES) * light.exposure
    # 0.02: darkness has a finite logarithm.
    return np.log(irradiance + 0.02).ravel().astype(np.float32)


def shape_coordinates(person: Mapping[str, Any]) -> Float[np.ndarray, " coordinate"]:
    """Return a seventh of the neutral head's vertices (decimeters), flattened: the input of the shape basis."""
    from panohead.synthetic.basis import head_basis
    from panohead.synthetic.shape import head_vertices

    neutral = person_of_record({**person, "expression": {}, "gaze": [0.0, 0.0]})
    return head_vertices(neutral)[: head_basis().body_count : 7].ravel().astype(np.float32)


def person_of_record(record: Mapping[str, Any]) -> Any:
    """Return the synthetic :class:`Person` of a line of ``people.jsonl``; other entries of the line are ignored."""
    from dataclasses import fields

    from panohead.synthetic.people import Person

    values = {f.name: record[f.name] for f in fields(Person) if f.name in record}
    for name in ("ancestry", "gaze", "dye"):
        values[name] = None if values[name] is None else tuple(values[name])
    return Person(**values)


def fit_shape_basis(
    shapes: Float[np.ndarray, "person coordinate"], components: int
) -> tuple[Float[np.ndarray, " coordinate"], Float[np.ndarray, "component coordinate"]]:
    """Return mean and whitened principal directions of heads: ``directions @ (shape - mean)`` has unit variance."""
    mean = shapes.mean(axis=0)
    _, singular, directions = np.linalg.svd(shapes - mean, full_matrices=False)
    deviation = singular[:components] / np.sqrt(max(len(shapes) - 1, 1))
    return mean, (directions[:components] / np.maximum(deviation, 1e-6)[:, None]).astype(np.float32)


def expression_names() -> tuple[str, ...]:
    """Return ARKit's names of all expression weights that the head basis knows, sorted."""
    from panohead.synthetic.basis import head_basis

    return tuple(sorted(k.split("/")[1] for k in head_basis().target_index if k.startswith("expression/")))


def standard_vocabulary(*, components: int = 32, people: int = 400, seed: int = 4242) -> Vocabulary:
    """Return the vocabulary with a shape basis of randomly drawn people; deterministic for the same arguments.

    Args:
        components: number of principal components of shape.
        people: number of drawn people; about 0.03 s each.
    """
    from panohead.synthetic.people import sample_person

    shapes = np.stack([shape_coordinates(sample_person(seed, index).to_json()) for index in range(people)])
    return Vocabulary(expression_names(), *fit_shape_basis(shapes, components))
