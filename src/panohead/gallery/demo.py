"""The results of ``panohead demo``, and the page that shows them."""

from pathlib import Path

from panohead.gallery.videos import write_turntable
from panohead.gallery.views import CONTACT_YAWS, FrameCallback, ViewStyle, write_sheet, write_views
from panohead.media.provenance import NOTICE
from panohead.predictor import Predictor
from panohead.reports import Figure, Figures, Link, Page, PageBlock, Paragraph, Video, url, write_page

VIDEO, SHEET, MESH, PAGE = "turntable.mp4", "contact_sheet.png", "head.glb", "index.html"


def write_demo(predictor: Predictor, folder: Path, *, seeds: int, frames: int, step: FrameCallback) -> Path:
    """Write turntable, contact sheet, mesh and page of the first heads; views also lie in folders by seed.

    Args:
        predictor: the generator.
        folder: made already.
        seeds: number of heads on the contact sheet; the first one is in the video and the mesh.
        frames: frames of the turntable.
        step: called after each view and frame, and after the mesh.

    Returns:
        Path of the page.

    Raises:
        PanoHeadError: when a file cannot be written, or the first head has no surface.
    """
    style = ViewStyle()
    heads = {f"seed {seed}": predictor.sample(seed) for seed in range(seeds)}
    rows = {
        label: write_views(head, folder / label.replace(" ", ""), CONTACT_YAWS, style, step=step)
        for label, head in heads.items()
    }
    write_sheet(rows, folder / SHEET, CONTACT_YAWS, cell_size=128)
    first = heads["seed 0"]
    write_turntable(first, folder / VIDEO, frames=frames, fps=24, style=style, step=step)
    first.save_mesh(folder / MESH, resolution=160)
    step()
    about = str(predictor.checkpoint.notes.get("about", "")) if predictor.checkpoint else ""
    return write_page(demo_page(about), folder / PAGE)


def demo_page(about: str) -> Page:
    """Return the page of the files in its folder. ``about`` describes the model; "" says nothing."""
    sheet = Figure(url(SHEET), "Generated heads in rows, each from eight sides", linked=True)
    blocks: list[PageBlock] = [
        Video(url(VIDEO), "A generated head makes a full turn", autoplay=True),
        *([Paragraph(about)] if about else []),
        Paragraph("The head of the video as a mesh with colors:", links=[Link(MESH, url(MESH), download=True)]),
        Figures([sheet], column_rem=80),
        Paragraph(NOTICE, "soft"),
    ]
    return Page("PanoHead: whole heads from all sides", blocks)
