"""The results of ``panohead demo``, and the page that shows them."""

from collections.abc import Sequence
from pathlib import Path

from panohead.frame import Frame
from panohead.gallery.meshes import write_meshes
from panohead.gallery.pages import styled_viewer
from panohead.gallery.videos import write_turntable
from panohead.gallery.views import CONTACT_YAWS, FrameCallback, ViewStyle, head_name, write_sheet, write_views
from panohead.geometry import Camera
from panohead.media.provenance import NOTICE, page_metadata
from panohead.mesh.settings import MeshSettings
from panohead.predictor import Predictor
from panohead.reports import Figure, Figures, HeadFigure, HeadFigures, Link, Page, PageBlock, Paragraph, url, write_page

VIDEO, SHEET, MESH, PAGE = "turntable.mp4", "contact_sheet.png", "head.glb", "index.html"
_MAX_OFF_GRAY = 0.25
"""Largest mean brightness of a head off middle gray, in [-1, 1], that counts as neither dark nor burnt out."""


def write_demo(predictor: Predictor, folder: Path, *, count: int, frames: int, step: FrameCallback) -> Path:
    """Write turntable, contact sheet, mesh and page of the first heads; views also lie in folders by seed.

    Args:
        predictor: the generator.
        folder: made already.
        count: number of heads on the contact sheet, seeds from 0 on; the one whose front is clearest is in the video
            and the mesh.
        frames: frames of the turntable.
        step: called after each view and frame, also of the page, and after the mesh.

    Returns:
        Path of the page.

    Raises:
        PanoHeadError: when a file cannot be written, or that head has no surface.
    """
    style = ViewStyle()
    heads = [predictor.sample(seed) for seed in range(count)]
    rows = {
        f"seed {seed}": write_views(head, folder / head_name(seed), CONTACT_YAWS, style, step=step)
        for seed, head in enumerate(heads)
    }
    write_sheet(rows, folder / SHEET, CONTACT_YAWS, cell_size=128)
    seed = clearest([head.render(Camera.orbit()) for head in heads])
    first = heads[seed]
    write_turntable(first, folder / VIDEO, frames=frames, fps=24, style=style, step=step)
    mesh = write_meshes(first, [folder / MESH], MeshSettings(resolution=160))
    step()
    title = f"Seed {seed}"
    viewer = styled_viewer(
        first, style, mesh, alt=f"The generated head of seed {seed}, to turn", title=title, step=step
    )
    about = str(predictor.checkpoint.notes.get("about", "")) if predictor.checkpoint else ""
    return write_page(demo_page(about, viewer), folder / PAGE)


def clearest(frames: Sequence[Frame]) -> int:
    """Return the index of the view that shows most: neither dark nor burnt out, and of these the one richest in detail.

    Detail is the mean difference of neighboring pixels inside the head; a cloud of one color has little of it.
    """
    means, details = [], []
    for frame in frames:
        alpha = frame.alpha()  # 1 height width
        gray = frame.image.mean(dim=0, keepdim=True)
        means.append(abs(float((gray * alpha).sum() / alpha.sum().clamp_min(1e-6))))
        inside = alpha[..., 1:] * alpha[..., :-1]
        details.append(float((gray.diff(dim=-1).abs() * inside).sum() / inside.sum().clamp_min(1e-6)))
    # The best exposed one is always among them.
    candidates = [i for i, mean in enumerate(means) if mean <= max(_MAX_OFF_GRAY, min(means))]
    return max(candidates, key=lambda i: details[i])


def demo_page(about: str, viewer: HeadFigure) -> Page:
    """Return the page of the files in its folder.

    Args:
        about: description of the model; "" says nothing.
        viewer: the head of video and mesh.
    """
    sheet = Figure(url(SHEET), "Generated heads in rows, each from eight sides", linked=True)
    blocks: list[PageBlock] = [
        HeadFigures([viewer]),
        *([Paragraph(about)] if about else []),
        Paragraph(
            "The same head as a video and as a mesh with colors:",
            links=[Link(VIDEO, url(VIDEO)), Link(MESH, url(MESH), download=True)],
        ),
        Figures([sheet], column_rem=80),
        Paragraph(NOTICE, "soft"),
    ]
    return Page("PanoHead: whole heads from all sides", blocks, metadata=page_metadata())
