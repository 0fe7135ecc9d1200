"""Worker processes that survive any photo: one that dies or hangs is replaced, and its photo gets the reason.

Processes are spawned, not forked: MediaPipe and torch hold threads. They end by themselves when the parent is gone.
"""

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, BinaryIO

from panohead.errors import PanoHeadError
from panohead.files.regular import open_to_append
from panohead.preparation.process_photo import process_photo
from panohead.preparation.records import PhotoRecord
from panohead.preparation.settings import PrepareSettings
from panohead.preparation.sources import PhotoRef
from panohead.system.safe_path import safe_children
from panohead.system.signals import deaf_children

MAX_SECONDS_PER_PHOTO = 180.0
"""Seconds after which a photo is given up."""
_LOG = ".prepare/workers.log"
_POLL_S = 1.0


@dataclass
class _Worker:
    process: BaseProcess
    pipe: "Connection[Any, Any]"
    photo: PhotoRef | None = None
    since: float = 0.0


def failed(ref: PhotoRef, reason: str) -> PhotoRecord:
    """Return the record of a photo that could not be processed at all; the next run tries it again."""
    return PhotoRecord(photo=ref.name, stamp=ref.stamp, reason=reason, again=True)


def prepare_safely(ref: PhotoRef, settings: PrepareSettings, detectors: Any) -> PhotoRecord:
    """Run :func:`process_photo`; anything unexpected becomes the photo's reason.

    Raises:
        PanoHeadError: for failures of the run rather than of the photo.
    """
    try:
        return process_photo(ref, settings, detectors)
    except PanoHeadError:
        raise
    except MemoryError:
        return failed(ref, "there is not enough memory for it")
    except Exception as error:
        return failed(ref, f"unexpected {type(error).__name__}: {' '.join(str(error).split())}")


def _worker_log(path: Path) -> BinaryIO:
    """Open the log of messages; nobody's messages are worth a refusal, so a path that is no file takes none."""
    try:
        return open_to_append(path)
    except OSError:
        return open(os.devnull, "wb")


def serve(pipe: "Connection[Any, Any]", settings: PrepareSettings) -> None:
    """Run a worker: answer photos with records until the parent closes the pipe."""
    import torch

    torch.set_num_threads(1)
    # MediaPipe writes to the standard error of the process, which would break the progress bar.
    with _worker_log(settings.out / _LOG) as log:
        os.dup2(log.fileno(), sys.stderr.fileno() if hasattr(sys.stderr, "fileno") else 2)
    detectors = None
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            ref = pipe.recv()
            try:
                detectors = settings.open_detectors() if detectors is None else detectors
                pipe.send(prepare_safely(ref, settings, detectors))
            except PanoHeadError as error:
                pipe.send(str(error))


def prepare_many(refs: Iterable[PhotoRef], settings: PrepareSettings, workers: int) -> Iterator[PhotoRecord]:
    """Prepare photos in worker processes and yield their records in the order in which they are finished.

    Args:
        workers: processes; 0 works in this one.

    Raises:
        PanoHeadError: for failures of the run rather than of a photo.
    """
    if workers == 0:
        detectors = settings.open_detectors()
        yield from (prepare_safely(ref, settings, detectors) for ref in refs)
        return
    context = multiprocessing.get_context("spawn")
    waiting = iter(refs)
    pool = [_start(context, settings) for _ in range(workers)]
    try:
        for worker in pool:
            _give(worker, waiting)
        while any(worker.photo is not None for worker in pool):
            wait([w.pipe for w in pool if w.photo is not None], timeout=_POLL_S)
            for index, worker in enumerate(pool):
                answer = _answer(worker)
                if answer is None:
                    continue
                yield answer
                if not worker.process.is_alive():
                    pool[index] = _start(context, settings)
                _give(pool[index], waiting)
    finally:
        for worker in pool:
            _stop(worker)


def _start(context: Any, settings: PrepareSettings) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, settings), daemon=True)
    with safe_children(), deaf_children():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, waiting: Iterator[PhotoRef]) -> None:
    worker.photo = next(waiting, None)
    worker.since = time.monotonic()
    if worker.photo is not None:
        # A worker that died meanwhile is noticed when its answer is due.
        with contextlib.suppress(OSError):
            worker.pipe.send(worker.photo)


def _answer(worker: _Worker) -> PhotoRecord | None:
    """Return the record of the worker's photo if it is finished, the worker is dead, or its time is over; else None."""
    if worker.photo is None:
        return None
    try:
        if worker.pipe.poll():
            answer = worker.pipe.recv()
            if isinstance(answer, str):
                raise PanoHeadError(answer)
            finished: PhotoRecord = answer
            return finished
    except (EOFError, OSError):
        worker.process.join(timeout=5)
        code = worker.process.exitcode
        _stop(worker)
        return failed(worker.photo, f"it ended the process that read it (exit code {code})")
    if time.monotonic() - worker.since > MAX_SECONDS_PER_PHOTO:
        _stop(worker)
        return failed(worker.photo, f"it took more than {MAX_SECONDS_PER_PHOTO:.0f} seconds")
    return None


def _stop(worker: _Worker) -> None:
    worker.pipe.close()
    if worker.process.is_alive():
        worker.process.terminate()
    worker.process.join(timeout=5)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
