"""Reconstruction of an uploaded photo inside the viewer, and its folder in the library."""

import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.inversion import FastConfig, OptimizationCallbacks, OptimizationStep, ReconstructedHead, find_preset
from panohead.predictor import Predictor
from panohead.viewer.jobs import Job

_PRESET = "fast"
_REPORT_EVERY_S = 0.25
Report = Callable[[float, str], None]
"""Called with the share of the work that is done, 0 to 1, and what is being done."""


def reconstruct_photo(
    predictor: Predictor,
    photo: Image.Image,
    camera: Camera | None,
    job: Job,
    report: Report,
    give_way: Callable[[], None],
    config: FastConfig | None = None,
) -> ReconstructedHead:
    """Reconstruct the head of one photo.

    Args:
        predictor: the generator.
        photo: the photo, or an aligned crop.
        camera: camera of an aligned crop; None finds the head in an ordinary photo.
        job: is asked before every step whether to continue.
        report: shows the progress.
        give_way: called after every step, to wait for what is more urgent.
        config: numbers of the preset; None for its defaults.

    Raises:
        JobCancelled: when the job was cancelled.
        PanoHeadError: when the photo cannot be used.
    """
    config = find_preset(_PRESET).configure() if config is None else config
    total = sum(find_preset(_PRESET).phases(config).values())
    done, reported = 0, 0.0

    def advance(step: OptimizationStep) -> None:
        nonlocal done, reported
        done += 1
        if time.monotonic() - reported > _REPORT_EVERY_S:
            reported = time.monotonic()
            report(min(1.0, done / total), f"{step.phase} {step.number}/{step.total}")
        give_way()

    report(0.0, "finding the head" if camera is None else "reading the photo")
    head = predictor.reconstruct(
        photo,
        None if camera is None else [camera],
        preset=_PRESET,
        config=config,
        callbacks=OptimizationCallbacks(on_step=advance, should_stop=job.is_cancelled),
    )
    job.check()
    return head


def save_in_library(head: ReconstructedHead, library: Path, checkpoint: str) -> str:
    """Write a reconstruction to a new folder of the library, as ``panohead reconstruct`` does, and return its name.

    Raises:
        PanoHeadError: when it cannot be written.
    """
    name = time.strftime("photo-%Y%m%d-%H%M%S")
    for number in range(100):
        folder = library / (name if number == 0 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise PanoHeadError(f"cannot write to the library {library} ({error.strerror}); check --library") from error
        head.save(folder, checkpoint=checkpoint)
        return folder.name
    raise PanoHeadError(f"the library {library} has no free name for another head; clear it up")
