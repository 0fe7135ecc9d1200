"""Several ranks: the same numbers everywhere, and a clear end when one of them is lost."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from commands import forked
from panohead.errors import PanoHeadError
from panohead.training.distributed.ranks import (
    Ranks,
    average,
    average_gradients,
    barrier,
    broadcast_module,
    choose_device,
    join_ranks,
    same_everywhere,
)
from training.distributed.places import free_port, places

WORKER = Path(__file__).with_name("distributed_worker.py")
SILENCE_S = 2.5
LIMIT_S = 120.0
REMEDY = "the run stops; resume it from its last state with --resume RUN"
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the program of one rank as a module."""
    monkeypatch.syspath_prepend(str(WORKER.parent))
    return importlib.import_module(WORKER.stem)


def _environment() -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1"} | {name: value for name, value in os.environ.items() if name not in VARIABLES}


@contextmanager
def _started(worker: ModuleType, task: str, folder: Path, world_size: int = 2) -> Iterator[list[BaseProcess]]:
    """Processes of all ranks, with a place by environment variables alone; those left at the end are killed.

    What one writes to standard error is in ``folder/RANK.errors``.
    """
    arguments = [task, str(SILENCE_S), str(folder)]
    processes = [
        forked(worker.run_forked, arguments, place, folder / f"{rank}.errors")
        for rank, place in enumerate(places(world_size))
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join()


def _errors(processes: list[BaseProcess], folder: Path, rank: int) -> str:
    """Wait for the end of a rank; return what it wrote to standard error."""
    processes[rank].join(LIMIT_S)
    return (folder / f"{rank}.errors").read_text()


def _wait_until_ready(folder: Path, world_size: int) -> None:
    until = time.monotonic() + LIMIT_S
    while len(list(folder.glob("*.ready"))) < world_size:
        assert time.monotonic() < until, "the ranks did not meet"
        time.sleep(0.05)


def _assert_agreement(worker: ModuleType, folder: Path, world_size: int = 2) -> None:
    results = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world_size)]
    assert all(result == results[0] for result in results)
    for name, mean in results[0]["gradients"].items():
        present = [g for rank in range(world_size) if (g := worker.gradient(name, rank)) is not None]
        if not present:
            assert mean is None
        else:
            by_hand = (sum(present) / world_size).tolist()
            torch.testing.assert_close(torch.tensor(mean), torch.tensor(by_hand), rtol=1e-6, atol=1e-7)
    mean_rank = (world_size - 1) / 2
    assert results[0]["average"] == {"x": 1 + ord("x") * mean_rank, "y": 1 + ord("y") * mean_rank}
    same, one_number, smaller = results[0]["differences"]
    assert same == ""
    assert one_number.startswith("D.1.bias differs between the ranks")
    assert smaller.startswith("the ranks hold different networks")


def _sentence(lost: int, world_size: int, what: str = "stopped answering") -> str:
    return f"rank {lost} of {world_size} {what}; {REMEDY}"


def _assert_last_line(errors: str, sentence: str) -> None:
    assert errors.rstrip().splitlines()[-1].removeprefix("error: ") == sentence
    assert errors.count(sentence) == 1


def test_ranks_agree_and_wait_for_rank_0(tmp_path: Path, worker: ModuleType) -> None:
    with _started(worker, "agree", tmp_path) as processes:
        assert [_errors(processes, tmp_path, rank) for rank in (0, 1)] == ["", ""]
        assert [process.exitcode for process in processes] == [0, 0]
    _assert_agreement(worker, tmp_path)


def test_torchrun_starts_the_same(tmp_path: Path, worker: ModuleType) -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [sys.executable, *launch, str(WORKER), "agree", "0.8", str(tmp_path)],
        env=_environment(),
        timeout=LIMIT_S,
        check=True,
    )
    _assert_agreement(worker, tmp_path)


def test_an_error_of_one_rank_ends_the_other(tmp_path: Path, worker: ModuleType) -> None:
    with _started(worker, "fail", tmp_path) as processes:
        assert "ValueError: a fault of rank 1" in _errors(processes, tmp_path, 1)
        _assert_last_line(_errors(processes, tmp_path, 0), _sentence(1, 2, "failed"))
        assert [process.exitcode for process in processes] == [1, 1]


@pytest.mark.parametrize(
    ("task", "world_size", "lost", "how"),
    [
        ("meet", 3, 1, signal.SIGKILL),
        ("meet", 2, 0, signal.SIGKILL),
        ("meet", 2, 1, signal.SIGSTOP),
        ("sleep", 2, 1, signal.SIGKILL),
        ("sleep", 2, 0, signal.SIGSTOP),
    ],
)
def test_a_lost_rank_ends_the_others(
    tmp_path: Path, worker: ModuleType, task: str, world_size: int, lost: int, how: signal.Signals
) -> None:
    with _started(worker, task, tmp_path, world_size) as processes:
        _wait_until_ready(tmp_path, world_size)
        time.sleep(0.5)
        assert [process.exitcode for process in processes] == [None] * world_size
        pid = processes[lost].pid
        assert pid is not None
        os.kill(pid, how)
        began = time.monotonic()
        for rank in set(range(world_size)) - {lost}:
            errors = _errors(processes, tmp_path, rank)
            assert processes[rank].exitcode == 1
            _assert_last_line(errors, _sentence(lost, world_size))
        # At the real pace it is 60 s; some more for a busy machine.
        assert time.monotonic() - began < 60 / 40 * SILENCE_S + 10.0


def test_a_world_of_one_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    layer = nn.Linear(2, 2)
    layer.weight.grad = torch.ones(2, 2)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with join_ranks("cpu") as ranks:
        assert ranks == Ranks(0, 1, 0, torch.device("cpu"))
        assert ranks.is_first
        average_gradients(layer.parameters(), ranks)
        broadcast_module(layer, ranks)
        same_everywhere({"layer": layer}, ranks)
        barrier(ranks)
        assert average({"loss": 2.5}, ranks) == {"loss": 2.5}
    assert not torch.distributed.is_initialized()
    assert layer.bias.grad is None
    assert torch.equal(layer.weight.grad, torch.ones(2, 2))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, r"without MASTER_ADDR, MASTER_PORT\); start with torchrun"),
        ({"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "rank 2 of 2"),
        ({"WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, r"without RANK\)"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "not all numbers; start with torchrun"),
    ],
)
def test_a_wrong_environment_is_named(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PanoHeadError, match=said), join_ranks("cpu"):
        pass


def test_a_rank_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(PanoHeadError, match=r"rank 1 of 2 did not join within 1 s or ended"),
        join_ranks("cpu", join_s=1.0),
    ):
        pass


def test_devices() -> None:
    assert choose_device("cpu", world_size=2, local_rank=1) == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(PanoHeadError, match="no device called gpu"):
        choose_device("gpu")
    for odd in ("meta", "cpu:3"):
        with pytest.raises(PanoHeadError, match=f"nothing can be trained on {odd}; use cpu"):
            choose_device(odd)
    with pytest.raises(PanoHeadError, match="2 ranks cannot share cuda:0"):
        choose_device("cuda:0", world_size=2)
    with pytest.raises(PanoHeadError, match=r"no CUDA device|number 99 is not one of them"):
        choose_device("cuda", local_rank=99)
