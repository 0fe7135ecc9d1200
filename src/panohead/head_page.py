"""Heads as one offline file: a page with the frames of a full turn, the mesh and splats, to turn in any browser."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.files.regular import path_of
from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.limits import FRAMES, PITCH_DEG
from panohead.media.marked_image import marked
from panohead.media.provenance import NOTICE, image_metadata, page_metadata
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT, UNITS_PER_WORLD_UNIT, unit_of
from panohead.reports import FrameSheet, HeadFigure, HeadFigures, Page, PageBlock, Paragraph, embedded, write_page
from panohead.system.worker_threads import in_order, single_thread, worker_count

if TYPE_CHECKING:
    from panohead.mesh.head_mesh import HeadMesh

PAGE_FRAMES = 60
"""Frames of a full turn in a page, unless another number is asked for."""
PAGE_SUFFIXES = (".html", ".htm")
_COLUMNS = 10
# WebP halves the resolution of colors, and browsers enlarge by triangles, so small frames are enlarged before; large
# ones would fill a phone's memory.
_MIN_SIDE, _MAX_SIDE = 256, 384
_POSTER_SIDE = 256
_SHARP_SIDE = 128
"""Side in pixels from which the rendering looks better than the mesh, and is shown first: at 128 its eyes and lips are
clear, where a mesh smears them over its vertices; at 64 both are soft."""
_OVERLAY_SIDE = 64
_QUALITY = 84
_INVENTED = (255, 0, 255)
_INVENTED_ALPHA = 0.55  # as panohead.inversion.visibility.tinted


@runtime_checkable
class TurnableHead(Protocol):
    """A head as far as a page needs it."""

    ws: Tensor

    def begin(self) -> None:
        """Compute what all views share."""

    def render(self, camera: Camera) -> Frame:
        """Render the head from one camera."""

    def invented(self, frame: Frame) -> Float[Tensor, "1 height width"] | None:
        """Return the share of every pixel of a view that no photo shows; None for a head without photos."""


def head_figure(
    head: TurnableHead,
    mesh: "HeadMesh | None",
    *,
    alt: str,
    title: str = "",
    note: str = "",
    file: str = "head.glb",
    splats: bytes | None = None,
    frames: int = PAGE_FRAMES,
    pitch_deg: float = 0.0,
    render: Callable[[float], Frame] | None = None,
    transparent: bool = True,
    step: Callable[[], None] = lambda: None,
) -> HeadFigure:
    """Render a full turn and return it, with the mesh, as a block of a page.

    Args:
        head: what to render.
        mesh: its mesh; None for the rendering alone.
        alt: the head in words.
        title: first line of the caption.
        note: further line of the caption.
        file: name under which the mesh is saved from the page.
        splats: SPZ file of the head (:func:`panohead.splats.encoded_splats`); None for none.
        frames: number of frames of the turn.
        pitch_deg: height of the camera in degrees; positive is above the head.
        render: renderer of the view of a yaw in degrees, from that height; None renders the head as it is.
        transparent: cut the head out, so that the page's background is behind it.
        step: called after each frame.

    Raises:
        UsageError: for numbers outside the ranges of :mod:`panohead.limits`.
    """
    frames = FRAMES.whole(frames, "frames")
    pitch = PITCH_DEG.real(pitch_deg, "pitch_deg")

    def view(yaw_deg: float) -> tuple[Image.Image, Image.Image | None]:
        frame = head.render(Camera.orbit(yaw_deg, pitch)) if render is None else render(yaw_deg)
        share = head.invented(frame)
        return frame.to_pil(transparent=transparent), None if share is None else _overlay(share)

    with single_thread():
        head.begin()
    cells, overlays, sharp = [], [], False
    for image, overlay in in_order(view, [360 * i / frames for i in range(frames)], worker_count(head.ws.device)):
        cells.append(_cell(image))
        sharp = image.width >= _SHARP_SIDE
        overlays += [] if overlay is None else [overlay]
        step()
    glb, unit = (None, 1.0) if mesh is None else _glb(mesh)
    poster = cells[0].copy()
    poster.thumbnail((_POSTER_SIDE, _POSTER_SIDE))
    return HeadFigure(
        alt,
        embedded(marked(poster)),
        frames=_sheet(cells),
        invented=_sheet(overlays) if overlays else None,
        glb=glb,
        first="frames" if sharp or glb is None else "mesh",
        title=title,
        note=note,
        splats=splats,
        file=file,
        splats_file=f"{PurePath(file).stem}_splats.spz",
        unit=unit,
        meter=unit / METERS_PER_WORLD_UNIT,
        pitch_deg=pitch,
    )


def write_head_page(viewers: Sequence[HeadFigure], path: str | Path, *, title: str) -> Path:
    """Write a page of heads as one file that needs neither network nor other files, marked as synthetic.

    Args:
        viewers: at least one head.
        path: .html file to write; missing folders are made.
        title: heading of the page.

    Raises:
        UsageError: for what is no path.
        PanoHeadError: when the suffix is another, or the file cannot be written.
    """
    path = check_page_path(path)
    blocks: list[PageBlock] = [HeadFigures(viewers), Paragraph(NOTICE, "soft")]
    return write_page(Page(title, blocks, metadata=page_metadata()), path)


def check_page_path(path: str | Path) -> Path:
    """Return the path of a page.

    Raises:
        UsageError: for what is no path.
        PanoHeadError: when its suffix is not .html or .htm.
    """
    if path_of(path).suffix.lower() not in PAGE_SUFFIXES:
        raise PanoHeadError(f"{path}: pages are written as .html; use a name with that suffix")
    return Path(path)


def _glb(mesh: "HeadMesh") -> tuple[bytes, float]:
    """Return the mesh as ``export("head.glb")`` writes it, and the length of a world unit in it."""
    from panohead.mesh.export import encoded

    return encoded(mesh, "glb"), UNITS_PER_WORLD_UNIT[unit_of(mesh)]


def _cell(image: Image.Image) -> Image.Image:
    side = min(max(image.width, _MIN_SIDE), _MAX_SIDE)
    if image.width == side:
        return image
    if image.mode != "RGBA":
        return image.resize((side, side), Image.Resampling.LANCZOS)
    # Alpha apart from colors: Pillow would lose the colors of transparent pixels, which the outline still shows.
    colors = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    colors.putalpha(image.getchannel("A").resize((side, side), Image.Resampling.BILINEAR))
    return colors


def _overlay(share: Float[Tensor, "1 height width"]) -> Image.Image:
    """Return the tint of what no photo shows."""
    alpha = (share[0].detach().float().clamp(0, 1) * _INVENTED_ALPHA * 255).round().cpu().numpy().astype(np.uint8)
    tint = Image.new("RGB", (alpha.shape[1], alpha.shape[0]), _INVENTED)
    tint.putalpha(Image.fromarray(alpha))
    return tint if tint.width <= _OVERLAY_SIDE else tint.resize((_OVERLAY_SIDE, _OVERLAY_SIDE))


def _sheet(cells: Sequence[Image.Image]) -> FrameSheet:
    side, columns = cells[0].width, min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new(cells[0].mode, (columns * side, rows * side))
    for i, cell in enumerate(cells):
        sheet.paste(cell, (i % columns * side, i // columns * side))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=_QUALITY, method=4, **image_metadata(".webp", "trainedAlgorithmicMedia"))
    return FrameSheet(buffer.getvalue(), side, columns, len(cells))
