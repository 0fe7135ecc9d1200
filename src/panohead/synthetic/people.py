"""Random people: all named attributes, drawn so that no correlation between them is learned from the dataset.

Gender, age, skin tone, ancestry of the face shape, hair style and hair color are independent of each other. They are
drawn by a Kronecker sequence (one irrational step per attribute), so that even sixteen people are spread over all of
them. The only dependencies are biological and documented in ``docs/synthetic-heads.md``: beards grow on men from 18,
hair grays with age, a receding hairline starts at 18, women wear lipstick from 14, and headscarves.
"""

import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from panohead.synthetic.color import melanin_for_tone

HAIR_STYLES = {
    "bald": 0.05, "buzz": 0.07, "short": 0.10, "side_part": 0.08, "slick": 0.05, "receding": 0.04, "bob": 0.07,
    "bob_fringe": 0.05, "long": 0.09, "wavy": 0.09, "curly": 0.08, "afro": 0.06, "ponytail": 0.06, "bun": 0.05,
    "locs": 0.03, "braids": 0.03,
}  # fmt: skip
HAIR_COLORS = {"black": 0.34, "brown": 0.34, "light_brown": 0.14, "blond": 0.12, "red": 0.06}
_HAIR_PIGMENT = {  # ranges of eumelanin and pheomelanin
    "black": (0.95, 1.25, 0.0, 0.2), "brown": (0.58, 0.9, 0.05, 0.35), "light_brown": (0.38, 0.58, 0.05, 0.4),
    "blond": (0.14, 0.36, 0.0, 0.2), "red": (0.22, 0.5, 0.5, 1.0),
}  # fmt: skip
BEARDS = {"none": 0.34, "stubble": 0.2, "short": 0.16, "full": 0.13, "goatee": 0.09, "moustache": 0.08}
IRISES = {"brown": 0.52, "blue": 0.18, "green": 0.1, "hazel": 0.12, "grey": 0.08}
CLOTHES = {"crew": 0.36, "vneck": 0.18, "turtle": 0.14, "tank": 0.1, "shirt": 0.17, "none": 0.05}
GLASSES = {"none": 0.86, "round": 0.04, "square": 0.05, "aviator": 0.02, "sunglasses": 0.03}
HEADWEAR = {"none": 0.90, "beanie": 0.03, "skullcap": 0.02, "headscarf": 0.03, "wrap": 0.02}
AGES = (5.0, 85.0)
_STEP_SQUARES = (31.0, 11.0, 19.0, 37.0, 5.0, 71.0, 103.0)  # gender, age, tone, style, color, headwear, glasses


def stream(seed: int, person: int, name: str) -> np.random.Generator:
    """Return a separate random generator for each purpose: a draw added to one never shifts another."""
    return np.random.default_rng([seed, person, zlib.crc32(name.encode())])


@dataclass(frozen=True)
class Person:
    """Parameters of one person.

    ``seed`` and ``index`` alone determine the rest and every detail of the rendering. Attributes with a name only are
    shares or ranges in [0, 1]; ``age`` is in years, ``gaze`` in radians.
    """

    seed: int
    index: int
    gender: float
    age: float
    tone: float
    melanin: float
    haemoglobin: float
    ancestry: tuple[float, float, float]
    muscle: float
    weight: float
    hair_style: str
    hair_colour: str
    hair_melanin: float
    hair_red: float
    grey: float
    dye: tuple[float, float, float] | None
    beard: str
    iris: str
    clothes: str
    glasses: str
    headwear: str
    freckles: float
    lipstick: float
    gaze: tuple[float, float]
    expression: dict[str, float] = field(default_factory=dict)

    @property
    def is_male(self) -> bool:
        """True in the male half of the gender axis (0 female, 1 male)."""
        return self.gender > 0.5

    def stream(self, name: str) -> np.random.Generator:
        """Return this person's random generator for one purpose."""
        return stream(self.seed, self.index, name)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, rounded to six digits, in the order of the fields."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def sample_person(seed: int, index: int) -> Person:
    """Sample person ``index`` of the dataset with this seed."""
    unit = _spread(seed, index)
    rng = stream(seed, index, "person")
    male = unit[0] < 0.5
    age = float(AGES[0] + (AGES[1] - AGES[0]) * unit[1])
    style = _choose(HAIR_STYLES, unit[3])
    if style == "receding" and age < 18:
        style = "short"
    color = _choose(HAIR_COLORS, unit[4])
    low, high, red_low, red_high = _HAIR_PIGMENT[color]
    grey_onset = rng.uniform(35, 65)
    grey = float(np.clip((age - grey_onset) / rng.uniform(12, 30), 0, 1))
    headwear = _choose(HEADWEAR, unit[5])
    if male and headwear == "headscarf":
        headwear = "wrap"
    adult_man = bool(male and age >= 18)
    return Person(
        seed=seed,
        index=index,
        gender=float(rng.uniform(0.75, 1.0) if male else rng.uniform(0.0, 0.25)),
        age=age,
        tone=float(unit[2]),
        melanin=melanin_for_tone(float(unit[2])),
        haemoglobin=float(rng.uniform(0.2, 0.7)),
        ancestry=_triple(rng.dirichlet([0.6, 0.6, 0.6])),
        muscle=float(rng.beta(2.2, 2.2)),
        weight=float(rng.beta(2, 2)),
        hair_style=style,
        hair_colour=color,
        hair_melanin=float(rng.uniform(low, high)),
        hair_red=float(rng.uniform(red_low, red_high)),
        grey=grey,
        dye=_triple(rng.uniform(0.02, 0.5, 3)) if rng.random() < 0.03 else None,
        beard=_choose(BEARDS, rng.random()) if adult_man else "none",
        iris=_choose(IRISES, rng.random()),
        clothes=_choose(CLOTHES, rng.random()),
        glasses=_choose(GLASSES, unit[6]),
        headwear=headwear,
        freckles=float(rng.uniform(0.1, 0.35)) if rng.random() < 0.2 else 0.0,
        lipstick=float(rng.uniform(0.3, 1.5)) if not male and age >= 14 and rng.random() < 0.35 else 0.0,
        **sample_expression(stream(seed, index, "expression")),
    )


def sample_expression(rng: np.random.Generator) -> dict[str, Any]:
    """Sample a mostly neutral ``expression`` (weights by ARKit names) and ``gaze`` (radians: right of the person's nose
    is negative, up positive)."""
    weights: dict[str, float] = {}

    def both(name: str, value: float, other: float | None = None) -> None:
        weights[f"{name}Left"], weights[f"{name}Right"] = value, value if other is None else other

    if rng.random() < 0.4:
        smile = rng.uniform(0.15, 0.8)
        both("mouthSmile", smile, smile * rng.uniform(0.8, 1))
        both("cheekSquint", smile * 0.35)
    if rng.random() < 0.25:
        jaw = rng.uniform(0.03, 0.3)
        weights["jawOpen"] = jaw
        both("mouthUpperUp", jaw * 0.6)
    for name in ("browInnerUp", "mouthPucker"):
        if rng.random() < 0.12:
            weights[name] = rng.uniform(0, 0.4)
    for name in ("browDown", "browOuterUp", "mouthPress", "mouthFrown", "eyeSquint", "eyeWide", "noseSneer"):
        if rng.random() < 0.12:
            both(name, rng.uniform(0, 0.4))
    blink = rng.uniform(0, 0.12) if rng.random() > 0.02 else 1.0
    both("eyeBlink", blink)
    gaze = np.clip(rng.normal(size=2) * [0.16, 0.08], -0.4, 0.28)
    both("eyeLookDown" if gaze[1] < 0 else "eyeLookUp", abs(gaze[1]) * 1.5)
    return {"expression": {k: float(v) for k, v in weights.items()}, "gaze": (float(gaze[0]), float(gaze[1]))}


def _spread(seed: int, index: int) -> np.ndarray:
    """Return point ``index`` of a Kronecker sequence in [0, 1)^7, shifted by the seed.

    The steps were chosen among roots of primes for the least dependence between any two attributes at 300, 1250 and
    5000 people: below that of independent draws.
    """
    steps = np.sqrt(_STEP_SQUARES) % 1.0
    shift = np.random.default_rng([seed, zlib.crc32(b"spread")]).random(len(steps))
    return (shift + (index + 1) * steps) % 1.0


def _choose(shares: dict[str, float], unit: float) -> str:
    edges = np.cumsum(list(shares.values()))
    position = int(np.searchsorted(edges, unit * edges[-1], side="right"))
    return list(shares)[min(position, len(shares) - 1)]


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_rounded(v) for v in value]
    return value
