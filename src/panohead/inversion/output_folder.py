"""Folder of one person's reconstruction: its file names, and the checks before anything in it is replaced."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from panohead.errors import PanoHeadError
from panohead.files.regular import read_regular
from panohead.inversion.optimization.resume_file import ResumeFile
from panohead.inversion.reconstructed_head import saved_notes
from panohead.system.atomic_write import prepare_folder

STATE_FILE = "reconstruct.state"
REPORT_FILE = "report.html"
MESH_FILES = {"glb": "head.glb", **{suffix: f"mesh.{suffix}" for suffix in ("obj", "ply", "stl", "3mf", "usdz", "mrc")}}
"""File names of the meshes by format."""
SPLAT_FILES = {"ply": "splats.ply", "spz": "splats.spz"}
"""File names of the splats by format."""
VIDEO_FILES = ("turntable.mp4", "turntable.webm")
"""Turntables: opaque, transparent."""
FRAMES_FOLDER = "turntable"
"""Folder of transparent frames."""

PhotoDigests = list[list[str]]
"""Name and SHA-256 of every photo's file."""


def photo_digests(photos: Sequence[str | Path]) -> PhotoDigests:
    """Return name and SHA-256 of every photo's file.

    Raises:
        PanoHeadError: when one cannot be read.
    """
    digests = []
    for photo in map(Path, photos):
        try:
            digests.append([photo.name, hashlib.sha256(read_regular(photo)).hexdigest()])
        except OSError as error:
            raise PanoHeadError(f"{photo} cannot be read ({error.strerror}); check the path") from error
    return digests


@dataclass(frozen=True)
class OutputFolder:
    """Folder that holds, or will hold, the head of these photos and of no others.

    Attributes:
        path: the folder; it exists.
        digests: name and SHA-256 of every photo's file, stored beside the head by
            ``ReconstructedHead.save(folder.path, photos=folder.digests)``.
        resume_file: file for the state of an unfinished optimization.
        notes: sentences about an earlier run in the folder.
    """

    path: Path
    digests: PhotoDigests
    resume_file: ResumeFile
    notes: tuple[str, ...] = ()

    def remove_results(self) -> None:
        """Remove the results of an earlier run that a new one may not replace, and nothing else."""
        for name in (*MESH_FILES.values(), *SPLAT_FILES.values(), *VIDEO_FILES, REPORT_FILE):
            (self.path / name).unlink(missing_ok=True)
        frames = self.path / FRAMES_FOLDER
        for image in frames.glob("frame_*.png"):
            image.unlink()
        if frames.is_dir() and not any(frames.iterdir()):
            frames.rmdir()

    def finish(self) -> None:
        """Remove the state: the head is complete and there is nothing to resume."""
        self.resume_file.path.unlink(missing_ok=True)


def open_output_folder(
    path: str | Path, photos: Sequence[str | Path], *, resume: bool = False, replace: bool = False
) -> OutputFolder:
    """Open the folder for the head of these photos, and make it if it does not exist.

    Args:
        path: the folder.
        photos: the photos' files; the order does not matter, nor do their names.
        resume: continue what an interrupted run left in the folder; otherwise that will be replaced.
        replace: replace the head of other photos.

    Raises:
        PanoHeadError: when the folder cannot be written to, holds the head of other photos, or has a finished head and
            nothing to resume; when a photo cannot be read.
    """
    path, digests = Path(path), photo_digests(photos)
    state = path / STATE_FILE
    prepare_folder(state)
    saved = saved_notes(path)
    earlier = [] if saved is None else saved.get("photos", [])
    before, now = (sorted(content for _, content in entries) for entries in (earlier, digests))
    if before and before != now and not replace:
        names = ", ".join(name for name, _ in earlier)
        raise PanoHeadError(
            f"{path} holds the head of other photos ({names}); choose another --out, or give --overwrite to replace it"
        )
    notes = []
    if resume and not state.is_file():
        if saved is not None:
            raise PanoHeadError(f"nothing is unfinished in {path}; leave --resume out to make its head again")
        notes.append(f"there is nothing to resume in {path}; starting from the beginning")
    if state.is_file() and not resume:
        notes.append(f"starting again; what is unfinished in {path} will be replaced (--resume would continue it)")
    return OutputFolder(path, digests, ResumeFile(state, resume=resume), tuple(notes))
