"""Heads to files: pictures, turntables, contact sheets, latent walks, a page that shows them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.head import Head
from panohead.media import VideoWriter, contact_sheet, mask_to_pil, save_depth, save_image, to_uint8
from panohead.predictor import Predictor

if TYPE_CHECKING:
    import trimesh

FrameCallback = Callable[[], None]
"""Called after every frame, for a progress bar."""

CONTACT_YAWS = tuple(range(0, 360, 45))

MIN_VIDEO_SIDE = 256
"""Pixels; smaller pictures are enlarged by a whole factor in films."""


@dataclass(frozen=True, kw_only=True)
class ViewStyle:
    """How every view of a gallery is rendered.

    Attributes:
        pitch_deg: height of the camera.
        resolution: rays per side; None takes the generator's.
        background: a colour or photo to put behind the head; None keeps the generated background.
        background_head: another head whose generated background to use.
        transparent: cut the head out.
    """

    pitch_deg: float = 0.0
    resolution: int | None = None
    background: tuple[int, int, int] | Image.Image | None = None
    background_head: Head | None = None
    transparent: bool = False

    def render(self, head: Head, yaw_deg: float) -> Frame:
        """One view."""
        camera = Camera.orbit(yaw_deg, self.pitch_deg)
        frame = head.render(camera, resolution=self.resolution, background=self.background_head)
        return frame if self.background is None else frame.on(self.background)

    def image(self, frame: Frame) -> Image.Image:
        """A view as RGB or RGBA."""
        return frame.to_pil(transparent=self.transparent)


def write_views(
    head: Head,
    folder: Path,
    yaws_deg: Sequence[float],
    style: ViewStyle,
    *,
    depth: bool = False,
    mask: bool = False,
    thumbnail: int = 192,
    step: FrameCallback,
) -> list[Image.Image]:
    """One PNG a view in ``folder``, named by its yaw; on request its depth (16 bit) and mask beside it.

    Returns:
        The pictures again, at most ``thumbnail`` pixels large, for a contact sheet.
    """
    small = []
    for yaw in yaws_deg:
        frame = style.render(head, yaw)
        name = f"yaw{yaw:+04.0f}" if float(yaw).is_integer() else f"yaw{yaw:+g}"
        image = style.image(frame)
        save_image(image, folder / f"{name}.png")
        if depth:
            save_depth(frame.depth, folder / f"{name}_depth.png", mask=frame.mask)
        if mask:
            save_image(mask_to_pil(frame.mask), folder / f"{name}_mask.png")
        image.thumbnail((thumbnail, thumbnail), Image.Resampling.LANCZOS)
        small.append(image)
        step()
    return small


def write_sheet(
    rows: Mapping[str, Sequence[Image.Image]],
    path: Path,
    yaws_deg: Sequence[float],
    *,
    cell_size: int,
    transparent: bool = False,
) -> None:
    """A contact sheet: one row a head with its label, one column a yaw; on request with nothing behind it."""
    columns = [f"{yaw:g}\N{DEGREE SIGN}" for yaw in yaws_deg]
    sheet = contact_sheet(
        list(rows.values()),
        row_labels=list(rows),
        column_labels=columns,
        cell_size=cell_size,
        transparent=transparent,
    )
    save_image(sheet, path)


def write_meshes(
    head: Head,
    paths: Sequence[Path],
    *,
    resolution: int,
    level: float,
    smooth: int = 0,
    triangles: int | None = None,
    texture: int | None = None,
) -> "trimesh.Trimesh | None":
    """The head's surface in the format of every path (see :meth:`Head.mesh`); ``.mrc`` is the density volume instead.

    Returns:
        The mesh, None if only the volume was asked for.
    """
    from panohead.mesh.export import Volume, write_mesh  # here: images need not wait for trimesh
    from panohead.mesh.surface import density_grid

    suffixes = {path.suffix for path in paths}
    mesh, volume = None, None
    if suffixes - {".mrc"}:
        mesh = head.mesh(resolution, level=level, smooth=smooth, triangles=triangles, texture=texture)
    if ".mrc" in suffixes:
        box = head.generator.config.rendering.box_warp
        volume = Volume(density_grid(head.density, resolution=resolution, box_warp=box), box / (resolution - 1))
    for path in paths:
        # The light is in the colours already; the format's own default is a metal, black in many viewers.
        write_mesh(mesh, path, unlit=True, volume=volume)
    return mesh


def write_turntable(
    head: Head, path: Path, *, frames: int, fps: float, style: ViewStyle, step: FrameCallback, also: Sequence[Path] = ()
) -> None:
    """A full turn as a film (.mp4, .webm, .gif) or a folder of PNG files (no suffix); ``also`` the same as others."""
    with ExitStack() as stack:
        videos = [stack.enter_context(VideoWriter(one, fps)) for one in (path, *also)]
        for i in range(frames):
            pixels = _pixels(style, style.render(head, 360 * i / frames))
            for video in videos:
                video.write(pixels)
            step()


def latent_walk(predictor: Predictor, heads: Sequence[Head], count: int, *, loop: bool) -> Iterable[Head]:
    """Heads on a smooth curve (cubic spline in w) through ``heads``, ``count`` from one to the next."""
    keys = [head.ws.cpu().numpy() for head in heads]
    if loop:
        keys.append(keys[0])
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(np.arange(len(keys)), np.stack(keys), bc_type="periodic" if loop else "not-a-knot")
    steps = (len(keys) - 1) * count
    for i in range(steps if loop else steps + 1):
        yield predictor.from_w(torch.from_numpy(spline(i / count)))


def write_walk(
    predictor: Predictor,
    heads: Sequence[Head],
    path: Path,
    *,
    count: int,
    fps: float,
    loop: bool,
    yaw_sweep_deg: float,
    style: ViewStyle,
    step: FrameCallback,
) -> None:
    """A film of a latent walk, the camera swaying +-``yaw_sweep_deg`` once between two heads."""
    with VideoWriter(path, fps) as video:
        for i, head in enumerate(latent_walk(predictor, heads, count, loop=loop)):
            yaw = yaw_sweep_deg * float(np.sin(2 * np.pi * i / count))
            video.write(_pixels(style, style.render(head, yaw)))
            step()


def write_page(folder: Path, title: str, notes: Sequence[str], *, video: str, sheet: str, mesh: str) -> Path:
    """A static page that shows a film and a sheet and links a mesh; needs no network."""
    paragraphs = "\n".join(f"<p>{note}</p>" for note in notes)
    page = folder / "index.html"
    page.write_text(
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
img, video {{ max-width: 100%; height: auto; }}
video {{ width: 24rem; }}
</style>
<h1>{title}</h1>
<video src="{video}" autoplay loop muted playsinline controls></video>
{paragraphs}
<p><a href="{mesh}" download>{mesh}</a>: the head of the film as a mesh with colours.</p>
<img src="{sheet}" alt="Heads in rows, seen from eight sides">
</html>
""",
        encoding="utf-8",
    )
    return page


def write_demo(predictor: Predictor, folder: Path, *, seeds: int, frames: int, step: FrameCallback) -> Path:
    """What ``panohead demo`` shows; returns the page. Pictures of every view also lie in folders by seed."""
    style = ViewStyle()
    heads = {f"seed {seed}": predictor.sample(seed) for seed in range(seeds)}
    rows = {
        label: write_views(head, folder / label.replace(" ", ""), CONTACT_YAWS, style, step=step)
        for label, head in heads.items()
    }
    write_sheet(rows, folder / "contact_sheet.png", CONTACT_YAWS, cell_size=128)
    first = heads["seed 0"]
    write_turntable(first, folder / "turntable.mp4", frames=frames, fps=24, style=style, step=step)
    from panohead.mesh.export import write_mesh

    write_mesh(first.mesh(resolution=160), folder / "head.glb", unlit=True)
    step()
    notes = [str(predictor.checkpoint.notes.get("about", ""))] if predictor.checkpoint else []
    return write_page(
        folder,
        "PanoHead: whole heads from all sides",
        [note for note in notes if note],
        video="turntable.mp4",
        sheet="contact_sheet.png",
        mesh="head.glb",
    )


def _pixels(style: ViewStyle, frame: Frame) -> np.ndarray:
    """A film's picture: what a small model makes is enlarged, since players show films at their own size."""
    pixels = np.asarray(style.image(frame)) if style.transparent else to_uint8(frame.image)
    factor = -(-MIN_VIDEO_SIDE // pixels.shape[1])
    if factor == 1:
        return pixels
    size = (pixels.shape[1] * factor, pixels.shape[0] * factor)
    # Alpha apart from colours: Pillow would lose the colours of transparent pixels, which films mix into the outline.
    parts = [pixels[..., :3], *([pixels[..., 3]] if style.transparent else [])]
    return np.dstack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in parts])
