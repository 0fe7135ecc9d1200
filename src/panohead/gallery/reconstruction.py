"""The results of ``panohead reconstruct``: views, turntable and meshes of a reconstructed head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from panohead.errors import NoSurfaceError
from panohead.gallery.meshes import MeshSettings, write_meshes
from panohead.gallery.videos import write_turntable
from panohead.gallery.views import CONTACT_YAWS, FrameCallback, ViewStyle, write_sheet, write_views
from panohead.inversion import ReconstructedHead

MESHES = {"glb": "head.glb", **{suffix: f"mesh.{suffix}" for suffix in ("obj", "ply", "stl", "mrc")}}
"""File names by mesh format."""
VIDEOS = ("turntable.mp4", "turntable.webm")
"""Without and with transparency."""
FRAMES = "turntable"
"""Folder of transparent images."""
_FPS = 24.0


@dataclass(frozen=True)
class WrittenResults:
    """The files of a reconstructed head.

    Attributes:
        files: names in the folder.
        notes: sentences about them, for the report.
        missing_mesh: reason why there is no mesh; "" if there is one, or none was asked for.
    """

    files: tuple[str, ...]
    notes: tuple[str, ...]
    missing_mesh: str = ""


def write_results(
    head: ReconstructedHead,
    out: Path,
    style: ViewStyle,
    *,
    frames: int,
    formats: Sequence[str],
    settings: MeshSettings,
    step: FrameCallback,
) -> WrittenResults:
    """Write views, turntable and meshes; results of an earlier run go first.

    Args:
        head: what to write.
        out: folder, made already.
        style: background and transparency; transparent ones get a .webm and a folder of PNG files.
        frames: frames of the turntable.
        formats: keys of MESHES.
        settings: of the meshes.
        step: called ``len(CONTACT_YAWS) + frames + 1`` times.

    Raises:
        PanoHeadError: when a file cannot be written.
    """
    _remove_older(out)
    video, also = out / VIDEOS[0], []
    if style.transparent:
        video, also = out / VIDEOS[1], [out / FRAMES]
    row = write_views(head, out / "views", CONTACT_YAWS, style, step=step)
    write_sheet({"": row}, out / "views.png", CONTACT_YAWS, cell_size=192, transparent=style.transparent)
    write_turntable(head, video, frames=frames, fps=_FPS, style=style, step=step, also=also)
    files, notes = [video.name, *(path.name for path in also), "views.png"], []
    missing = ""
    try:
        names = [MESHES[name] for name in formats]
        mesh = write_meshes(head, [out / name for name in names], settings)
        files += names
        if mesh is not None:
            notes.append(f"The photos saw {mesh.metadata['seen_share']:.0%} of the mesh's vertices.")
    except NoSurfaceError as error:
        missing = str(error)
        notes.append(f"There is no mesh: {error}")
    step()
    return WrittenResults(tuple(files), tuple(notes), missing)


def _remove_older(out: Path) -> None:
    """Remove results of an earlier run that this one may not write again; nothing else."""
    for name in (*MESHES.values(), *VIDEOS, "report.html"):
        (out / name).unlink(missing_ok=True)
    for image in (out / FRAMES).glob("frame_*.png"):
        image.unlink()
    if (out / FRAMES).is_dir() and not any((out / FRAMES).iterdir()):
        (out / FRAMES).rmdir()
