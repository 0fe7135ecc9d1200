"""Shots of one person: expression weights (ARKit's 52 names) and gaze, with separate random numbers per shot.

Edition 1 has one mostly neutral expression per person. In edition 2 a share of the shots is clearly stronger: one to
three acts (a laugh, a wink, puffed cheeks, ...), sometimes a few units at random, and a wider gaze.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from panohead.synthetic.people import Person, sample_expression

STRONG_SHARE = 0.4
"""Share of the shots of edition 2 with a strong expression."""
_RANDOM_SHARE = 0.35
"""Share of the strong shots that get a few random units, added to the acts or alone."""
GAZE_SD, GAZE_LIMITS = (0.30, 0.15), ((-0.6, 0.6), (-0.40, 0.32))
"""Deviations and limits of a gaze to the person's left, and up; radians."""
_MAX_CLOSE = 0.4
"""Maximum of jawOpen behind closed lips: the basis cannot close them over a wide open jaw."""
SINGLE_UNITS = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
    "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "tongueOut",
)  # fmt: skip
PAIRED_UNITS = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
    "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
)  # fmt: skip
EXPRESSION_UNITS = tuple(
    sorted([*SINGLE_UNITS, *(f"{name}{side}" for name in PAIRED_UNITS for side in ("Left", "Right"))])
)
"""ARKit's 52 names of expression units, sorted."""
_OPPOSED = (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"))
FACE_UNITS = tuple(name for name in EXPRESSION_UNITS if not name.startswith("eyeLook"))
"""Those that do not follow from the gaze."""
ExpressionWeights = dict[str, float]


@dataclass(frozen=True)
class Shot:
    """Expression and gaze of one shot; everything else of a person stays. ``gaze`` in radians (right of the nose
    negative, up positive)."""

    expression: ExpressionWeights
    gaze: tuple[float, float]
    strong: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values, rounded to six digits."""
        return {
            "expression": {name: round(value, 6) for name, value in self.expression.items()},
            "gaze": [round(value, 6) for value in self.gaze],
            "strong": self.strong,
        }


def sample_shots(person: Person, count: int) -> list[Shot]:
    """Return ``count`` independent shots; the first ones are the same for any ``count``."""
    return [_sample_shot(person.stream(f"shot {k}")) for k in range(count)]


def _sample_shot(rng: np.random.Generator) -> Shot:
    if rng.random() >= STRONG_SHARE:
        calm = sample_expression(rng)
        return Shot(calm["expression"], calm["gaze"], strong=False)
    weights: ExpressionWeights = {}
    alone = rng.random() < _RANDOM_SHARE
    if alone:
        _random_units(weights, rng)
    if not alone or rng.random() < 0.5:
        for act in rng.choice(len(_ACTS), rng.integers(1, 4), replace=False):
            _ACTS[act](weights, rng)
    if "eyeBlinkLeft" not in weights:
        _both(weights, "eyeBlink", rng.uniform(0, 0.12), 0.0, rng)
    gaze = rng.normal(size=2) * GAZE_SD
    across, up = (float(np.clip(g, *limits)) for g, limits in zip(gaze, GAZE_LIMITS, strict=True))
    weights |= gaze_units(across, up)
    _reconcile(weights)
    return Shot({name: float(min(value, 1.0)) for name, value in weights.items()}, (across, up), strong=True)


def gaze_units(across: float, up: float) -> ExpressionWeights:
    """Return the weights of the units that turn the eyes, as ARKit measures a gaze.

    Args:
        across: radians; positive turns both eyes to the person's left.
        up: radians, positive upward.
    """
    sideways = min(abs(across) * 1.5, 1.0)
    left, right = ("Out", "In") if across > 0 else ("In", "Out")
    weights = {f"eyeLook{left}Left": sideways, f"eyeLook{right}Right": sideways}
    for side in ("Left", "Right"):
        weights[f"eyeLook{'Up' if up > 0 else 'Down'}{side}"] = min(abs(up) * 1.5, 1.0)
    return weights


def _reconcile(weights: ExpressionWeights) -> None:
    """Reduce units that exclude each other: jaw left and right; closed lips, open jaw and tongue."""
    for first, second in _OPPOSED:
        if first in weights and second in weights:
            weaker = first if weights[first] < weights[second] else second
            del weights[weaker]
    for side in ("Left", "Right"):
        blink, wide = f"eyeBlink{side}", f"eyeWide{side}"
        if weights.get(wide, 0.0) > 0 and weights.get(blink, 0.0) > 0.3:
            del weights[wide]
    if weights.get("tongueOut", 0.0) > 0:
        weights["jawOpen"] = max(weights.get("jawOpen", 0.0), 0.25 + 0.25 * weights["tongueOut"])
        for name in ("mouthClose", "mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper"):
            weights.pop(name, None)
    if weights.get("mouthClose", 0.0) > 0:  # ARKit: how far the lips are closed over an open jaw, at most all of it
        jaw = min(max(weights.get("jawOpen", 0.0), 0.1), _MAX_CLOSE)
        weights["jawOpen"], weights["mouthClose"] = jaw, min(weights["mouthClose"], 1.0) * jaw


def _both(weights: ExpressionWeights, name: str, value: float, uneven: float, rng: np.random.Generator) -> None:
    """Add to the two halves of a pair, one of them weaker by up to ``uneven``; at most 1."""
    sides = [f"{name}Left", f"{name}Right"]
    weak = int(rng.integers(2))
    for k, side in enumerate(sides):
        amount = value * (1 - (rng.uniform(0, uneven) if k == weak else 0.0))
        weights[side] = float(min(max(weights.get(side, 0.0), amount), 1.0))


def _one(weights: ExpressionWeights, name: str, value: float) -> None:
    weights[name] = float(min(max(weights.get(name, 0.0), value), 1.0))


def _random_units(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    """Add two to six of the 52 units (not the eyes' turning, which follows the gaze), pairs mostly together."""
    names = [name for name in (*SINGLE_UNITS, *PAIRED_UNITS) if not name.startswith("eyeLook")]
    for pick in rng.choice(len(names), rng.integers(2, 7), replace=False):
        name, value = names[pick], rng.uniform(0.15, 0.85)
        if name in SINGLE_UNITS:
            _one(weights, name, value)
        elif rng.random() < 0.6:
            _both(weights, name, value, 0.3, rng)
        else:
            _one(weights, f"{name}{'Left' if rng.random() < 0.5 else 'Right'}", value)


def _smile(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    value = rng.uniform(0.5, 1.0)
    _both(weights, "mouthSmile", value, 0.3, rng)
    _both(weights, "cheekSquint", value * rng.uniform(0.2, 0.7), 0.1, rng)
    if rng.random() < 0.5:
        _both(weights, "mouthDimple", rng.uniform(0.1, 0.6), 0.2, rng)
    if rng.random() < 0.4:
        _both(weights, "mouthUpperUp", rng.uniform(0.2, 0.7), 0.1, rng)


def _laugh(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _smile(weights, rng)
    _one(weights, "jawOpen", rng.uniform(0.2, 0.6))
    _both(weights, "mouthUpperUp", rng.uniform(0.2, 0.6), 0.1, rng)
    _both(weights, "eyeSquint", rng.uniform(0.2, 0.8), 0.1, rng)


def _open_mouth(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _one(weights, "jawOpen", rng.uniform(0.3, 1.0))
    if rng.random() < 0.4:
        _both(weights, "mouthLowerDown", rng.uniform(0.2, 0.8), 0.1, rng)


def _frown(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _both(weights, "mouthFrown", rng.uniform(0.4, 1.0), 0.2, rng)
    if rng.random() < 0.5:
        _one(weights, "mouthShrugLower", rng.uniform(0.2, 0.8))
        _one(weights, "mouthShrugUpper", rng.uniform(0.1, 0.5))
    if rng.random() < 0.5:
        _one(weights, "browInnerUp", rng.uniform(0.2, 0.8))


def _anger(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _both(weights, "browDown", rng.uniform(0.5, 1.0), 0.2, rng)
    _both(weights, "noseSneer", rng.uniform(0.0, 0.8), 0.3, rng)
    if rng.random() < 0.5:
        _both(weights, "mouthPress", rng.uniform(0.3, 1.0), 0.2, rng)


def _surprise(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    value = rng.uniform(0.5, 1.0)
    _one(weights, "browInnerUp", value)
    _both(weights, "browOuterUp", value * rng.uniform(0.5, 1.0), 0.2, rng)
    _both(weights, "eyeWide", rng.uniform(0.3, 1.0), 0.1, rng)
    if rng.random() < 0.5:
        _one(weights, "jawOpen", rng.uniform(0.1, 0.7))


def _raised_brow(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    raised, other = ("Left", "Right") if rng.random() < 0.5 else ("Right", "Left")
    _one(weights, f"browOuterUp{raised}", rng.uniform(0.5, 1.0))
    _one(weights, f"browDown{other}", rng.uniform(0.0, 0.7))


def _wink(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    side = "Left" if rng.random() < 0.5 else "Right"
    for name in ("Left", "Right"):
        weights[f"eyeBlink{name}"] = float(rng.uniform(0.85, 1.0) if name == side else rng.uniform(0.0, 0.1))
    _one(weights, f"cheekSquint{side}", rng.uniform(0.2, 0.9))


def _lids(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    """Close the lids, wholly or half."""
    value = rng.uniform(0.9, 1.0) if rng.random() < 0.6 else rng.uniform(0.25, 0.7)
    weights["eyeBlinkLeft"] = weights["eyeBlinkRight"] = float(value)


def _squint(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _both(weights, "eyeSquint", rng.uniform(0.5, 1.0), 0.3, rng)
    _both(weights, "cheekSquint", rng.uniform(0.2, 0.9), 0.3, rng)


def _kiss(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _one(weights, "mouthPucker" if rng.random() < 0.6 else "mouthFunnel", rng.uniform(0.4, 1.0))


def _puff(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _one(weights, "cheekPuff", rng.uniform(0.4, 1.0))


def _tongue(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    _one(weights, "tongueOut", rng.uniform(0.4, 1.0))


def _jaw(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    """Push the jaw forward or aside, or open it behind closed lips."""
    kind = rng.integers(4)
    if kind == 3:
        _one(weights, "jawOpen", rng.uniform(0.15, _MAX_CLOSE))
        _one(weights, "mouthClose", rng.uniform(0.5, 1.0))
    else:
        _one(weights, ("jawForward", "jawLeft", "jawRight")[kind], rng.uniform(0.4, 1.0))


def _crooked_mouth(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    side = "Left" if rng.random() < 0.5 else "Right"
    _one(weights, f"mouth{side}", rng.uniform(0.4, 1.0))
    if rng.random() < 0.5:
        _one(weights, f"mouthSmile{side}", rng.uniform(0.3, 1.0))


def _lips(weights: ExpressionWeights, rng: np.random.Generator) -> None:
    """Roll in, press or stretch the lips."""
    kind = rng.integers(3)
    if kind == 0:
        _one(weights, "mouthRollLower", rng.uniform(0.3, 1.0))
        _one(weights, "mouthRollUpper", rng.uniform(0.2, 1.0))
    elif kind == 1:
        _both(weights, "mouthPress", rng.uniform(0.5, 1.0), 0.2, rng)
    else:
        _both(weights, "mouthStretch", rng.uniform(0.4, 1.0), 0.2, rng)
        _both(weights, "mouthLowerDown", rng.uniform(0.2, 1.0), 0.2, rng)


_ACTS: tuple[Callable[[ExpressionWeights, np.random.Generator], None], ...] = (
    _smile, _laugh, _open_mouth, _frown, _anger, _surprise, _raised_brow, _wink, _lids, _squint, _kiss, _puff, _tongue,
    _jaw, _crooked_mouth, _lips,
)  # fmt: skip
