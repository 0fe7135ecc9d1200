"""One head: its w, and what its views share."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.mesh.surface import OFFICIAL_LEVEL, GridProgress, extract_surface, smoothed
from panohead.mesh.vertex_colors import ColoringView, color_vertices
from panohead.models.frame_graph import FrameGraphs
from panohead.models.generator import Generator, Rendering
from panohead.rendering.dispatch import density, prepare
from panohead.rendering.field import TriGridField

if TYPE_CHECKING:
    import trimesh

_COLORING_VIEWS = [(yaw, 0.0) for yaw in range(0, 360, 45)] + [(0.0, 40.0), (180.0, 40.0), (0.0, -30.0)]


class Head:
    """A head that can be rendered from any camera.

    The tri-grid and the background are computed at the first view and cached, so every further view costs only rays
    and super-resolution. Images are reproducible: rays are sampled evenly instead of at random.

    Args:
        camera_offset: translation by camera self-adaptation, known for sampled heads.
    """

    def __init__(
        self,
        generator: Generator,
        ws: Float[Tensor, "1 num_ws w_dim"],
        camera_offset: Float[Tensor, "1 3"] | None = None,
    ) -> None:
        self.generator = generator
        self.ws = ws
        self._graphs = FrameGraphs()
        self.camera_offset = camera_offset
        """Translation by camera self-adaptation, world units; known for sampled heads, applied by no method here."""

    @cached_property
    @torch.no_grad()
    def field(self) -> TriGridField:
        """The tri-grid with its decoder, in the fastest memory layout."""
        return prepare(self.generator.field(self.ws))

    @cached_property
    @torch.no_grad()
    def background(self) -> Tensor | None:
        """Features of the 2-D background, "1 channel height width"; None for a generator without one."""
        return self.generator.background_features(self.ws)

    def begin(self) -> None:
        """Compute what all views share, if it is not known yet; then several threads can render the head at once."""
        _ = self.field, self.background

    def forget(self) -> None:
        """Drop what is cached between views (75 MB at the paper's size); the next view computes it again."""
        for cached in ("field", "background"):
            self.__dict__.pop(cached, None)
        self._graphs = FrameGraphs()

    def render(self, camera: Camera, *, resolution: int | None = None, background: "Head | None" = None) -> Frame:
        """Render the head from one camera.

        Args:
            camera: without batch dimensions, or with one of size 1.
            resolution: rays per side; None takes the generator's (64 in the paper).
            background: another head of the same generator whose background to put behind this one.
        """
        return _frame(self._render(camera, resolution, background), camera)

    def preview(self, camera: Camera, *, resolution: int | None = None) -> Frame:
        """Render the head without super-resolution, many times faster; ``image`` is the raw image."""
        return _frame(self._render(camera, resolution, None, superresolve=False), camera)

    def turntable(
        self, frames: int = 24, *, pitch_deg: float = 0.0, start_yaw_deg: float = 0.0, background: "Head | None" = None
    ) -> Iterator[Frame]:
        """Render ``frames`` views all around the head at one pitch, evenly spaced; played again they form a loop."""
        for i in range(frames):
            yield self.render(Camera.orbit(start_yaw_deg + 360 * i / frames, pitch_deg), background=background)

    def density(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        """Return raw density at points in world units, without gradients or crop."""
        return density(self.field, points[None])[0, :, 0]

    def mesh(
        self,
        resolution: int = 256,
        *,
        level: float = OFFICIAL_LEVEL,
        color: bool = True,
        unit: Literal["metre", "world"] = "metre",
        smooth: int = 0,
        triangles: int | None = None,
        texture: int | None = None,
        progress: GridProgress | None = None,
    ) -> "trimesh.Trimesh":
        """Extract the surface where the raw density is ``level`` (docs/reference.md 7.9), with colors from views.

        Only the largest connected piece is kept.

        Args:
            resolution: nodes per side of the grid that spans the box.
            color: paint vertices from rendered views.
            unit: "metre" (life size) or "world"; y is up and the face looks toward +z. See ``mesh.metadata``.
            smooth: rounds of Taubin's smoothing, which keeps the volume; about 10 remove the voxel steps.
            triangles: maximum number after simplification (needs fast-simplification); None keeps all.
            texture: pixels per side of a texture painted from the same views (needs xatlas); without ``triangles`` the
                mesh is then simplified to DEFAULT_TRIANGLES.
            progress: called while the grid is evaluated.

        Raises:
            PanoHeadError: when there is no surface at this level, or a package is missing.
        """
        # Imported here: whoever only renders need not wait for trimesh and scipy.
        from panohead.mesh.simplify import simplified_surface
        from panohead.mesh.texture import DEFAULT_TRIANGLES, textured
        from panohead.mesh.trimesh_object import to_trimesh

        surface = extract_surface(
            self.density,
            resolution=resolution,
            box_warp=self.generator.config.rendering.box_warp,
            level=level,
            crop=self.generator.config.rendering.crop_margin,
            device=self.ws.device,
            progress=progress,
        )
        if texture is not None and triangles is None:
            triangles = DEFAULT_TRIANGLES
        if smooth:
            surface = smoothed(surface, smooth)
        if triangles is not None:
            surface = simplified_surface(surface, triangles)
        views = list(self.coloring_views()) if color or texture is not None else []
        mesh = to_trimesh(surface, color_vertices(surface, views).rgb if views else None, unit=unit, level=level)
        return mesh if texture is None else textured(mesh, views, texture)

    def coloring_views(self) -> Iterator[ColoringView]:
        """Render the views that paint meshes: all round, and a few from above and below. World units."""
        for yaw, pitch in _COLORING_VIEWS:
            camera = Camera.orbit(yaw, pitch)
            frame = self.render(camera)
            yield ColoringView(frame.image, frame.depth, camera.cam2world, camera.intrinsics, frame.mask)

    @torch.no_grad()
    def _render(
        self, camera: Camera, resolution: int | None, background: "Head | None", *, superresolve: bool = True
    ) -> Rendering:
        behind = (self if background is None else background).background
        field = self.field

        def render(camera: Camera) -> Rendering:
            return self.generator.render_view(
                field, self.ws, camera, resolution=resolution, background=behind, superresolve=superresolve
            )

        camera = camera.expand(1).to(self.ws.device)
        if background is not None:
            return render(camera)
        # A generator's config is replaced, not changed: a new one is another kind of view.
        return self._graphs.render((resolution, superresolve, self.generator.config), render, camera)


def _frame(rendering: Rendering, camera: Camera) -> Frame:
    return Frame(
        image=rendering.image[0],
        image_raw=rendering.image_raw[0],
        depth=rendering.depth[0],
        mask=rendering.mask[0],
        camera=Camera(camera.cam2world.reshape(4, 4), camera.intrinsics.reshape(3, 3)),
    )
