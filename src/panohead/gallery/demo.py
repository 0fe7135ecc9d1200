"""The results of ``panohead demo``, and the page that shows them."""

from collections.abc import Sequence
from pathlib import Path

from panohead.frame import Frame
from panohead.gallery.videos import write_turntable
from panohead.gallery.views import CONTACT_YAWS, FrameCallback, ViewStyle, head_name, write_sheet, write_views
from panohead.geometry import Camera
from panohead.media.provenance import NOTICE
from panohead.predictor import Predictor
from panohead.reports import Figure, Figures, Link, Page, PageBlock, Paragraph, Video, url, write_page

VIDEO, SHEET, MESH, PAGE = "turntable.mp4", "contact_sheet.png", "head.glb", "index.html"


def write_demo(predictor: Predictor, folder: Path, *, count: int, frames: int, step: FrameCallback) -> Path:
    """Write turntable, contact sheet, mesh and page of the first heads; views also lie in folders by seed.

    Args:
        predictor: the generator.
        folder: made already.
        count: number of heads on the contact sheet, seeds from 0 on; the one whose front is best exposed is in the
            video and the mesh.
        frames: frames of the turntable.
        step: called after each view and frame, and after the mesh.

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
    seed = best_exposed([head.render(Camera.orbit()) for head in heads])
    first = heads[seed]
    write_turntable(first, folder / VIDEO, frames=frames, fps=24, style=style, step=step)
    first.save_mesh(folder / MESH, resolution=160)
    step()
    about = str(predictor.checkpoint.notes.get("about", "")) if predictor.checkpoint else ""
    return write_page(demo_page(about, seed), folder / PAGE)


def best_exposed(frames: Sequence[Frame]) -> int:
    """Return the index of the view whose head is nearest to middle gray on average, so neither dark nor burnt out."""

    def distance(frame: Frame) -> float:
        alpha = frame.alpha()
        return abs(float((frame.image.mean(dim=0, keepdim=True) * alpha).sum() / alpha.sum().clamp_min(1e-6)))

    return min(range(len(frames)), key=lambda i: distance(frames[i]))


def demo_page(about: str, seed: int) -> Page:
    """Return the page of the files in its folder.

    Args:
        about: description of the model; "" says nothing.
        seed: seed of the head of video and mesh.
    """
    sheet = Figure(url(SHEET), "Generated heads in rows, each from eight sides", linked=True)
    blocks: list[PageBlock] = [
        Video(url(VIDEO), f"The generated head of seed {seed} makes a full turn", autoplay=True),
        *([Paragraph(about)] if about else []),
        Paragraph("The head of the video as a mesh with colors:", links=[Link(MESH, url(MESH), download=True)]),
        Figures([sheet], column_rem=80),
        Paragraph(NOTICE, "soft"),
    ]
    return Page("PanoHead: whole heads from all sides", blocks)
