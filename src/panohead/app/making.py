"""Work of the form: a head from a photo or a seed, as steps to show, and files to give away. Needs no Gradio."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from panohead.errors import PanoHeadError
from panohead.head import Head
from panohead.inversion import FastConfig
from panohead.limits import SEED, TRUNCATION_PSI
from panohead.predictor import Predictor
from panohead.viewer.jobs import Job, JobCancelled
from panohead.viewer.photo_job import reconstruct_photo
from panohead.viewer.uploads import uploaded_photo

_POLL_S = 0.5
_END_S = 600.0
"""Seconds that a cancelled head may still take (its first step loads detectors); until then no other one begins."""


@dataclass(frozen=True, kw_only=True)
class MakeSettings:
    """Size of the results.

    Attributes:
        frames: frames of the turn.
        mesh_resolution: nodes per side of the mesh's grid.
        config: numbers of the reconstruction; None for those of ``panohead reconstruct``.
    """

    frames: int = 36
    mesh_resolution: int = 160
    config: FastConfig | None = None


@dataclass(frozen=True)
class Progress:
    """A step of the work.

    Attributes:
        share: of the work that is done, 0 to 1.
        text: what is being done, for people.
        files: video and mesh, at the end.
    """

    share: float
    text: str
    files: tuple[Path, Path] | None = None


def head_of_photo(
    predictor: Predictor, content: bytes, folder: Path, settings: MakeSettings | None = None
) -> Iterator[Progress]:
    """Reconstruct the head of a photo and write its files; closing the iterator ends the work after its next step.

    Args:
        content: the photo's file.
        folder: for the files, made if missing.
        settings: size of the results.

    Raises:
        PanoHeadError: when the photo cannot be used; a sentence for the visitor.
    """
    chosen = MakeSettings() if settings is None else settings
    photo = uploaded_photo(content)

    def work(job: Job, report: Callable[[float, str], None]) -> tuple[Path, Path]:
        def part(share: float, text: str) -> None:
            report(0.8 * share, text)

        head = reconstruct_photo(predictor, photo, None, job, part, lambda: None, chosen.config)
        return _write(head, folder, chosen, job, report, begun=0.8)

    yield from _in_thread(work)


def head_of_seed(
    predictor: Predictor, seed: int, truncation_psi: float, folder: Path, settings: MakeSettings | None = None
) -> Iterator[Progress]:
    """Sample a head that does not exist and write its files; as :func:`head_of_photo`.

    Raises:
        UsageError: for a seed or truncation out of range.
    """
    chosen = MakeSettings() if settings is None else settings
    seed, psi = SEED.whole(seed, "seed"), TRUNCATION_PSI.real(truncation_psi, "truncation")

    def work(job: Job, report: Callable[[float, str], None]) -> tuple[Path, Path]:
        head = predictor.sample(seed, truncation_psi=psi)
        return _write(head, folder, chosen, job, report, begun=0.0)

    yield from _in_thread(work)


def _write(
    head: Head, folder: Path, settings: MakeSettings, job: Job, report: Callable[[float, str], None], *, begun: float
) -> tuple[Path, Path]:
    job.check()
    report(begun, "rendering the turn")
    folder.mkdir(parents=True, exist_ok=True)
    video = head.save_video(folder / "head.mp4", frames=settings.frames, fps=12)
    job.check()
    report(begun + 0.7 * (1 - begun), "making the mesh")
    mesh = head.save_mesh(folder / "head.glb", resolution=settings.mesh_resolution)
    return video, mesh


def _in_thread(work: Callable[[Job, Callable[[float, str], None]], tuple[Path, Path]]) -> Iterator[Progress]:
    """Do the work in a thread of its own and yield its reports, half a second apart at least, and its result."""
    reports: queue.Queue[Progress | Exception] = queue.Queue()
    job = Job("head", lambda job: None, lambda error: None)

    def run() -> None:
        try:
            files = work(job, lambda share, text: reports.put(Progress(share, text)))
            reports.put(Progress(1.0, "done", files))
        except JobCancelled:
            pass
        except Exception as error:
            reports.put(error)

    thread = threading.Thread(target=run, name="panohead app", daemon=True)
    thread.start()
    shown = 0.0
    try:
        yield Progress(0.0, "starting")
        while True:
            found = reports.get()
            while not reports.empty() and not (isinstance(found, Exception) or found.files):
                found = reports.get()  # the newest; nobody sees the others
            if isinstance(found, PanoHeadError):
                raise found
            if isinstance(found, Exception):
                raise PanoHeadError(f"no head could be made ({type(found).__name__}); try another photo") from found
            if found.files or time.monotonic() - shown >= _POLL_S:
                shown = time.monotonic()
                yield found
            if found.files:
                return
    finally:
        job.cancel()
        thread.join(_END_S)
