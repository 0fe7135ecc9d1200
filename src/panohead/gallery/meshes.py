"""Meshes of heads as files."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from panohead.errors import PanoHeadError
from panohead.head import Head

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """Settings of a head's mesh (see :meth:`Head.mesh`).

    Attributes:
        resolution: nodes per side of the grid on which the density is evaluated.
        level: raw density at the surface.
        smooth: rounds of Taubin's smoothing.
        triangles: upper limit of the number of triangles; None keeps all.
        texture: pixels per side of a texture; None colors the vertices instead.
    """

    resolution: int = 256
    level: float = 10.0
    smooth: int = 0
    triangles: int | None = None
    texture: int | None = None

    def check_packages(self) -> None:
        """Check that the packages which these settings need are installed.

        Raises:
            PanoHeadError: when one is missing.
        """
        needed = {"xatlas": self.texture, "fast_simplification": self.texture or self.triangles}
        for package, option in needed.items():
            if option is not None and importlib.util.find_spec(package) is None:
                raise PanoHeadError(
                    f"textures and fewer triangles need the package {package}; run: pip install 'panohead[texture]'"
                )


def write_meshes(head: Head, paths: Sequence[Path], settings: MeshSettings) -> "trimesh.Trimesh | None":
    """Write the head's surface in the format of each path; ``.mrc`` is the density volume instead.

    Args:
        head: what to write.
        paths: files; their suffix is one of MESH_FORMATS of :mod:`panohead.mesh.export`.
        settings: grid, smoothing, simplification and texture.

    Returns:
        The mesh, None if only the volume was asked for.

    Raises:
        NoSurfaceError: when the density reaches the level nowhere.
        PanoHeadError: when a package is missing or a file cannot be written.
    """
    from panohead.mesh.export import Volume, write_mesh  # here: images need not wait for trimesh
    from panohead.mesh.surface import density_grid

    suffixes = {path.suffix for path in paths}
    mesh, volume = None, None
    if suffixes - {".mrc"}:
        mesh = head.mesh(
            settings.resolution,
            level=settings.level,
            smooth=settings.smooth,
            triangles=settings.triangles,
            texture=settings.texture,
        )
    if ".mrc" in suffixes:
        box, nodes = head.generator.config.rendering.box_warp, settings.resolution
        volume = Volume(density_grid(head.density, resolution=nodes, box_warp=box), box / (nodes - 1))
    for path in paths:
        # The light is in the colors already; the format's own default is a metal, black in many viewers.
        write_mesh(mesh, path, unlit=True, volume=volume)
    return mesh
