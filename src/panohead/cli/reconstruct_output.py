"""The folder of ``panohead reconstruct``: whose results it holds, and what is written to it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from panohead.cli.common import counting, output_folder, say
from panohead.errors import NoSurfaceError, PanoHeadError

if TYPE_CHECKING:
    from panohead.cli.mesh_options import MeshOptions
    from panohead.gallery import ViewStyle
    from panohead.inversion import ReconstructedHead

STATE = "reconstruct.state"
MESHES = {"glb": "head.glb", **{suffix: f"mesh.{suffix}" for suffix in ("obj", "ply", "stl", "mrc")}}
VIDEOS = ("turntable.mp4", "turntable.webm")
FRAMES = "turntable"
"""Folder of transparent pictures."""
_FPS = 24.0


Digests = list[list[str]]
"""Name and SHA-256 of every photo's file."""


def digests(photos: Sequence[Path]) -> Digests:
    """What tells these photos from others.

    Raises:
        PanoHeadError: when one cannot be read.
    """
    found = []
    for photo in photos:
        try:
            found.append([photo.name, hashlib.sha256(photo.read_bytes()).hexdigest()])
        except OSError as error:
            raise PanoHeadError(f"{photo} cannot be read ({error.strerror}); check the path") from error
    return found


def open_folder(path: Path, photos: Digests, *, resume: bool) -> Path:
    """The folder, made if need be; what an earlier run left in it is gone on with, replaced (and said so), or refused.

    Raises:
        PanoHeadError: when it cannot be written to, or holds the head of other photos.
    """
    from panohead.inversion.reconstructed_head import saved_notes
    from panohead.system.atomic_write import prepare_folder

    out = output_folder(path)
    state = out / STATE
    prepare_folder(state)
    notes = saved_notes(out)
    earlier: Digests = [] if notes is None else notes.get("photos", [])
    if earlier and sorted(content for _, content in earlier) != sorted(content for _, content in photos):
        names = ", ".join(name for name, _ in earlier)
        raise PanoHeadError(f"{out} holds the head of other photos ({names}); choose another --out")
    if resume and not state.is_file():
        if notes is not None:
            raise PanoHeadError(f"nothing is unfinished in {out}; leave --resume out to make its head anew")
        say(f"nothing was begun in {out}; starting from the beginning")
    if state.is_file() and not resume:
        say(f"starting anew; what is unfinished in {out} will be replaced (--resume would go on with it)")
    return out


def write_results(
    head: "ReconstructedHead", out: Path, style: "ViewStyle", *, frames: int, meshes: "MeshOptions"
) -> tuple[list[str], list[str]]:
    """Views, turntable and meshes.

    Returns:
        The files' names, and sentences about them.
    """
    from panohead.gallery import CONTACT_YAWS, write_sheet, write_turntable, write_views

    _drop_older(out)
    video, also = out / VIDEOS[0], []
    if style.transparent:
        video, also = out / VIDEOS[1], [out / FRAMES]
    with counting("writing", len(CONTACT_YAWS) + frames + 1) as step:
        row = write_views(head, out / "views", CONTACT_YAWS, style, step=step)
        write_sheet({"": row}, out / "views.png", CONTACT_YAWS, cell_size=192, transparent=style.transparent)
        write_turntable(head, video, frames=frames, fps=_FPS, style=style, step=step, also=also)
        files, notes = [video.name, *(path.name for path in also), "views.png"], []
        try:
            names = [MESHES[suffix] for suffix in meshes.mesh]
            mesh = meshes.write_meshes(head, [out / name for name in names])
            files += names
            if mesh is not None:
                notes.append(f"The photos saw {mesh.metadata['seen_share']:.0%} of the mesh's vertices.")
        except NoSurfaceError as error:
            notes.append(f"There is no mesh: {error}")
            say(f"no mesh was written: {error}")
        step()
    return files, notes


def _drop_older(out: Path) -> None:
    """Results of an earlier run that this one may not write again; nothing else."""
    for name in (*MESHES.values(), *VIDEOS, "report.html"):
        (out / name).unlink(missing_ok=True)
    for image in (out / FRAMES).glob("frame_*.png"):
        image.unlink()
    if (out / FRAMES).is_dir() and not any((out / FRAMES).iterdir()):
        (out / FRAMES).rmdir()
