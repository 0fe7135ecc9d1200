"""Heads of a gallery as blocks of pages, to be turned with the mouse."""

from typing import TYPE_CHECKING

from panohead.errors import NoSurfaceError
from panohead.gallery.views import FrameCallback, ViewStyle
from panohead.head import Head
from panohead.head_page import PAGE_FRAMES, head_figure
from panohead.mesh.settings import MeshSettings
from panohead.reports import HeadFigure
from panohead.splats.files import encoded_splats

if TYPE_CHECKING:
    from panohead.mesh.head_mesh import HeadMesh
    from panohead.splats import SplatCloud


def styled_viewer(
    head: Head,
    style: ViewStyle,
    mesh: "HeadMesh | MeshSettings | None",
    *,
    alt: str,
    title: str = "",
    note: str = "",
    file: str = "head.glb",
    splats: "SplatCloud | None" = None,
    frames: int = PAGE_FRAMES,
    step: FrameCallback,
) -> HeadFigure:
    """Render a full turn in a style and return it, with mesh and splats, as a block of a page.

    Args:
        head: what to render.
        style: height of the camera, and background; without one the head is cut out, and the page is behind it.
        mesh: its mesh, settings to make one (a head without a surface is shown without), or None for none.
        alt: the head in words.
        title: first line of the caption.
        note: further line of the caption.
        file: name under which the mesh is saved from the page.
        splats: its splats; None for none.
        frames: number of frames of the turn.
        step: called after each frame.
    """
    if isinstance(mesh, MeshSettings):
        try:
            mesh = head.mesh(**vars(mesh))
        except NoSurfaceError as error:
            mesh, note = None, f"There is no mesh: {error}"
    style.begin(head)
    return head_figure(
        head,
        mesh,
        alt=alt,
        title=title,
        note=note,
        file=file,
        splats=None if splats is None else encoded_splats(splats),
        frames=frames,
        pitch_deg=style.pitch_deg,
        render=lambda yaw: style.render(head, yaw),
        transparent=style.background is None and style.background_head is None,
        step=step,
    )
