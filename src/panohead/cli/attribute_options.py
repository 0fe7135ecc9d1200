"""Options that set attributes of heads: ``--set age=60 hair_style=bob`` and ``--sweep age=10..80``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from panohead.cli.common import check_needed
from panohead.errors import UsageError
from panohead.limits import NumberRange

if TYPE_CHECKING:
    from panohead.attributes.named import Attribute, NumberSetting, Value
    from panohead.directions import Directions
    from panohead.head import Head
    from panohead.predictor import Predictor

_SWEEP_STEPS = NumberRange(2, 100)


@dataclass(frozen=True, kw_only=True)
class HeadOrder:
    """One head to make: of a seed or the opened one, with some attributes set.

    Attributes:
        seed: None for the opened head.
        values: names and values of the attributes that are set.
        swept: name and value of the attribute that the strip goes through; None without a strip.
    """

    seed: int | None
    values: "tuple[tuple[str, Value], ...]" = ()
    swept: "tuple[str, Value] | None" = None

    @property
    def name(self) -> str:
        """Name of the head's files and folders."""
        base = "head" if self.seed is None else f"seed{self.seed:04d}"
        return base + ("" if self.swept is None else f"_{self.swept[0]}_{shown(self.swept[1])}")

    @property
    def label(self) -> str:
        """Name of the head on sheets and pages."""
        return self.base_label + ("" if self.swept is None else f", {self.swept[0]} {shown(self.swept[1])}")

    @property
    def base_label(self) -> str:
        """Name of the head without the strip's value."""
        return "head" if self.seed is None else f"seed {self.seed}"

    def applied(self, head: "Head", directions: "Directions | None" = None) -> "Head":
        """Return the head with the attributes set, and moved along directions."""
        values = dict((*self.values, *(() if self.swept is None else (self.swept,))))
        amounts = {} if directions is None else {n: float(v) for n, v in values.items() if n in directions.names}
        values = {name: value for name, value in values.items() if name not in amounts}
        head = head.with_attributes(**values) if values else head
        return head if directions is None else directions.moved(head, amounts)


def shown(value: "Value") -> str:
    """Return a value as labels and file names have it."""
    return value if isinstance(value, str) else f"{value:.4g}"


@dataclass(kw_only=True)
class AttributeOptions:
    """Attributes of the heads."""

    set: tuple[str, ...] = ()
    """Attributes of every head: age=60 hair_style=bob skin_tone=0.8 smile=0.5 (docs/attributes.md lists all)."""
    expression: tuple[str, ...] = ()
    """Expression of every head by ARKit's 52 names: jawOpen=0.5 mouthSmileLeft=0.8 (docs/animation.md lists all)."""
    sweep: str | None = None
    """A strip through one attribute: age=10..80, hair_color=black,blond,red, or its name alone for all values."""
    sweep_steps: Annotated[int, _SWEEP_STEPS] = 8
    """Heads of the strip between two numbers."""

    directions: Path | None = None
    """File of panohead directions, whose names --set and --sweep then take too (-3 to 3 standard deviations)."""

    def check_attributes(self) -> None:
        """Check what can be checked without a model. Raises UsageError for text that is no ``name=value``."""
        check_needed(self, "--set or --sweep", bool(self.set or self.sweep), "directions")
        names = [name for name, _ in map(_split, self.set)]
        _check_once("--set", names)
        expressed = [name for name, _ in (_split(text, "--expression") for text in self.expression)]
        _check_once("--expression", expressed)
        both = next((name for name in expressed if name in (*names, (self.sweep or "").partition("=")[0])), None)
        if both is not None:
            raise UsageError(f"--expression gives {both}, and so does --set or --sweep; choose one")
        if self.expression:
            from panohead.attributes.expressions import check_expression
            from panohead.synthetic.expressions import EXPRESSION_UNITS

            check_expression(EXPRESSION_UNITS, dict(_split(text, "--expression") for text in self.expression))
        if self.sweep is not None and self.sweep.partition("=")[0] in names:
            raise UsageError(f"--set and --sweep both give {self.sweep.partition('=')[0]}; choose one")

    def open_directions(self, predictor: "Predictor") -> "Directions | None":
        """Read the file of directions; None where none is given. Raises PanoHeadError when it does not fit."""
        if self.directions is None:
            return None
        from panohead.directions.direction_file import check_origin, load_directions

        directions = load_directions(self.directions)
        check_origin(directions, predictor.sha256, self.directions)
        return directions

    def orders(
        self, predictor: "Predictor", seeds: Sequence[int | None], directions: "Directions | None"
    ) -> list[HeadOrder]:
        """Return all heads to make, those of one seed together; None among the seeds is the opened head.

        Raises:
            UsageError: for attributes that the model does not have, or values out of range.
        """
        if not self.set and not self.expression and self.sweep is None:
            return [HeadOrder(seed=seed) for seed in seeds]
        from panohead.attributes.editing import check_name, check_values

        known: dict[str, Attribute | NumberSetting] = dict(predictor.attributes)
        if directions is not None:
            known |= directions.settings()
        if not known:
            option = "--set" if self.set else "--expression" if self.expression else "--sweep"
            raise UsageError(
                f"{option} does nothing with this model, which has no attribute encoder; find directions with "
                "'panohead directions' and give them with --directions"
            )
        chosen = check_values(known, dict(map(_split, self.set)))
        if self.expression:
            chosen |= self._expression(predictor)
        values = tuple(chosen.items())
        if self.sweep is None:
            return [HeadOrder(seed=seed, values=values) for seed in seeds]
        name, _, given = self.sweep.partition("=")
        swept = list(_swept(check_name(known, name), given, self.sweep_steps))
        return [HeadOrder(seed=seed, values=values, swept=(name, value)) for seed in seeds for value in swept]

    def _expression(self, predictor: "Predictor") -> "dict[str, float]":
        """Return the attributes that give heads of a model the expression."""
        from panohead.attributes.expressions import expression_attributes

        encoder = predictor.attribute_encoder
        if encoder is None:
            raise UsageError("--expression does nothing with this model, which has no attribute encoder")
        given = dict(_split(text, "--expression") for text in self.expression)
        return expression_attributes(encoder.vocabulary, given)


def _split(text: str, option: str = "--set") -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        example = "age=60" if option == "--set" else "jawOpen=0.5"
        raise UsageError(f"{option} {text!r} is not understood; give name=value, such as {example}")
    return name, value


def _check_once(option: str, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{option} gives {twice} twice; give it once")


def _swept(attribute: "Attribute | NumberSetting", given: str, steps: int) -> "Iterator[Value]":
    """Yield the values of a strip."""
    from panohead.attributes.named import NumberSetting

    ends = re.fullmatch(r"(.+?)\.\.(.+)", given)
    if "," in given or (given and ends is None):
        words = [word for word in given.split(",") if word]
        if len(words) < 2:
            raise UsageError(f"--sweep {attribute.name}={given} has one value; give a range such as 10..80 or a list")
        yield from map(attribute.checked, words)
    elif isinstance(attribute, NumberSetting):
        low, high = ends.groups() if ends is not None else (attribute.limits.low, attribute.limits.high)
        first, last = float(attribute.checked(low)), float(attribute.checked(high))
        yield from (first + (last - first) * i / (steps - 1) for i in range(steps))
    elif ends is not None:
        raise UsageError(
            f"{attribute.name} is no number, so --sweep cannot go from one to another; give a list of {attribute.about}"
        )
    else:
        yield from attribute.words
