"""Settings of a head's mesh, checked when they are made."""

import importlib.util
from dataclasses import dataclass
from typing import Any, Literal, get_args

from panohead.errors import PanoHeadError, UsageError
from panohead.limits import (
    MESH_LEVEL,
    MESH_RESOLUTION,
    SMOOTHING_ROUNDS,
    TEXTURE_SIDE,
    TEXTURED_TRIANGLES,
    TRIANGLES,
)

MeshUnit = Literal["metre", "millimetre", "world"]
"""Units of coordinates: life size in meters or millimeters, or the generator's own."""
_OTHER_NAMES = {"meter": "metre", "m": "metre", "millimeter": "millimetre", "mm": "millimetre"}

OFFICIAL_LEVEL = 10.0
"""Raw density at the official surface (docs/reference.md 7.9)."""
DEFAULT_TRIANGLES = 20_000
"""Number of triangles to which a head is simplified unless another is asked for."""
DEFAULT_SMOOTHING = 10
"""Rounds of smoothing unless others are asked for."""


def unit_named(unit: object) -> MeshUnit:
    """Return a unit by its name or another spelling of it ("meter", "m", "millimeter", "mm").

    Raises:
        UsageError: when there is none.
    """
    found = _OTHER_NAMES.get(unit, unit) if isinstance(unit, str) else unit
    if found not in get_args(MeshUnit):
        raise UsageError(f"there is no unit {unit!r} for meshes; give one of {', '.join(get_args(MeshUnit))}")
    return found  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """Settings of a head's mesh (see :meth:`panohead.Head.mesh`).

    Attributes:
        resolution: nodes per side of the grid on which the density is evaluated.
        level: raw density at the surface.
        unit: unit of the coordinates (see :func:`unit_named`).
        smooth: rounds of Taubin's smoothing; above 0 the density is low-passed at the tri-grid's texel too.
        triangles: upper limit of the number of triangles; "full" or None keeps all.
        texture: pixels per side of a texture; None colors the vertices instead.
        trim: cut the bust at the lower edge of the official frame.
        morphs: 52 morph targets with ARKit's names, and a mouth that opens.
        eyeballs: of a mesh with morph targets: eyes of their own, which turn, in place of the painted ones.

    Raises:
        UsageError: for numbers outside the ranges of :mod:`panohead.limits`, another unit, a texture on too many
            triangles or with morph targets, or eyeballs without these.
    """

    resolution: int = 256
    level: float = OFFICIAL_LEVEL
    unit: MeshUnit = "metre"
    smooth: int = DEFAULT_SMOOTHING
    triangles: int | Literal["full"] | None = DEFAULT_TRIANGLES
    texture: int | None = None
    trim: bool = True
    morphs: bool = False
    eyeballs: bool = False

    def __post_init__(self) -> None:
        whole: dict[str, Any] = {
            "resolution": MESH_RESOLUTION.whole(self.resolution, "resolution"),
            "level": MESH_LEVEL.real(self.level, "level"),
            "smooth": SMOOTHING_ROUNDS.whole(self.smooth, "smooth"),
            "unit": unit_named(self.unit),
        }
        if self.texture is not None:
            whole["texture"] = TEXTURE_SIDE.whole(self.texture, "texture")
        allowed = TRIANGLES if self.texture is None else TEXTURED_TRIANGLES
        if self.triangles == "full":
            whole["triangles"] = None
        elif self.triangles is not None:
            name = "triangles" if self.texture is None else "triangles of a textured mesh"
            whole["triangles"] = allowed.whole(self.triangles, name)
        for name, value in whole.items():
            object.__setattr__(self, name, value)
        if self.texture is not None and self.morphs:
            raise UsageError("texture does not go with morphs, whose colors are at the vertices; choose one")
        if self.eyeballs and not self.morphs:
            raise UsageError("eyeballs turn by morph targets; give morphs too")
        if self.texture is not None and self.triangles is None:
            raise UsageError(f"texture needs a number of triangles, at most {allowed.high:.0f}; give one, not 'full'")

    @property
    def max_triangles(self) -> int | None:
        """Upper limit of the number of triangles, None for none."""
        return self.triangles if isinstance(self.triangles, int) else None

    def check_packages(self) -> None:
        """Check that the packages which these settings need are installed.

        Raises:
            PanoHeadError: when one is missing.
        """
        if self.texture is not None and importlib.util.find_spec("xatlas") is None:
            raise PanoHeadError("textures need the package xatlas; run: pip install 'panohead[texture]'")
