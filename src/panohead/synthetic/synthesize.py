"""Rendering of a dataset with several worker processes, resumable at any point."""

import contextlib
import json
import os
import pickle
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from panohead.errors import PanoHeadError
from panohead.files.folder_lock import locked_folder
from panohead.ops.cpu import jit
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.layout_writer import close_dataset, is_annotated, open_dataset
from panohead.synthetic.person_images import import_cycles
from panohead.system.ray_cluster import ONE_THREAD
from panohead.system.safe_path import module_command
from panohead.system.signals import deaf_children

PeopleRenderer = Callable[[SyntheticDatasetConfig, list[int], int, dict[str, Any] | None], Iterator[int]]
"""Function of settings, numbers of people, workers and options of images that yields the numbers as people are done.

Without options (None) only part maps and landmarks are made."""


def synthesize(
    config: SyntheticDatasetConfig,
    workers: int = 1,
    image_options: dict[str, Any] | None = None,
    *,
    overwrite: bool = False,
    renderer: PeopleRenderer | None = None,
) -> Iterator[int]:
    """Render the missing people; yield the number of finished people at the start and after each one.

    The files are the same bytes for any number of workers and any interruptions. ``image_options`` (picklable) go to
    PIL's ``save`` of every image. Exhaust the iterator: the labels are written at its end. ``overwrite`` removes a
    synthetic dataset that the folder holds and starts again. ``renderer`` takes the place of worker processes here.
    With ``config.parts`` people who were rendered without part maps get them; their images stay as they are.

    Raises:
        FolderInUse: when another process renders into the folder.
        PanoHeadError: for settings that do not fit the folder, a full disk, an unwritable folder, or a dead worker.
    """
    require_compiler()
    if workers < 1:
        raise PanoHeadError(f"--workers {workers} is out of range; give 1 or more")
    if config.quality == "cycles":
        import_cycles()
    with locked_folder(config.out, "renders"):
        finished = open_dataset(config, overwrite=overwrite)
        bare = [i for i, record in finished.items() if config.parts and not is_annotated(record, config)]
        missing = [index for index in range(config.people) if index not in finished]
        done = len(finished) - len(bare)
        yield done
        for people, options in ((bare, None), (missing, image_options or {})):
            for _ in (renderer or _rendered)(config, people, workers, options):
                done += 1
                yield done
        close_dataset(config, open_dataset(config))


def require_compiler() -> None:
    """Raise PanoHeadError where numba is missing: interpreted, one image would take an hour."""
    if not jit.available():
        raise PanoHeadError("rendering needs numba (and PANOHEAD_NO_NUMBA unset); pip install numba")


def dataset_index(config: SyntheticDatasetConfig) -> Path:
    """Return the path of the labels of a finished dataset."""
    return config.out / "images" / "dataset.json"


def _rendered(
    config: SyntheticDatasetConfig, missing: list[int], workers: int, image_options: dict[str, Any] | None
) -> Iterator[int]:
    """Yield the numbers of people as they are finished."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in missing:
        waiting.put(index)
    answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    processes = [_start_worker(config, image_options) for _ in range(min(workers, len(missing)))]
    threads = [threading.Thread(target=_serve, args=(p, waiting, answers), daemon=True) for p in processes]
    try:
        for thread in threads:
            thread.start()
        for _ in missing:
            answer = answers.get()
            if "error" in answer:
                raise PanoHeadError(answer["error"])
            yield answer["person"]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _start_worker(config: SyntheticDatasetConfig, image_options: dict[str, Any] | None) -> "subprocess.Popen[str]":
    # One thread each: workers fill the cores, and sums come out in one order everywhere.
    environment = os.environ | ONE_THREAD
    command = module_command("panohead.synthetic.worker")
    with deaf_children():
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    process.stdin.write(pickle.dumps((config, image_options)).hex() + "\n")
    process.stdin.flush()
    return process


def _serve(
    process: "subprocess.Popen[str]", waiting: "queue.SimpleQueue[int]", answers: "queue.SimpleQueue[dict[str, Any]]"
) -> None:
    """Feed one worker until no person is waiting; runs in a separate thread."""
    assert process.stdin is not None
    assert process.stdout is not None
    while True:
        try:
            index = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            process.stdin.write(f"{index}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            answers.put(json.loads(line))
        except (OSError, ValueError):
            answers.put({"person": index, "error": _death(process, index)})
            return


def _death(process: "subprocess.Popen[str]", index: int) -> str:
    code = process.wait()
    return (
        f"the worker rendering person {index} ended with code {code} (its message stands above; -9 means "
        "killed, often for want of memory: use fewer --workers); run the same command again to continue"
    )
