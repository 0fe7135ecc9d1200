"""Settings of a synthetic dataset. Everything but ``people`` and ``parts`` decides the bytes of its images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from panohead.errors import UsageError
from panohead.limits import SEED, NumberRange
from panohead.synthetic.framing import EDITIONS
from panohead.synthetic.views import FOCAL

LAYOUT_VERSION = 1
NEWEST_EDITION = max(EDITIONS)
LightMode = Literal["per-person", "per-view"]
RenderQuality = Literal["fast", "cycles"]
ImageFileFormat = Literal["webp", "png", "jpg"]
_WHOLE = {
    "people": NumberRange(1, 999_999),
    "expressions": NumberRange(1, 99),
    "views": NumberRange(1, 99),
    "resolution": NumberRange(16, 2048, "pixels"),
    "seed": SEED,
}
_REAL = {
    "focal": NumberRange(1, 50, f"image widths (the official crop: {FOCAL})"),
    "pitch_std_deg": NumberRange(0, 45, "degrees"),
}
_FIRST_EDITION: dict[str, Any] = {"expressions": 1, "light": "per-view"}


@dataclass(frozen=True, kw_only=True)
class SyntheticDatasetConfig:
    """Settings of one dataset; see ``panohead synthesize --help``.

    Edition 1 has one expression per person and one light per view: the bytes of all versions before editions were
    recorded. Make its settings, or those of an existing dataset, with :meth:`of_edition`. ``parts`` adds part maps and
    landmarks, also to a dataset that was rendered without them.

    Raises:
        UsageError: for a value out of range, or values that do not go together.
    """

    people: int
    out: Path
    edition: int = NEWEST_EDITION
    expressions: int = 2
    light: LightMode = "per-person"
    views: int = 8
    resolution: int = 256
    seed: int = 0
    depth: bool = False
    normals: bool = False
    parts: bool = False
    focal: float = FOCAL
    pitch_std_deg: float = 12.0
    quality: RenderQuality = "fast"
    format: ImageFileFormat = "webp"

    @classmethod
    def of_edition(cls, edition: int, **settings: Any) -> "SyntheticDatasetConfig":
        """Return settings whose ``expressions`` and ``light`` (where absent or None) are the edition's defaults."""
        given = {name: value for name, value in settings.items() if value is not None}
        return cls(edition=edition, **((_FIRST_EDITION if edition == 1 else {}) | given))

    @property
    def images_per_person(self) -> int:
        """Number of images per person: views of all shots."""
        return self.expressions * self.views

    def __post_init__(self) -> None:
        if not isinstance(self.out, str | Path):
            raise UsageError(f"out is of type {type(self.out).__name__}; give the path of a folder")
        object.__setattr__(self, "out", Path(self.out))
        if self.edition not in EDITIONS:
            raise UsageError(f"--edition {self.edition} is unknown; give {' or '.join(map(str, EDITIONS))}")
        for name, choices in (("light", LightMode), ("quality", RenderQuality), ("format", ImageFileFormat)):
            if getattr(self, name) not in get_args(choices):
                raise UsageError(f"there is no {name} {getattr(self, name)!r}; give one of {_list(choices)}")
        for name, allowed in _WHOLE.items():
            object.__setattr__(self, name, allowed.whole(getattr(self, name), name))
        for name, allowed in _REAL.items():
            object.__setattr__(self, name, allowed.real(getattr(self, name), name))
        if self.edition == 1 and (self.expressions, self.light) != tuple(_FIRST_EDITION.values()):
            raise UsageError("edition 1 has one expression per person, a light per view; give --edition 2 for others")
        if self.images_per_person > 100:
            raise UsageError(
                f"--expressions {self.expressions} times --views {self.views} is over 100 images per person; give fewer"
            )

    def resume_key(self) -> dict[str, Any]:
        """Return the settings that decide the bytes of a person's images, for the check on resuming."""
        names = ("views", "resolution", "seed", "depth", "normals", "focal", "pitch_std_deg", "quality", "format")
        later = () if self.edition == 1 else ("edition", "expressions", "light")  # edition 1 wrote none of them
        return {"layout_version": LAYOUT_VERSION, **{name: getattr(self, name) for name in (*later, *names)}}


def _list(choices: Any) -> str:
    return ", ".join(get_args(choices))
