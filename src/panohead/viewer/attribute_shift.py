"""Attribute sliders: a head moves in w by the difference that its attributes make to the encoder's average person."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.attributes import AttributeEncoder
from panohead.errors import UsageError
from panohead.limits import NumberRange

SHIFT = NumberRange(-2, 2)
"""Displacement of an attribute, in the scale of the vocabulary (about -1 to 1 over its range)."""
_SLIDERS = (
    "age", "gender", "tone", "weight", "muscle", "hair_melanin", "hair_red", "grey", "freckles", "lipstick",
)  # fmt: skip
"""Attributes that get a slider where the vocabulary has them; the other numbers mean little on their own."""


class AttributeShift:
    """Displacements in w by named attributes.

    Args:
        encoder: network from attributes to w.
    """

    def __init__(self, encoder: AttributeEncoder) -> None:
        self._encoder = encoder
        self._names = encoder.vocabulary.names

    @property
    def names(self) -> list[str]:
        """Attributes that have a slider."""
        return [name for name in _SLIDERS if name in self._names]

    @torch.no_grad()
    def displacement(self, attributes: Sequence[tuple[str, float]]) -> Float[Tensor, " w_dim"]:
        """Return the displacement in w of attributes moved by so much from the average person.

        Raises:
            UsageError: for an attribute without a slider, or a displacement out of range.
        """
        parameter = next(self._encoder.parameters())
        both = torch.zeros(2, self._encoder.vocabulary.size, device=parameter.device)
        for name, value in attributes:
            if name not in self.names:
                raise UsageError(f"there is no slider {name!r}; give one of {', '.join(self.names)}")
            both[1, self._names.index(name)] = SHIFT.real(value, name)
        average, moved = self._encoder(both)
        return moved - average
