"""The options of meshes, the same for every command that writes them."""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from panohead.errors import PanoHeadError

if TYPE_CHECKING:
    import trimesh

    from panohead.head import Head


@dataclass(kw_only=True)
class MeshOptions:
    """Which meshes of a head, and how they are made."""

    mesh: tuple[Literal["glb", "obj", "ply", "stl", "mrc"], ...] = ()
    """Formats of the head's mesh (mrc: the density volume; obj with --texture: also mtl and png)."""
    mesh_resolution: int = 256
    """Nodes per side of the mesh's grid."""
    mesh_level: float = 10.0
    """Density at the surface."""
    smooth: int = 0
    """Rounds of smoothing of the mesh, which keep its volume; about 10 take the staircase off."""
    triangles: int | None = None
    """Simplify the mesh to at most so many triangles (with --texture 20000 if not given)."""
    texture: int | None = None
    """Pixels a side of a texture for glb and obj, instead of colours at the vertices."""

    def check_packages(self) -> None:
        """Raises PanoHeadError when a package is missing that these options need: before the work, not after it."""
        needed = {"xatlas": self.texture, "fast_simplification": self.texture or self.triangles}
        for package, option in needed.items():
            if option is not None and self.mesh and importlib.util.find_spec(package) is None:
                raise PanoHeadError(
                    f"--texture and --triangles need the package {package}; run: pip install 'panohead[texture]'"
                )

    def mesh_mistakes(self) -> dict[str, bool]:
        """Sentences, and whether they are true of these options."""
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

    def write_meshes(self, head: "Head", paths: Sequence[Path]) -> "trimesh.Trimesh | None":
        """The head's mesh at every path, by suffix; the mesh, if there is one besides the volume."""
        from panohead.gallery import write_meshes

        return write_meshes(
            head,
            paths,
            resolution=self.mesh_resolution,
            level=self.mesh_level,
            smooth=self.smooth,
            triangles=self.triangles,
            texture=self.texture,
        )
