"""Attributes by the names and units that users give: ``age=60``, ``hair_style=bob``, ``skin_tone=0.8``, ``smile=0.7``.

Each attribute reads its value from an attribute vector of the :class:`Vocabulary` and writes it there, with all numbers
that follow from it: an age also has the numbers of children and of old people, a skin tone its melanin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from panohead.attributes.vocabulary import CHOICES, EXPRESSION_SCALE, GAZE_SCALE, Vocabulary
from panohead.errors import UsageError
from panohead.limits import NumberRange

Value = float | str
"""A number, or one of an attribute's words."""
Columns = Mapping[str, int]
"""Positions of a vocabulary's numbers by their names."""
Vector = Float[np.ndarray, " attribute"]
"""Attribute vector of one head."""


@dataclass(frozen=True)
class NumberSetting:
    """A number that users set by name.

    Attributes:
        name: what users call it.
        limits: its range.
    """

    name: str
    limits: NumberRange

    def checked(self, value: object) -> Value:
        """Return the value as a float. Raises UsageError when it is no number of the range."""
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                limits = f"{self.limits.low:g} to {self.limits.high:g}"
                raise UsageError(f"{self.name} is {str(value)[:60]!r}; give a number from {limits}") from None
        return self.limits.real(value, self.name)

    @property
    def about(self) -> str:
        """The values in words."""
        return f"{self.limits.low:g} to {self.limits.high:g}{' ' * bool(self.limits.unit)}{self.limits.unit}"


@dataclass(frozen=True)
class NumberAttribute(NumberSetting):
    """An attribute that is a number.

    Attributes:
        read, write: value from a vector, and into one.
        is_shape: True where the shape of the skull and face follows from it.
    """

    read: Callable[[Vector, Columns], float]
    write: Callable[[Vector, Columns, float], None]
    is_shape: bool = False

    def get(self, vector: Vector, columns: Columns) -> Value:
        """Return the value in a vector, within the range."""
        return float(np.clip(self.read(vector, columns), self.limits.low, self.limits.high))

    def put(self, vector: Vector, columns: Columns, value: Value) -> None:
        """Write a checked value into a vector."""
        self.write(vector, columns, float(value))


@dataclass(frozen=True)
class ChoiceAttribute:
    """An attribute that is one of several words; others as of :class:`NumberAttribute`."""

    name: str
    words: tuple[str, ...]
    read: Callable[[Vector, Columns], str]
    write: Callable[[Vector, Columns, str], None]
    is_shape: bool = False

    def checked(self, value: object) -> Value:
        """Return the word. Raises UsageError when it is none of them."""
        if value not in self.words:
            raise UsageError(f"{self.name} is {repr(value)[:60]}; give one of {', '.join(self.words)}")
        return str(value)

    def get(self, vector: Vector, columns: Columns) -> Value:
        """Return the word that a vector is nearest to."""
        return self.read(vector, columns)

    def put(self, vector: Vector, columns: Columns, value: Value) -> None:
        """Write a checked word into a vector."""
        self.write(vector, columns, str(value))

    @property
    def about(self) -> str:
        """The values in words."""
        return ", ".join(self.words)


Attribute = NumberAttribute | ChoiceAttribute

HAIR_COLORS: dict[str, tuple[float, float]] = {
    "black": (1.1, 0.1), "brown": (0.74, 0.2), "light_brown": (0.48, 0.22), "blond": (0.25, 0.1), "red": (0.36, 0.75),
}  # fmt: skip
"""Eumelanin and pheomelanin of the named hair colors: the middle of their ranges in the synthetic people."""
_GRAY = "gray"

HAIR_LENGTHS = {
    "bald": -0.2, "buzz": 0.0, "receding": 0.2, "slick": 0.3, "short": 1 / 3, "side_part": 0.35, "curly": 0.5,
    "afro": 0.5, "bun": 0.5, "bob_fringe": 2 / 3, "bob": 2 / 3, "ponytail": 0.75, "locs": 0.8, "braids": 0.9,
    "wavy": 0.95, "long": 1.0,
}  # fmt: skip
"""Lengths of the hair styles: 0 buzz cut, 1 below the shoulders."""
_LENGTH_STYLES = ("buzz", "short", "bob", "long")
"""Styles between which a given length lies."""


def attributes_of(vocabulary: Vocabulary) -> dict[str, Attribute]:
    """Return the attributes that heads of a vocabulary have, by name, in the order of a panel."""
    return {attribute.name: attribute for attribute in (*_identity(), *_light(), *_expressions(vocabulary))}


def _number(name: str, column: str, limits: NumberRange, scale: float, offset: float = 0.0) -> NumberAttribute:
    """Return an attribute that is one number of the vector: ``scale * value + offset``."""

    def write(vector: Vector, columns: Columns, value: float) -> None:
        vector[columns[column]] = scale * value + offset

    return NumberAttribute(name, limits, lambda vector, columns: (vector[columns[column]] - offset) / scale, write)


def _identity() -> list[Attribute]:
    unit = NumberRange(0, 1)

    def macro(attribute: NumberAttribute) -> NumberAttribute:
        return NumberAttribute(attribute.name, attribute.limits, attribute.read, attribute.write, is_shape=True)

    return [
        NumberAttribute("age", NumberRange(5, 85, "years"), _read_age, _write_age, is_shape=True),
        macro(_number("gender", "gender", unit, 2, -1)),
        NumberAttribute("skin_tone", unit, lambda v, c: (v[c["tone"]] + 1) / 2, _write_tone),
        macro(_number("weight", "weight", unit, 2, -1)),
        macro(_number("muscle", "muscle", unit, 2, -1)),
        _one_of("hair_style"),
        NumberAttribute("hair_length", unit, _read_length, _write_length),
        ChoiceAttribute("hair_color", (*HAIR_COLORS, _GRAY), _read_hair_color, _write_hair_color),
        _number("hair_melanin", "hair_melanin", NumberRange(0.1, 1.3), 1),
        _number("hair_red", "hair_red", unit, 1),
        _number("gray_hair", "grey", unit, 1),
        _one_of("beard"),
        _one_of("eye_color", "iris"),
        _one_of("glasses"),
        _one_of("headwear"),
        _one_of("clothes"),
        _color("clothes_color", "clothes"),
        _color("headwear_color", "headwear"),
        _number("freckles", "freckles", NumberRange(0, 0.35), 3),
        _number("lipstick", "lipstick", NumberRange(0, 1.5), 1),
    ]


def _read_age(vector: Vector, columns: Columns) -> float:
    return float((vector[columns["age"]] + 1) * 40)


def _write_age(vector: Vector, columns: Columns, age: float) -> None:
    """Write an age in years, with the numbers of children and of old people."""
    vector[columns["age"]] = age / 40 - 1
    vector[columns["age_child"]] = max(0.0, (20 - age) / 15)
    vector[columns["age_old"]] = max(0.0, (age - 45) / 40)


def _write_tone(vector: Vector, columns: Columns, tone: float) -> None:
    from panohead.synthetic.color import melanin_for_tone

    vector[columns["tone"]], vector[columns["melanin"]] = 2 * tone - 1, melanin_for_tone(tone) - 1


def _one_of(name: str, key: str = "") -> ChoiceAttribute:
    """Return an attribute of one-hot numbers."""
    key = key or name
    # People's records have the British spelling, users the American one of everything else.
    words = {value.replace("grey", "gray"): value for value in CHOICES[key]}

    def read(vector: Vector, columns: Columns) -> str:
        return max(words, key=lambda word: vector[columns[f"{key}={words[word]}"]])

    def write(vector: Vector, columns: Columns, word: str) -> None:
        for other in CHOICES[key]:
            vector[columns[f"{key}={other}"]] = float(other == words[word])

    return ChoiceAttribute(name, tuple(words), read, write)


def _read_length(vector: Vector, columns: Columns) -> float:
    shares = {style: max(0.0, float(vector[columns[f"hair_style={style}"]])) for style in HAIR_LENGTHS}
    total = sum(shares.values())
    return sum(shares[style] * length for style, length in HAIR_LENGTHS.items()) / total if total else 0.0


def _write_length(vector: Vector, columns: Columns, length: float) -> None:
    for style in CHOICES["hair_style"]:
        vector[columns[f"hair_style={style}"]] = 0.0
    place = length * (len(_LENGTH_STYLES) - 1)
    below = min(int(place), len(_LENGTH_STYLES) - 2)
    for style, share in zip(_LENGTH_STYLES[below : below + 2], (1 - place + below, place - below), strict=True):
        vector[columns[f"hair_style={style}"]] = share


def _read_hair_color(vector: Vector, columns: Columns) -> str:
    if vector[columns["grey"]] > 0.5:
        return _GRAY
    melanin, red = vector[columns["hair_melanin"]], vector[columns["hair_red"]]
    return min(HAIR_COLORS, key=lambda c: (melanin - HAIR_COLORS[c][0]) ** 2 + 0.5 * (red - HAIR_COLORS[c][1]) ** 2)


def _write_hair_color(vector: Vector, columns: Columns, color: str) -> None:
    vector[columns["grey"]] = float(color == _GRAY)
    if color != _GRAY:
        vector[columns["hair_melanin"]], vector[columns["hair_red"]] = HAIR_COLORS[color]
    for dye in ("dyed", "dye_red", "dye_green", "dye_blue"):
        vector[columns[dye]] = 0.0


def _color(name: str, key: str) -> ChoiceAttribute:
    """Return a color of clothes or headwear by name: the vector holds sRGB values scaled to -1 to 1."""
    names = [f"{key}_{channel}" for channel in ("red", "green", "blue")]

    def read(vector: Vector, columns: Columns) -> str:
        color = np.array([vector[columns[n]] for n in names])
        return min(_CLOTH_COLORS, key=lambda word: float(np.square(color - _scaled(word)).sum()))

    def write(vector: Vector, columns: Columns, word: str) -> None:
        for column, level in zip(names, _scaled(word), strict=True):
            vector[columns[column]] = level

    return ChoiceAttribute(name, tuple(_CLOTH_COLORS), read, write)


_CLOTH_COLORS = {
    "black": (25, 25, 28), "gray": (128, 128, 128), "white": (225, 225, 220), "red": (170, 40, 40),
    "orange": (200, 115, 40), "yellow": (205, 185, 70), "green": (55, 120, 65), "blue": (50, 80, 160),
    "purple": (110, 60, 135), "brown": (110, 75, 50),
}  # fmt: skip


def _scaled(word: str) -> Float[np.ndarray, "3"]:
    return 2 * np.array(_CLOTH_COLORS[word]) / 255 - 1


def _light() -> list[Attribute]:
    """Return the brightness of the light: the mean log irradiance in stops, moved for all directions alike."""

    def places(columns: Columns) -> list[int]:
        return [place for name, place in columns.items() if name.startswith("light_")]

    def read(vector: Vector, columns: Columns) -> float:
        return float(vector[places(columns)].mean() / np.log(2))

    def write(vector: Vector, columns: Columns, stops: float) -> None:
        vector[places(columns)] += (stops - read(vector, columns)) * np.log(2)

    return [NumberAttribute("brightness", NumberRange(-3, 1, "stops"), read, write)]


def _expressions(vocabulary: Vocabulary) -> list[Attribute]:
    """Return the gaze, the smile and all ARKit weights of the vocabulary."""
    unit, known = NumberRange(0, 1), vocabulary.expressions
    found: list[Attribute] = [
        _number("gaze_x", "gaze_x", NumberRange(-25, 25, "degrees"), np.radians(1) * GAZE_SCALE),
        _number("gaze_y", "gaze_y", NumberRange(-20, 15, "degrees"), np.radians(1) * GAZE_SCALE),
    ]
    for name, both in _PAIRS.items():
        if set(both) <= set(known):
            found.append(_together(name, both))
    return found + [_number(name, name, unit, EXPRESSION_SCALE) for name in known]


_PAIRS = {
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""Expressions of both sides together."""


def _together(name: str, names: tuple[str, ...]) -> NumberAttribute:
    def read(vector: Vector, columns: Columns) -> float:
        return float(np.mean([vector[columns[n]] for n in names])) / EXPRESSION_SCALE

    def write(vector: Vector, columns: Columns, value: float) -> None:
        for n in names:
            vector[columns[n]] = value * EXPRESSION_SCALE

    return NumberAttribute(name, NumberRange(0, 1), read, write)
