"""Options of meshes and splats, the same for every command that writes them."""

from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Literal

from panohead.cli.common import check_needed
from panohead.errors import UsageError
from panohead.limits import SPLAT_COUNT, SPLAT_STEPS

if TYPE_CHECKING:
    from panohead.mesh import MeshSettings
    from panohead.splats.settings import SplatSettings


@dataclass(kw_only=True)
class MeshOptions:
    """Formats of a head's mesh, and the settings by which it is made."""

    mesh: tuple[Literal["glb", "obj", "ply", "stl", "3mf", "usdz", "mrc"], ...] = ()
    """Formats of the head's mesh (mrc: the density volume; obj with --texture: also mtl and png)."""
    mesh_resolution: int = 256
    """Nodes per side of the mesh's grid."""
    mesh_level: float = 10.0
    """Density at the surface."""
    mesh_unit: Literal["metre", "millimetre", "world"] | None = None
    """Unit of the files (default: meters, in stl and 3mf millimeters). All have y up and the face toward +z."""
    smooth: int = 10
    """Rounds of smoothing of the mesh, which keep its volume; 0 leaves every ridge of the density."""
    triangles: int | Literal["full"] = 20_000
    """Simplify the mesh to at most so many triangles; full keeps all."""
    texture: int | None = None
    """Pixels per side of a texture for glb, obj and usdz, instead of colors at the vertices."""
    trim: bool = True
    """Cut the bust flat where the images end; below nothing is ever shown."""
    morphs: bool = False
    """Give glb, usdz and --html 52 morph targets with ARKit's names, a mouth that opens, and an idle animation."""
    eyeballs: bool = False
    """With --morphs: eyes of their own, which turn, in place of the painted ones."""
    html: str | None = None
    """Also one offline page with the head (generate: all heads) to turn in any browser: its name in OUT, head.html."""

    def mesh_settings(self) -> "MeshSettings":
        """Return the options as settings.

        Raises:
            UsageError: for numbers out of range, naming the option.
        """
        from panohead.mesh import MeshSettings

        try:
            return MeshSettings(
                resolution=self.mesh_resolution,
                level=self.mesh_level,
                smooth=self.smooth,
                triangles=self.triangles,
                texture=self.texture,
                trim=self.trim,
                morphs=self.morphs,
                eyeballs=self.eyeballs,
            )
        except UsageError as error:
            name, space, rest = str(error).partition(" ")
            option = {"resolution": "mesh-resolution", "level": "mesh-level"}.get(name, name)
            raise UsageError(f"--{option}{space}{rest}") from None

    def check_mesh(self, *, also: tuple[str, ...] = ()) -> None:
        """Check these options and that what they need is installed: before the work, not after it.

        Args:
            also: options of these that something else than a mesh uses.

        Raises:
            UsageError: for numbers out of range, or settings without ``--mesh``.
            PanoHeadError: when a package is missing.
        """
        settings = self.mesh_settings()
        check_needed(self, "--morphs", self.morphs, "eyeballs")
        names = [field.name for field in fields(MeshOptions) if field.name not in ("mesh", "html", *also)]
        check_needed(self, "--mesh or --html", bool(self.mesh) or self.html is not None, *names)
        if self.html is None and self.mesh:
            colored, surface = {"glb", "obj", "usdz"} & {*self.mesh}, {*self.mesh} - {"mrc"}
            check_needed(self, "glb, obj or usdz in --mesh, or --html", bool(colored), "texture")
            check_needed(self, "glb or usdz in --mesh, or --html", bool({"glb", "usdz"} & {*self.mesh}), "morphs")
            of_surface = [name for name in names if name != "mesh_resolution"]
            check_needed(self, "a format of surfaces in --mesh, or --html", bool(surface), *of_surface)
        if self.mesh or self.html is not None:
            settings.check_packages()
        if "usdz" in self.mesh:
            from panohead.mesh.usdz import import_usd

            import_usd()
        if self.html is not None:
            _check_page_name(self.html)


@dataclass(kw_only=True)
class SplatOptions(MeshOptions):
    """Formats of a head's splats and mesh, and the settings by which they are made."""

    splats: tuple[Literal["ply", "spz"], ...] = ()
    """Formats of the head as 3-D Gaussians, for viewers of splats (ply: 3DGS convention; spz: a fifth of its size). The
    page of --html shows them too."""
    splat_count: Annotated[int, SPLAT_COUNT] = 100_000
    """Number of splats."""
    splat_steps: Annotated[int, SPLAT_STEPS] = 100
    """Steps in which splats are fitted to renders of the head; 0 leaves them as sampled."""

    def check_surface(self) -> None:
        """Check these options before the work. Raises as of :meth:`check_mesh`, also for settings without --splats."""
        self.check_mesh(also=("mesh_level",) if self.splats else ())
        check_needed(self, "--splats", bool(self.splats), "splat_count", "splat_steps")
        self.splat_settings()

    def splat_settings(self) -> "SplatSettings":
        """Return the options as settings."""
        from panohead.splats.settings import SplatSettings

        return SplatSettings(count=self.splat_count, steps=self.splat_steps, level=self.mesh_level)


def _check_page_name(name: str) -> None:
    if PurePath(name).name != name or "\\" in name or PurePath(name).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--html {name} is not the name of a page in OUT; give one such as head.html")
