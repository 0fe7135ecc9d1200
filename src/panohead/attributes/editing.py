"""Attributes of one head, and the displacement in w that a change of them makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.attributes.encoder import AttributeEncoder
from panohead.attributes.estimate import nearest_attributes
from panohead.attributes.named import Attribute, Columns, NumberSetting, Value, Vector, attributes_of
from panohead.errors import UsageError

_MACRO = ("gender", "age", "muscle", "weight")
_ANCESTRY = ("ancestry_african", "ancestry_asian", "ancestry_caucasian")


@dataclass(frozen=True)
class HeadAttributes:
    """Attributes of one head: what they are, and what they become.

    Attributes:
        encoder: network from attributes to w, which also holds their names.
        vector, residual: attribute vector and residual code of the head.
    """

    encoder: AttributeEncoder
    vector: Vector
    residual: Float[np.ndarray, " residual"]

    @classmethod
    def of_w(cls, encoder: AttributeEncoder, w: Float[Tensor, " w_dim"]) -> "HeadAttributes":
        """Return the attributes that are nearest to a w."""
        return cls(encoder, *nearest_attributes(encoder, w))

    @property
    def known(self) -> dict[str, Attribute]:
        """Attributes that heads of this encoder have, by name."""
        return attributes_of(self.encoder.vocabulary)

    def values(self) -> dict[str, Value]:
        """Return all attributes of the head by name."""
        columns = self._columns()
        return {name: attribute.get(self.vector, columns) for name, attribute in self.known.items()}

    def changed(self, values: Mapping[str, object]) -> "HeadAttributes":
        """Return the attributes with some of them set.

        Raises:
            UsageError: for a name that does not exist, or a value out of range.
        """
        known = self.known
        checked = check_values(known, values)
        columns, vector = self._columns(), self.vector.copy()
        for name, value in checked.items():
            known[name].put(vector, columns, value)
        if any(known[name].is_shape for name in checked):
            self._follow_shape(vector, columns)
        return HeadAttributes(self.encoder, vector, self.residual)

    def neutral(self) -> "HeadAttributes":
        """Return the attributes without expression, with the gaze straight ahead."""
        vector = self.vector.copy()
        vector[slice(*self.encoder.vocabulary.sections["expression"])] = 0.0
        return HeadAttributes(self.encoder, vector, self.residual)

    def evenly_lit(self) -> "HeadAttributes":
        """Return the attributes in white light of the same mean brightness from all sides."""
        vector, light = self.vector.copy(), slice(*self.encoder.vocabulary.sections["light"])
        vector[light] = vector[light].mean()
        return HeadAttributes(self.encoder, vector, self.residual)

    @torch.no_grad()
    def w(self) -> Float[Tensor, " w_dim"]:
        """Return w by the encoder."""
        parameter = next(self.encoder.parameters())
        rows = [torch.from_numpy(x)[None].to(parameter) for x in (self.vector, self.residual)]
        return self.encoder(*rows)[0]

    def _columns(self) -> Columns:
        return {name: place for place, name in enumerate(self.encoder.vocabulary.names)}

    def _follow_shape(self, vector: Vector, columns: Columns) -> None:
        """Move the shape section as the mean shape of people moves with age, gender, muscle and weight."""
        vocabulary = self.encoder.vocabulary
        before, after = (mean_shape(_macro(v, columns)) for v in (self.vector, vector))
        components, coordinates = vocabulary.shape_components.shape
        if components and coordinates == len(before):
            vector[slice(*vocabulary.sections["shape"])] += vocabulary.shape_components @ (after - before)


Known = TypeVar("Known", bound=Attribute | NumberSetting)


def check_values(known: Mapping[str, Known], values: Mapping[str, object]) -> dict[str, Value]:
    """Return values that all fit their attributes. Raises UsageError, naming the attribute and what it takes."""
    for name in values:
        check_name(known, name)
    return {name: known[name].checked(value) for name, value in values.items()}


def check_name(known: Mapping[str, Known], name: str) -> Known:
    """Return the attribute of a name. Raises UsageError, with the nearest names, where there is none."""
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    wanted = f"did you mean {' or '.join(near)}?" if near else f"give one such as {', '.join(list(known)[:8])}"
    raise UsageError(f"there is no attribute {name[:60]!r}; {wanted} (docs/attributes.md lists all)")


Macro = tuple[float, float, float, float, tuple[float, float, float]]
"""Gender, age, muscle, weight and the three shares of ancestry."""


def _macro(vector: Vector, columns: Columns) -> Macro:
    gender, muscle, weight = (
        float(np.clip((vector[columns[n]] + 1) / 2, 0, 1)) for n in ("gender", "muscle", "weight")
    )
    age = float(np.clip((vector[columns["age"]] + 1) * 40, 5, 85))
    shares = np.clip([vector[columns[name]] for name in _ANCESTRY], 0.0, None)
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(3, 1 / 3)
    return gender, age, muscle, weight, (float(shares[0]), float(shares[1]), float(shares[2]))


@lru_cache(maxsize=256)
def mean_shape(macro: Macro) -> Float[np.ndarray, " coordinate"]:
    """Return the shape coordinates of a person with these attributes and always the same details; 0.1 s."""
    from panohead.attributes.vocabulary import shape_coordinates
    from panohead.synthetic.people import sample_person

    gender, age, muscle, weight, ancestry = macro
    person = sample_person(0, 0).to_json()
    return shape_coordinates(
        {**person, "gender": gender, "age": age, "muscle": muscle, "weight": weight, "ancestry": ancestry}
    )
