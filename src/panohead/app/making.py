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
"""Seconds between two reports. A work that reports nothing for longer gets its last report again: only between two of
them can Gradio close the iterator, and it gives up after a minute."""
_ONE_AT_A_TIME = threading.Lock()
"""Held while a head is made: a cancelled one may still be in a long step (its first loads detectors)."""


def _nothing() -> None:
    pass


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
    predictor: Predictor,
    content: bytes,
    folder: Path,
    settings: MakeSettings | None = None,
    *,
    at_end: Callable[[], None] = _nothing,
) -> Iterator[Progress]:
    """Reconstruct the head of a photo and write its files; closing the iterator ends the work after its next step.

    Closing does not wait for that step; another head does.

    Args:
        content: the photo's file.
        folder: for the files, made if missing.
        settings: size of the results.
        at_end: called when the iterator has ended and nothing writes to the folder any more.

    Raises:
        PanoHeadError: when the photo cannot be used; a sentence for the visitor.
    """
    chosen = MakeSettings() if settings is None else settings

    def work(job: Job, report: Callable[[float, str], None]) -> tuple[Path, Path]:
        photo = uploaded_photo(content)

        def part(share: float, text: str) -> None:
            report(0.8 * share, text)

        head = reconstruct_photo(predictor, photo, None, job, part, lambda: None, chosen.config)
        return _write(head, folder, chosen, job, report, begun=0.8)

    yield from _in_thread(work, at_end)


def head_of_seed(
    predictor: Predictor,
    seed: int,
    truncation_psi: float,
    folder: Path,
    settings: MakeSettings | None = None,
    *,
    at_end: Callable[[], None] = _nothing,
) -> Iterator[Progress]:
    """Sample a head that does not exist and write its files; as :func:`head_of_photo`.

    Raises:
        UsageError: for a seed or truncation out of range.
    """
    chosen = MakeSettings() if settings is None else settings

    def work(job: Job, report: Callable[[float, str], None]) -> tuple[Path, Path]:
        psi = TRUNCATION_PSI.real(truncation_psi, "truncation")
        head = predictor.sample(SEED.whole(seed, "seed"), truncation_psi=psi)
        return _write(head, folder, chosen, job, report, begun=0.0)

    yield from _in_thread(work, at_end)


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


def _in_thread(
    work: Callable[[Job, Callable[[float, str], None]], tuple[Path, Path]], at_end: Callable[[], None]
) -> Iterator[Progress]:
    """Do the work in a thread of its own and yield its reports, about every half second, and its result."""
    reports: queue.Queue[Progress | Exception] = queue.Queue()
    job = Job("head", lambda job: None, lambda error: None)

    def run() -> None:
        try:
            if not _ONE_AT_A_TIME.acquire(blocking=False):
                reports.put(Progress(0.0, "waiting for the head before this one to end"))
                _ONE_AT_A_TIME.acquire()
            try:
                job.check()
                files = work(job, lambda share, text: reports.put(Progress(share, text)))
            finally:
                _ONE_AT_A_TIME.release()
            reports.put(Progress(1.0, "done", files))
        except JobCancelled:
            pass
        except Exception as error:
            reports.put(error)

    thread = threading.Thread(target=run, name="panohead app", daemon=True)
    thread.start()
    try:
        yield from _newest(reports)
    finally:
        job.cancel()
        if thread.is_alive():
            # Gradio closes the iterator in the loop that serves all visitors, which must not wait.
            threading.Thread(target=_after, args=(thread, at_end), name="panohead app end", daemon=True).start()
        else:
            at_end()


def _after(thread: threading.Thread, then: Callable[[], None]) -> None:
    thread.join()
    then()


def _newest(reports: "queue.Queue[Progress | Exception]") -> Iterator[Progress]:
    """Yield the newest report about every half second, again if there is no newer one, until the result or an error."""
    last, shown = Progress(0.0, "starting"), time.monotonic()
    yield last
    while last.files is None:
        try:
            found = reports.get(timeout=max(0.0, shown + _POLL_S - time.monotonic()))
        except queue.Empty:
            shown = time.monotonic()
            yield last
            continue
        if isinstance(found, PanoHeadError):
            raise found
        if isinstance(found, Exception):
            raise PanoHeadError(f"no head could be made ({type(found).__name__}); try another photo") from found
        last = found
    yield last
