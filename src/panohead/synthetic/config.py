"""What a synthetic dataset is made of. Everything but ``people`` and ``workers`` decides the bytes of its images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from panohead.errors import PanoHeadError
from panohead.synthetic.views import FOCAL

LAYOUT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SyntheticDatasetConfig:
    """Settings of one dataset; see ``panohead synthesize --help``."""

    people: int
    out: Path
    views: int = 8
    resolution: int = 256
    seed: int = 0
    depth: bool = False
    normals: bool = False
    focal: float = FOCAL
    pitch_std_deg: float = 12.0
    quality: Literal["fast", "cycles"] = "fast"
    format: Literal["webp", "png", "jpg"] = "webp"

    def __post_init__(self) -> None:
        for name, low, high in (("people", 1, 999_999), ("views", 1, 99), ("resolution", 16, 2048)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise PanoHeadError(f"--{name} {value} is out of range; give {low} to {high}")
        if self.seed < 0:
            raise PanoHeadError(f"--seed {self.seed} is negative; give 0 or more")
        if not 1.0 <= self.focal <= 50.0:
            raise PanoHeadError(
                f"--focal {self.focal} is out of range; give 1 to 50 image widths (the official crop: {FOCAL})"
            )
        if not 0.0 <= self.pitch_std_deg <= 45.0:
            raise PanoHeadError(f"--pitch-std-deg {self.pitch_std_deg} is out of range; give 0 to 45 degrees")

    def resume_key(self) -> dict[str, Any]:
        """The settings that decide the bytes of a person's images, for the check on resuming."""
        names = ("views", "resolution", "seed", "depth", "normals", "focal", "pitch_std_deg", "quality", "format")
        return {"layout_version": LAYOUT_VERSION, **{name: getattr(self, name) for name in names}}
