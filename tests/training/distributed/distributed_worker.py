"""One rank of a run, as a program of its own: ``distributed_worker.py TASK SILENCE_S FOLDER``.

Ends like the command line: a PanoHeadError is one line on stderr and exit code 1.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from panohead.errors import PanoHeadError
from panohead.training.distributed import ranks as distributed
from panohead.training.distributed.ranks import Ranks

GRADIENTS = {"a": (2, 3), "b": (1, 2, 3, 3), "c": (5,), "only first": (4,), "nowhere": (3,), "double": (2,)}


def gradient(name: str, rank: int) -> torch.Tensor | None:
    """Gradient of one rank before averaging; its memory layout is not always contiguous."""
    if name == "nowhere" or (name == "only first" and rank > 0):
        return None
    generator = torch.Generator().manual_seed(100 * rank + list(GRADIENTS).index(name))
    dtype = torch.float64 if name == "double" else torch.float32
    made = torch.randn(GRADIENTS[name], dtype=dtype, generator=generator)
    return made.to(memory_format=torch.channels_last) if name == "b" else made


def _network(rank: int) -> nn.Module:
    torch.manual_seed(rank)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    network.register_buffer("flags", torch.tensor([rank == 0, True]))
    network.register_buffer("halves", torch.full((3,), rank + 0.5, dtype=torch.float16))
    network.register_buffer("count", torch.tensor(rank))
    return network


def _averaged(ranks: Ranks) -> dict[str, Any]:
    parameters = {}
    for name, shape in GRADIENTS.items():
        dtype = torch.float64 if name == "double" else torch.float32
        parameters[name] = nn.Parameter(torch.zeros(shape, dtype=dtype))
        parameters[name].grad = gradient(name, ranks.rank)
    distributed.average_gradients(iter(parameters.values()), ranks)
    return {name: None if p.grad is None else p.grad.tolist() for name, p in parameters.items()}


def _differences(ranks: Ranks) -> list[str]:
    """Results of the check at first, after one wrong number, and with networks of different size."""
    said = []
    network = _network(ranks.rank)
    distributed.broadcast_module(network, ranks)
    torch.testing.assert_close(network.state_dict(), _network(0).state_dict(), rtol=0, atol=0)
    broken = _network(0)
    with torch.no_grad():
        broken[1].bias[2] += 1e-6 * ranks.rank
    smaller = nn.Sequential(*list(network)[: 2 - ranks.rank])
    for modules in ({"G": network}, {"G": network, "D": broken}, {"D": smaller}):
        try:
            distributed.same_everywhere(modules, ranks)
            said.append("")
        except PanoHeadError as error:
            said.append(str(error))
    return said


def _agree(ranks: Ranks, silence_s: float, folder: Path) -> None:
    distributed.BUCKET_BYTES = 100
    names = ["x", "y"] if ranks.is_first else ["y", "x"]
    result = {
        "gradients": _averaged(ranks),
        "average": distributed.average({name: len(name) + ord(name) * ranks.rank for name in names}, ranks),
        "differences": _differences(ranks),
    }
    if ranks.is_first:
        time.sleep(1.5 * silence_s)  # work of rank 0 alone is no silence
    distributed.barrier(ranks)
    (folder / f"{ranks.rank}.json").write_text(json.dumps(result))


def _main(task: str, silence_s: float, folder: Path) -> None:
    with distributed.join_ranks("cpu", silence_s=silence_s, join_s=120.0) as ranks:
        if task == "agree":
            _agree(ranks, silence_s, folder)
            return
        distributed.barrier(ranks)
        (folder / f"{ranks.rank}.ready").touch()
        if task == "fail" and ranks.rank == 1:
            time.sleep(1.0)
            raise ValueError("a fault of rank 1")
        while True:
            time.sleep(0.02)
            if task != "sleep":
                distributed.barrier(ranks)


def run(arguments: list[str]) -> None:
    """Run the action that the arguments name."""
    try:
        _main(arguments[0], float(arguments[1]), Path(arguments[2]))
    except PanoHeadError as error:
        sys.exit(f"error: {error}")


def run_forked(arguments: list[str], environment: dict[str, str], errors: Path) -> None:
    """Run the action in a process forked from one that has loaded torch; standard error goes to a file."""
    os.environ.update(environment)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    torch.set_num_threads(1)
    run(arguments)


if __name__ == "__main__":
    run(sys.argv[1:])
