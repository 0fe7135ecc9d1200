"""One head: its w, and what its views share."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.errors import NoSurfaceError, PanoHeadError, UsageError
from panohead.files.regular import path_of
from panohead.frame import Frame
from panohead.geometry import RADIUS, Camera, single_camera
from panohead.limits import FPS, FRAMES, PITCH_DEG, RENDER_RESOLUTION, YAW_DEG
from panohead.media.cutout import foreground_colors
from panohead.mesh.settings import (
    DEFAULT_SMOOTHING,
    DEFAULT_TRIANGLES,
    OFFICIAL_LEVEL,
    MeshSettings,
    MeshUnit,
    unit_named,
)
from panohead.mesh.surface import GridProgress
from panohead.mesh.vertex_colors import ColoringView, color_vertices
from panohead.models.frame_graph import FrameGraphs
from panohead.models.generator import Generator, Rendering
from panohead.rendering.dispatch import density
from panohead.rendering.field import HeadField

if TYPE_CHECKING:
    from panohead.attributes import AttributeEncoder
    from panohead.attributes.editing import HeadAttributes
    from panohead.attributes.named import Value
    from panohead.mesh.head_mesh import HeadMesh
    from panohead.splats import SplatCloud

_COLORING_VIEWS = [(yaw, 0.0) for yaw in range(0, 360, 45)] + [(0.0, 40.0), (180.0, 40.0), (0.0, -30.0)]


class Head:
    """A head that can be rendered from any camera.

    The tri-grid and the background are computed at the first view and cached, so every further view costs only rays
    and super-resolution. Images are reproducible: rays are sampled evenly instead of at random.

    Args:
        camera_offset: translation by camera self-adaptation, known for sampled heads.
        attribute_encoder: network from named attributes to w of this generator; None where there is none.
    """

    def __init__(
        self,
        generator: Generator,
        ws: Float[Tensor, "1 num_ws w_dim"],
        camera_offset: Float[Tensor, "1 3"] | None = None,
        attribute_encoder: "AttributeEncoder | None" = None,
    ) -> None:
        self.generator = generator
        self.ws = ws
        self._graphs = FrameGraphs()
        self.camera_offset = camera_offset
        """Translation by camera self-adaptation, world units; known for sampled heads, applied by no method here."""
        self.attribute_encoder = attribute_encoder
        """Network from named attributes to w; None for a model that has none."""

    @cached_property
    @torch.no_grad()
    def field(self) -> HeadField:
        """The tri-grid with its decoder, in the fastest memory layout."""
        return self.generator.prepared_field(self.ws)

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

        Raises:
            UsageError: for several cameras or an impossible one, one whose rays miss the head, a resolution outside
                :data:`panohead.limits.RENDER_RESOLUTION`, or a background that the generator does not make.
        """
        camera = single_camera(camera)
        return _frame(self._render(camera, resolution, background), camera)

    def preview(self, camera: Camera, *, resolution: int | None = None) -> Frame:
        """Render the head without super-resolution, many times faster; ``image`` is the raw image.

        Arguments and errors as of :meth:`render`.
        """
        camera = single_camera(camera)
        return _frame(self._render(camera, resolution, None, superresolve=False), camera)

    def turntable(
        self, frames: int = 24, *, pitch_deg: float = 0.0, start_yaw_deg: float = 0.0, background: "Head | None" = None
    ) -> Iterator[Frame]:
        """Render ``frames`` views all around the head at one pitch, evenly spaced; played again they form a loop.

        Raises:
            UsageError: at the call, for no frame or angles outside the ranges of :mod:`panohead.limits`.
        """
        frames = FRAMES.whole(frames, "frames")
        start, pitch = YAW_DEG.real(start_yaw_deg, "start_yaw_deg"), PITCH_DEG.real(pitch_deg, "pitch_deg")
        cameras = [Camera.orbit((start + 360 * i / frames) % 360, pitch) for i in range(frames)]
        return (self.render(camera, background=background) for camera in cameras)

    def density(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        """Return raw density at points in world units, without gradients or crop.

        Raises:
            UsageError: for points of another shape.
        """
        if not isinstance(points, Tensor) or points.ndim != 2 or points.shape[1] != 3:
            found = f"shape {tuple(points.shape)}" if isinstance(points, Tensor) else f"type {type(points).__name__}"
            raise UsageError(f"points are of {found}; give a tensor of shape points x 3 in world units")
        return density(self.field, points[None])[0, :, 0]

    def mesh(
        self,
        resolution: int = 256,
        *,
        level: float = OFFICIAL_LEVEL,
        color: bool = True,
        unit: MeshUnit = "metre",
        smooth: int = DEFAULT_SMOOTHING,
        triangles: int | Literal["full"] | None = DEFAULT_TRIANGLES,
        texture: int | None = None,
        trim: bool = True,
        morphs: bool = False,
        eyeballs: bool = False,
        progress: GridProgress | None = None,
    ) -> "HeadMesh":
        """Extract the surface where the raw density is ``level`` (docs/reference.md 7.9), with colors from views.

        Only the largest connected piece is kept. The official surface, with every triangle and every ridge, is
        ``mesh(smooth=0, triangles=None, trim=False)``.

        Args:
            resolution: nodes per side of the grid that spans the box.
            level: raw density at the surface.
            color: paint vertices from rendered views.
            unit: "metre" or "millimetre" (life size), or "world"; y is up and the face looks toward +z. See
                ``mesh.metadata``.
            smooth: rounds of Taubin's smoothing, which keeps the volume and removes the voxel steps; above 0 also
                detail finer than the tri-grid is taken out of the density before (ridges, tears at the crown).
            triangles: maximum number after simplification; "full" or None keeps all.
            texture: pixels per side of a texture painted from the same views (needs xatlas).
            trim: cut the bust flat at the lower edge of the official frame, below which no image shows anything.
            morphs: give it 52 morph targets with ARKit's names, and a mouth that opens (docs/animation.md); GLB files
                have them.
            eyeballs: with ``morphs``: eyes of their own, which turn, in place of the painted ones.
            progress: called while the grid is evaluated.

        Raises:
            UsageError: for numbers outside the ranges of :mod:`panohead.limits`, or another unit.
            NoSurfaceError: when the density reaches the level nowhere.
            PanoHeadError: when a package is missing.
        """
        # Imported here: whoever only renders need not wait for trimesh and scipy.
        from panohead.mesh.head_mesh import HeadMesh
        from panohead.mesh.head_surface import head_surface
        from panohead.mesh.texture import textured
        from panohead.mesh.trimesh_object import to_trimesh

        settings = MeshSettings(
            resolution=resolution, level=level, unit=unit, smooth=smooth, triangles=triangles, texture=texture,
            trim=trim, morphs=morphs, eyeballs=eyeballs,
        )  # fmt: skip
        config = self.generator.config
        surface = head_surface(
            self.density,
            settings,
            box_warp=config.rendering.box_warp,
            crop=config.rendering.crop_margin,
            texel=config.texel,
            device=self.ws.device,
            progress=progress,
        )
        views = list(self.coloring_views()) if color or texture is not None else []
        if settings.morphs:
            from panohead.morphs.morph_mesh import morph_mesh

            attributes = None if self.attribute_encoder is None else self.own_attributes
            return morph_mesh(
                surface, attributes, views, unit=settings.unit, level=settings.level, eyeballs=settings.eyeballs
            )
        rgb = color_vertices(surface, views).rgb if views else None
        mesh = to_trimesh(surface, rgb, unit=settings.unit, level=settings.level)
        return HeadMesh.of(mesh if settings.texture is None else textured(mesh, views, settings.texture))

    def save_mesh(self, path: str | Path, *, unit: MeshUnit | None = None, **options: Any) -> Path:
        """Write the head's mesh in the format of the suffix: GLB, OBJ, PLY, STL or 3MF, marked as synthetic.

        Args:
            path: file to write; missing folders are made.
            unit: unit of the file's coordinates; None for meters, in STL and 3MF millimeters.
            options: further arguments of :meth:`mesh`.

        Returns:
            The path.

        Raises:
            UsageError: for impossible arguments, before the work.
            PanoHeadError: as of :meth:`mesh`, and when the file cannot be written.
        """
        from panohead.mesh.export import check_mesh_path, write_mesh

        check_mesh_path(path)
        unit = None if unit is None else unit_named(unit)
        return write_mesh(self.mesh(**options), path, unit=unit)

    def splats(
        self,
        count: int = 100_000,
        *,
        steps: int = 100,
        level: float = OFFICIAL_LEVEL,
        progress: Callable[[], None] = lambda: None,
    ) -> "SplatCloud":
        """Return the head as 3-D Gaussians ("splats"): samples of the field, refined against renders of the head.

        Args:
            count: number of splats.
            steps: steps of refinement, one view each; 0 for none.
            level: raw density at the surface near which they are drawn.
            progress: called after each step.

        Raises:
            UsageError: for numbers outside the ranges of :mod:`panohead.limits`.
            NoSurfaceError: when the head has no surface.
        """
        from panohead.splats.of_head import splats_of
        from panohead.splats.settings import SplatSettings

        return splats_of(self, SplatSettings(count=count, steps=steps, level=level), progress=progress)

    def save_splats(self, path: str | Path, **options: Any) -> Path:
        """Write the head's splats in the format of the suffix, .ply or .spz, life size in meters, marked as synthetic.

        Args:
            path: file to write; missing folders are made.
            options: arguments of :meth:`splats`.

        Raises:
            UsageError: for impossible arguments, before the work.
            PanoHeadError: as of :meth:`splats`, and when the file cannot be written.
        """
        from panohead.splats.files import check_splat_path, write_splats

        check_splat_path(path)
        return write_splats(self.splats(**options), path)

    def save_html(
        self,
        path: str | Path,
        *,
        frames: int | None = None,
        pitch_deg: float = 0.0,
        title: str = "A generated head",
        alt: str = "A generated head, to turn",
        splats: "SplatCloud | None" = None,
        **options: Any,
    ) -> Path:
        """Write one offline page with the head to turn: its rendering, its mesh, its splats. Marked as synthetic.

        Args:
            path: .html file to write; missing folders are made.
            frames: frames of the rendering's full turn; None for 60.
            pitch_deg: height of their camera in degrees; positive is above the head.
            title: heading of the page.
            alt: the head in words, for those who do not see it.
            splats: what :meth:`splats` returned, to show them too (20 bytes of the page each).
            options: further arguments of :meth:`mesh`. A head without a surface is shown without a mesh.

        Returns:
            The path.

        Raises:
            UsageError: for impossible arguments, before the work.
            PanoHeadError: when a package is missing or the file cannot be written.
        """
        from panohead.head_page import PAGE_FRAMES, check_page_path, head_figure, write_head_page
        from panohead.splats import encoded_splats

        frames = FRAMES.whole(PAGE_FRAMES if frames is None else frames, "frames")
        pitch, path = PITCH_DEG.real(pitch_deg, "pitch_deg"), check_page_path(path)
        mesh: HeadMesh | None = None
        note, packed = "", None if splats is None else encoded_splats(splats)
        try:
            mesh = self.mesh(**options)
        except NoSurfaceError as error:
            note = f"There is no mesh: {error}"
        viewer = head_figure(self, mesh, alt=alt, note=note, splats=packed, frames=frames, pitch_deg=pitch)
        return write_head_page([viewer], path, title=title)

    def invented(self, frame: Frame) -> Float[Tensor, "1 height width"] | None:
        """Return the share of every pixel of a view that no photo shows; None, as there are no photos here."""
        return None

    def save_video(
        self,
        path: str | Path,
        *,
        frames: int = 48,
        fps: float = 24.0,
        pitch_deg: float = 0.0,
        transparent: bool = False,
        background: "Head | None" = None,
    ) -> Path:
        """Write a video of a full turn in the format of the suffix, marked as synthetic.

        Args:
            path: .mp4, .webm or .gif, or a folder of PNG files (no suffix).
            frames: number of frames of the turn.
            fps: frames per second.
            pitch_deg: height of the camera in degrees; positive is above the head.
            transparent: cut the head out (not for .mp4).
            background: another head of the same generator whose background to put behind this one.

        Returns:
            The path.

        Raises:
            UsageError: for impossible arguments, before the work.
            PanoHeadError: when the file cannot be written.
        """
        from panohead.media.video import VideoWriter, enlarged

        if transparent and path_of(path).suffix.lower() == ".mp4":
            raise UsageError(f"{path}: mp4 has no transparency; use .webm, .gif or a folder (no suffix)")
        views = self.turntable(frames, pitch_deg=pitch_deg, background=background)
        with VideoWriter(path_of(path), FPS.real(fps, "fps")) as video:
            for frame in views:
                video.write(enlarged(np.array(frame.to_pil(transparent=transparent))))
        return video.path

    def coloring_views(self) -> Iterator[ColoringView]:
        """Render the views that paint meshes: all round, and a few from above and below. World units.

        The background's share is taken out of the colors of the outline.
        """
        for yaw, pitch in _COLORING_VIEWS:
            camera = Camera.orbit(yaw, pitch)
            frame = self.render(camera)
            image = foreground_colors(frame.image, frame.matte())
            yield ColoringView(image, frame.depth, camera.cam2world, camera.intrinsics, frame.mask)

    def attributes(self) -> "dict[str, Value]":
        """Return the head's attributes by name (age in years, skin_tone 0 to 1, hair_style a word, ...).

        Of a head of which only w is known they are the nearest ones, found in about 0.3 s.

        Raises:
            UsageError: for a model without an attribute encoder.
        """
        return self.own_attributes.values()

    def with_attributes(self, **values: "Value") -> "Head":
        """Return this head with some attributes set, such as ``age=60, hair_style="bob", skin_tone=0.8``.

        The head keeps what attributes do not tell: it moves in w by the difference that the change makes to the
        encoder, from the head's own attributes. What else moves is measured in docs/attributes.md.

        Args:
            values: numbers and words by the names of :meth:`attributes`; docs/attributes.md has the ranges.

        Raises:
            UsageError: for a name that does not exist, a value out of range, or a model without an attribute encoder.
        """
        before = self.own_attributes
        after = before.changed(values)
        ws = self.ws + (after.w() - before.w()).to(self.ws)
        if not bool(ws.isfinite().all()):
            raise PanoHeadError("the attribute encoder gives numbers that are not finite; take another checkpoint")
        head = Head(self.generator, ws, self.camera_offset, self.attribute_encoder)
        head.__dict__["own_attributes"] = after
        return head

    def with_expression(self, weights: Mapping[str, float] | None = None, **named: float) -> "Head":
        """Return this head with expression weights set, such as ``jawOpen=0.5, mouthSmileLeft=0.8``.

        Weights that are not named stay as they are. Units of the eyes' turning (``eyeLookOutLeft``, ...) turn the gaze
        of both eyes. How well the bundled model follows is measured in docs/animation.md.

        Args:
            weights: 0 to 1 by ARKit's 52 names.
            named: the same, by keyword.

        Raises:
            UsageError: for a name that does not exist (the nearest are suggested), a weight out of range, or a model
                without an attribute encoder.
        """
        from panohead.attributes.expressions import expression_attributes

        if not isinstance(weights, Mapping | None):
            raise UsageError(f"expression weights are {weights!r:.40}; give names and weights, such as jawOpen=0.5")
        vocabulary = self.own_attributes.encoder.vocabulary
        return self.with_attributes(**expression_attributes(vocabulary, {**(weights or {}), **named}))

    @cached_property
    def own_attributes(self) -> "HeadAttributes":
        """Known attributes of the head; where only w is known, the nearest ones."""
        from panohead.attributes.editing import HeadAttributes

        if self.attribute_encoder is None:
            raise UsageError(
                "this model has no attribute encoder, so its heads have no named attributes; 'panohead directions' "
                "finds directions for any model"
            )
        # Rows differ in a head of mixed styles or of a reconstruction; they move together.
        return HeadAttributes.of_w(self.attribute_encoder, self.ws[0].mean(dim=0))

    @torch.no_grad()
    def _render(
        self, camera: Camera, resolution: int | None, background: "Head | None", *, superresolve: bool = True
    ) -> Rendering:
        resolution = None if resolution is None else RENDER_RESOLUTION.whole(resolution, "resolution")
        self._check_view(camera)
        if background is not None:
            self._check_background(background)
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

    def _check_view(self, camera: Camera) -> None:
        """Refuse a camera that looks away, or whose rays begin behind the head or end before it: an empty image."""
        position, forward = camera.position.detach().reshape(3), camera.cam2world.detach().reshape(4, 4)[:3, 2]
        if float((position * forward).sum()) >= 0:
            raise UsageError(
                "the camera looks away from the head; OpenCV's axes are wanted (x right, y down, z forward), so for "
                "OpenGL's negate the second and third column of cam2world"
            )
        rendering = self.generator.config.rendering
        if rendering.ray_start == "auto" or rendering.ray_end == "auto":
            return
        start, end, half = float(rendering.ray_start), float(rendering.ray_end), rendering.box_warp / 2
        distance = float(position.norm())
        if distance - half > end or distance + half < start:
            raise UsageError(
                f"the camera is {distance:.6g} world units from the head's center, and the rays of this generator "
                f"reach from {start:g} to {end:g}; give a radius of about {RADIUS:g} (for size, another focal length)"
            )

    def _check_background(self, other: "Head") -> None:
        check_head(other, "background")
        if self.generator.background is None:
            raise UsageError(
                "this generator makes no background, so none can be exchanged; put the head on a color or photo instead"
            )
        if other.generator.background is None or other.generator.config != self.generator.config:
            raise UsageError("background is a head of another generator; take one of the same")


def check_head(head: object, name: str) -> None:
    """Refuse what is no head. Raises UsageError, which calls it ``name``."""
    if not isinstance(head, Head):
        raise UsageError(f"{name} is of type {type(head).__name__}; give a head, such as predictor.sample(seed=1)")


def _frame(rendering: Rendering, camera: Camera) -> Frame:
    return Frame(
        image=rendering.image[0],
        image_raw=rendering.image_raw[0],
        depth=rendering.depth[0],
        mask=rendering.mask[0],
        camera=Camera(camera.cam2world.reshape(4, 4), camera.intrinsics.reshape(3, 3)),
    )
