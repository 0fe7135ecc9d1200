"""The loader: one order whatever decodes and caches; broken files; processes that end."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.small_photos import photo_name, spoil, write_photos
from panohead.data import cache
from panohead.data.batch import PhotoBatch
from panohead.data.dataset import PhotoDataset, open_dataset
from panohead.data.loader import PhotoLoader
from panohead.data.sampler import InfiniteSampler
from panohead.data.selection import SelectionConfig
from panohead.data.tools.write_shards import write_shards
from panohead.errors import PanoHeadError

CPU = torch.device("cpu")
WHOLE = SelectionConfig(back_repeat=3, mirror=True)
WAYS = [("none", 0), ("memory", 0), ("device", 0), ("auto", 3)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_photos(tmp_path)


def loader(data: PhotoDataset, **settings: Any) -> PhotoLoader:
    defaults: dict[str, Any] = {"batch": 4, "rank": 0, "num_replicas": 1, "seed": 3, "device": CPU}
    return PhotoLoader(data, **(defaults | settings))


def fields(batch: PhotoBatch) -> tuple[torch.Tensor, ...]:
    return batch.image, batch.mask, batch.label


def assert_same(batches: list[PhotoBatch], expected: list[PhotoBatch]) -> None:
    for one, other in zip(batches, expected, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(fields(one), fields(other), strict=True))


def first(count: int, source: PhotoLoader) -> list[PhotoBatch]:
    batches = iter(source)
    result = list(islice(batches, count))
    batches.close()  # type: ignore[attr-defined]
    return result


@pytest.mark.parametrize(("way", "workers"), WAYS)
@pytest.mark.parametrize("rank", [0, 1])
def test_batches_follow_the_sampler(root: Path, way: str, workers: int, rank: int) -> None:
    data = open_dataset(root, WHOLE)
    walk = iter(InfiniteSampler(len(data), seed=3, rank=rank, num_replicas=2))
    expected = [data.batch(list(islice(walk, 4))) for _ in range(20)]
    assert_same(first(20, loader(data, rank=rank, num_replicas=2, cache=way, workers=workers)), expected)


def test_worker_processes_change_nothing_and_end(root: Path, tmp_path: Path) -> None:
    """One start of processes for several laws, since it takes seconds."""
    write_shards(root, tmp_path / "tars")
    settings: dict[str, Any] = {"background": "white", "resolution": 8, "camera_jitter": 0.1, "broken_limit": 2}
    spoil(root, 2, 7)
    data, serial = (open_dataset(root, WHOLE, **settings) for _ in range(2))
    with pytest.warns(RuntimeWarning):
        expected = first(15, loader(serial, cache="none"))
    state = torch.random.get_rng_state()
    batches = iter(loader(data, cache="none", workers=2))
    with pytest.warns(RuntimeWarning) as warned:
        assert_same(list(islice(batches, 15)), expected)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert data.broken.sentences == serial.broken.sentences
    assert sorted(Path(str(w.message).split(" as a")[0]).name for w in warned) == ["002.png", "007.png"]
    assert len(multiprocessing.active_children()) == 2
    batches.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []

    # A file that breaks later: more than the limit, found by a worker.
    spoil(root, 4)
    with pytest.raises(PanoHeadError, match=r"3 files of the dataset .*(002|004|007)\.png") as held:
        list(iter(loader(data, cache="none", workers=1)))
    # Also while something holds the exception with all its frames.
    assert held.traceback
    assert multiprocessing.active_children() == []

    shards = open_dataset(tmp_path / "tars", WHOLE)
    batches = iter(loader(shards, cache="none", workers=1))
    assert_same([next(batches)], first(1, loader(shards, cache="none")))
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(PanoHeadError, match=r"a process that decodes photos died .* use fewer workers"):
        list(batches)
    assert multiprocessing.active_children() == []


SCRIPT = """
import signal
import sys
from pathlib import Path
import torch
from panohead.data.dataset import open_dataset
from panohead.data.loader import PhotoLoader

asked = []

def ask_once(*_):
    asked.append(True)
    signal.signal(signal.SIGINT, signal.default_int_handler)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, ask_once)
    loader = PhotoLoader(open_dataset(Path(sys.argv[1])), batch=2, rank=0, num_replicas=1, seed=0, workers=2,
                         device=torch.device("cpu"), cache="none")
    since = 0
    for number, batch in enumerate(loader):
        since += bool(asked)
        if number == 3:
            print("ready", flush=True)
        if since == 30:
            print("went on", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_ctrl_c_ends_all_processes(root: Path) -> None:
    script = root / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(root)]
    with subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        # What the program survives, its processes survive: training saves its state first.
        assert process.stdout.readline() == "went on\n"
        os.killpg(process.pid, signal.SIGINT)
        # Read to the end: no process holds the pipe any more.
        errors = process.stderr.read()
    assert process.returncode in (1, 130, -signal.SIGINT)
    assert errors.strip().endswith("KeyboardInterrupt")
    assert "died" not in errors
    for _ in range(50):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process is left")


@pytest.mark.parametrize(("way", "workers"), WAYS)
def test_broken_photos_are_replaced_alike(root: Path, way: str, workers: int) -> None:
    spoil(root, 2, 3, 11)
    data, plain = (open_dataset(root, WHOLE, broken_limit=3) for _ in range(2))
    walk = iter(InfiniteSampler(len(data), seed=3))
    with pytest.warns(RuntimeWarning):
        expected = [plain.batch(list(islice(walk, 4))) for _ in range(20)]
    with pytest.warns(RuntimeWarning) as warned:
        batches = first(20, loader(data, cache=way, workers=workers))
    assert len(warned) == 3
    assert_same(batches, expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # about the first one, if they are met one after the other
@pytest.mark.parametrize("way", ["none", "device"])
def test_too_many_broken_photos_stop_the_loader(root: Path, way: str) -> None:
    data = open_dataset(root, broken_limit=1)
    spoil(root, 2, 5)
    with pytest.raises(PanoHeadError) as caught:
        first(20, loader(data, cache=way))
    assert all(photo_name(number) in str(caught.value) for number in (2, 5))


def test_a_cache_of_broken_photos_ends(root: Path) -> None:
    data = open_dataset(root, broken_limit=100)
    spoil(root, *range(12))
    with pytest.warns(RuntimeWarning), pytest.raises(PanoHeadError, match="12 files"):
        loader(data, cache="device")


@pytest.mark.parametrize("way", ["none", "device"])
def test_a_later_start_continues(root: Path, way: str) -> None:
    data = open_dataset(root, WHOLE)
    for rank in (0, 1):
        whole = first(12, loader(data, rank=rank, num_replicas=2, cache=way))
        rest = first(5, loader(data, rank=rank, num_replicas=2, cache=way, start_nimg=7 * 4 * 2))
        assert_same(rest, whole[7:])


def test_each_iteration_begins_anew(root: Path) -> None:
    source = loader(open_dataset(root, WHOLE))
    assert_same(first(3, source), first(3, source))


def test_cached_photos_are_decoded_once_and_survive(root: Path) -> None:
    data = open_dataset(root, SelectionConfig(min_yaw_deg=90, back_repeat=3, mirror=True))
    distinct = len(np.unique(data.selection.photo))
    calls: list[tuple[int, int]] = []
    source = loader(data, cache="memory", on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(distinct, distinct)]
    spoil(root, *range(12))
    first(20, source)


def test_progress_comes_now_and_then(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.data.photo_store.PHOTOS_AT_ONCE", 5)
    calls: list[tuple[int, int]] = []
    data = open_dataset(root, WHOLE)
    source = loader(data, cache="device", on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(5, 12), (10, 12), (12, 12)]
    assert_same(first(10, source), first(10, loader(data, cache="none")))


def test_random_labels_are_of_items_and_never_flipped(root: Path) -> None:
    data = open_dataset(root, WHOLE)
    source = loader(data)
    labels = source.random_labels(6000, torch.Generator().manual_seed(0))
    assert torch.equal(labels, source.random_labels(6000, torch.Generator().manual_seed(0)))
    counts = Counter(tuple(label) for label in labels.tolist())
    listed = Counter(tuple(data.label(index).tolist()) for index in range(len(data)))
    assert set(counts) == set(listed)
    for label, times in listed.items():
        expected = 6000 * times / len(data)
        assert abs(counts[label] - expected) < 5 * expected**0.5


def test_auto_takes_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(cache, "free_host_memory", lambda: 1000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (800, 5000))
    assert [cache.place_of("auto", needed, gpu, 1) for needed in (200, 201, 500, 501)] == [
        *("device", "memory", "memory", "none")
    ]
    assert [cache.place_of("auto", needed, CPU, 2) for needed in (250, 251)] == ["device", "none"]
    assert cache.place_of("device", 10**9, gpu, 1) == "device"


def test_free_memory_is_plausible() -> None:
    assert 10**7 < cache.free_host_memory() < 10**14


def test_too_little_memory_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    data = open_dataset(root)
    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(PanoHeadError, match=r"12 photos take 0\.0 GB, more than is free on cpu; choose another cache"):
        loader(data, cache="device")


def test_nonsense_is_refused(root: Path) -> None:
    data = open_dataset(root)
    for settings in ({"batch": 0}, {"workers": -1}, {"rank": 1}):
        with pytest.raises(ValueError, match="cannot"):
            loader(data, **settings)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("way", "workers"), [*WAYS, ("none", 2)])
def test_batches_arrive_on_a_gpu(root: Path, way: str, workers: int) -> None:
    data, gpu = open_dataset(root, WHOLE), torch.device("cuda")
    source = loader(data, cache=way, workers=workers, device=gpu)
    batches = first(10, source)
    assert all(x.is_cuda for batch in batches for x in fields(batch))
    cpu = [PhotoBatch(*(x.cpu() for x in fields(batch))) for batch in batches]
    assert_same(cpu, first(10, loader(data, cache="none")))
    for place in (CPU, gpu):
        assert source.random_labels(5, torch.Generator(place).manual_seed(0)).is_cuda
