"""Settings of a synthetic dataset. Everything but ``people`` and ``workers`` decides the bytes of its images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from panohead.errors import UsageError
from panohead.synthetic.framing import EDITIONS
from panohead.synthetic.views import FOCAL

LAYOUT_VERSION = 1
NEWEST_EDITION = max(EDITIONS)
LightMode = Literal["per-person", "per-view"]
_FIRST_EDITION: dict[str, Any] = {"expressions": 1, "light": "per-view"}


@dataclass(frozen=True, kw_only=True)
class SyntheticDatasetConfig:
    """Settings of one dataset; see ``panohead synthesize --help``.

    Edition 1 has one expression per person and one light per view: the bytes of all versions before editions were
    recorded. Make its settings, or those of an existing dataset, with :meth:`of_edition`.

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
    focal: float = FOCAL
    pitch_std_deg: float = 12.0
    quality: Literal["fast", "cycles"] = "fast"
    format: Literal["webp", "png", "jpg"] = "webp"

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
        if self.edition not in EDITIONS:
            raise UsageError(f"--edition {self.edition} is unknown; give {' or '.join(map(str, EDITIONS))}")
        if self.edition == 1 and (self.expressions, self.light) != tuple(_FIRST_EDITION.values()):
            raise UsageError("edition 1 has one expression per person, a light per view; give --edition 2 for others")
        ranges = (("people", 1, 999_999), ("expressions", 1, 99), ("views", 1, 99), ("resolution", 16, 2048))
        for name, low, high in ranges:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"--{name} {value} is out of range; give {low} to {high}")
        if self.images_per_person > 100:
            raise UsageError(
                f"--expressions {self.expressions} times --views {self.views} is over 100 images per person; give fewer"
            )
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed} is negative; give 0 or more")
        if not 1.0 <= self.focal <= 50.0:
            raise UsageError(
                f"--focal {self.focal} is out of range; give 1 to 50 image widths (the official crop: {FOCAL})"
            )
        if not 0.0 <= self.pitch_std_deg <= 45.0:
            raise UsageError(f"--pitch-std-deg {self.pitch_std_deg} is out of range; give 0 to 45 degrees")

    def resume_key(self) -> dict[str, Any]:
        """Return the settings that decide the bytes of a person's images, for the check on resuming."""
        names = ("views", "resolution", "seed", "depth", "normals", "focal", "pitch_std_deg", "quality", "format")
        later = () if self.edition == 1 else ("edition", "expressions", "light")  # edition 1 wrote none of them
        return {"layout_version": LAYOUT_VERSION, **{name: getattr(self, name) for name in (*later, *names)}}
