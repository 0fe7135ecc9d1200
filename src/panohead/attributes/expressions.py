"""Expressions by ARKit's names: checked weights, and the gaze that follows from the eyes' units."""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from panohead.attributes.vocabulary import Vocabulary
from panohead.errors import UsageError
from panohead.limits import NumberRange

WEIGHT_RANGE = NumberRange(0, 1)
_UNITS_PER_RADIAN = 1.5
"""Weight of an eye's unit for a turn of one radian, as in the synthetic people's shots."""
_GAZE_LIMITS_DEG = {"gaze_x": (-25.0, 25.0), "gaze_y": (-20.0, 15.0)}


def expression_attributes(vocabulary: Vocabulary, weights: Mapping[str, object]) -> dict[str, float]:
    """Return attributes (of :mod:`panohead.attributes.named`) that give a head some expression weights.

    Units of the eyes' turning also turn the gaze, unless all of them are missing.

    Args:
        vocabulary: of the model, which knows the names.
        weights: 0 to 1 by ARKit's names.

    Raises:
        UsageError: for a name that does not exist (the nearest are suggested), or a weight out of range.
    """
    checked = check_expression(vocabulary.expressions, weights)
    values = dict(checked)
    if any(name.startswith("eyeLook") for name in checked):
        values |= gaze_of(checked)
    return values


def check_expression(names: tuple[str, ...], weights: Mapping[str, object]) -> dict[str, float]:
    """Return the weights as floats. Raises UsageError as of :func:`expression_attributes`."""
    checked = {}
    for name, value in weights.items():
        if name not in names:
            near = get_close_matches(str(name), names, n=3, cutoff=0.5)
            wanted = f"did you mean {' or '.join(near)}?" if near else "give one of ARKit's, such as jawOpen"
            raise UsageError(f"there is no expression {str(name)[:60]!r}; {wanted} (docs/animation.md lists all)")
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise UsageError(f"{name} is {str(value)[:60]!r}; give a number from 0 to 1") from None
        checked[name] = WEIGHT_RANGE.real(value, name)
    return checked


def gaze_of(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the gaze in degrees (``gaze_x`` to the person's left, ``gaze_y`` up) of the eyes' units.

    Both eyes turn alike; within the range that the model knows.
    """

    def unit(name: str) -> float:
        return float(weights.get(f"eyeLook{name}", 0.0))

    across = (unit("OutLeft") + unit("InRight") - unit("InLeft") - unit("OutRight")) / 2
    up = (unit("UpLeft") + unit("UpRight") - unit("DownLeft") - unit("DownRight")) / 2
    turned = {"gaze_x": across, "gaze_y": up}
    return {
        name: float(np.clip(np.degrees(value / _UNITS_PER_RADIAN), *_GAZE_LIMITS_DEG[name]))
        for name, value in turned.items()
    }
