"""Mesh options, the same for every command that writes meshes."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from panohead.gallery import MeshSettings


@dataclass(kw_only=True)
class MeshOptions:
    """Formats of a head's mesh, and the settings by which it is made."""

    mesh: tuple[Literal["glb", "obj", "ply", "stl", "mrc"], ...] = ()
    """Formats of the head's mesh (mrc: the density volume; obj with --texture: also mtl and png)."""
    mesh_resolution: int = 256
    """Nodes per side of the mesh's grid."""
    mesh_level: float = 10.0
    """Density at the surface."""
    smooth: int = 0
    """Rounds of smoothing of the mesh, which keep its volume; about 10 remove the staircase."""
    triangles: int | None = None
    """Simplify the mesh to at most so many triangles (with --texture 20000 if not given)."""
    texture: int | None = None
    """Pixels per side of a texture for glb and obj, instead of colors at the vertices."""

    def mesh_settings(self) -> "MeshSettings":
        """Return the options as settings."""
        from panohead.gallery import MeshSettings

        return MeshSettings(
            resolution=self.mesh_resolution,
            level=self.mesh_level,
            smooth=self.smooth,
            triangles=self.triangles,
            texture=self.texture,
        )

    def check_packages(self) -> None:
        """Check that what these options need is installed: before the work, not after it.

        Raises:
            PanoHeadError: when a package is missing.
        """
        if self.mesh:
            self.mesh_settings().check_packages()

    def mesh_mistakes(self) -> dict[str, bool]:
        """Return sentences about mistakes, with True for those that are made."""
        return {
            "--mesh-resolution must be between 8 and 1024": not 8 <= self.mesh_resolution <= 1024,
            "--mesh-level must be a finite number": not math.isfinite(self.mesh_level),
            "--smooth must be between 0 and 1000": not 0 <= self.smooth <= 1000,
            "--triangles must be at least 100": self.triangles is not None and self.triangles < 100,
            "--texture must be between 16 and 8192 pixels": self.texture is not None and not 16 <= self.texture <= 8192,
            "--texture takes at most 100000 triangles; lower --triangles": (
                self.texture is not None and (self.triangles or 0) > 100_000
            ),
        }
