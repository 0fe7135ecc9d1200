"""Processes of a run (ranks) and their collectives: processes of ``torchrun`` and a single one run the same code.

Gradients are averaged explicitly after the backward pass: the hooks of DistributedDataParallel do not support the
double backward pass of R1. Every function here does nothing in a world of one. Lost ranks are detected by
:mod:`panohead.training.distributed.heartbeat`.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.training.distributed.heartbeat import SILENCE_S, Heartbeat, launcher_holds_store

JOIN_S = 300.0
"""Maximum seconds between the start of the first rank and that of the last one."""

BUCKET_BYTES = 64 << 20
"""Maximum size of the buckets in which gradients are averaged (a larger gradient has a bucket of its own)."""

# The heartbeat detects lost ranks; a collective may take as long as rank 0's longest work alone.
_COLLECTIVE_LIMIT = timedelta(days=7)


@dataclass(frozen=True)
class Ranks:
    """Position of this process among those of the run.

    Attributes:
        rank: number of the process, 0 to world_size - 1.
        world_size: number of processes.
        local_rank: number of the process among those of this machine.
        device: device of this process.
        heartbeat: detection of lost ranks; None in a world of one.
    """

    rank: int
    world_size: int
    local_rank: int
    device: torch.device
    heartbeat: Heartbeat | None = field(default=None, repr=False, compare=False)

    @property
    def is_first(self) -> bool:
        """True for the rank that writes files and prints."""
        return self.rank == 0


def choose_device(device: str | None = None, *, world_size: int = 1, local_rank: int = 0) -> torch.device:
    """Return the device of one rank; a GPU also becomes the current one.

    Args:
        device: "cpu", "cuda" (the GPU with the number ``local_rank``), None for CUDA where available; a numbered GPU or
            another kind of device only in a world of one.

    Raises:
        PanoHeadError: for a device that does not exist or cannot be shared.
    """
    try:
        own = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise PanoHeadError(f"there is no device called {device}; use cpu or cuda") from error
    if own.type not in ("cpu", "cuda", "mps") or (own.type != "cuda" and own.index):
        raise PanoHeadError(f"nothing can be trained on {device}; use cpu, cuda or mps")
    if world_size > 1 and (own.type not in ("cpu", "cuda") or own.index is not None):
        raise PanoHeadError(f"{world_size} ranks cannot share {device}; use cpu, or cuda for a GPU each")
    if own.type != "cuda":
        return own
    index = local_rank if own.index is None else own.index
    number = torch.cuda.device_count()
    if number == 0:
        raise PanoHeadError("torch finds no CUDA device on this machine; use --device cpu")
    if index >= number:
        raise PanoHeadError(
            f"this machine has {number} GPUs, number {index} is not one of them; start fewer ranks (torchrun "
            "--nproc-per-node) or use --device cpu"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


@contextlib.contextmanager
def join_ranks(device: str | None = None, *, silence_s: float = SILENCE_S, join_s: float = JOIN_S) -> Iterator[Ranks]:
    """Join the other ranks of the run, and leave them at the end: all together when there was no error.

    Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as torchrun sets them; without them, and in a world
    of one, there is no process group. NCCL on CUDA, gloo on the CPU.

    Args:
        device: see :func:`choose_device`.
        silence_s: seconds without a heartbeat after which a rank is lost; this process then exits with code 1 and one
            sentence on standard error.
        join_s: maximum seconds to wait for the other ranks at the start.

    Raises:
        PanoHeadError: for a device that does not exist, an incomplete environment, ranks that do not join.
    """
    rank, world_size, local_rank = _ranks_of_environment()
    own_device = choose_device(device, world_size=world_size, local_rank=local_rank)
    if world_size == 1:
        yield Ranks(rank, world_size, local_rank, own_device)
        return
    prefix = f"panohead/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    # Two connections: a heartbeat must not wait for requests of the process group.
    group_store = _connect(world_size, rank == 0 and not launcher_holds_store(), join_s)
    heartbeat = Heartbeat(_connect(world_size, False, join_s), prefix, rank, world_size, silence_s)
    heartbeat.start(join_s)
    ranks = Ranks(rank, world_size, local_rank, own_device, heartbeat)
    try:
        with _peers_answer(ranks):
            dist.init_process_group(
                "nccl" if own_device.type == "cuda" and dist.is_nccl_available() else "gloo",
                store=dist.PrefixStore(f"{prefix}/group", group_store),
                rank=rank,
                world_size=world_size,
                timeout=_COLLECTIVE_LIMIT,
                device_id=own_device if own_device.type == "cuda" else None,
            )
        yield ranks
        barrier(ranks)
    except BaseException as error:
        heartbeat.leave(error)
        raise
    heartbeat.leave(None)
    dist.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter], ranks: Ranks) -> None:
    """Replace every gradient by its mean over the ranks, in place; bit for bit the same on all of them.

    A missing gradient counts as zeros; it is set where any rank has a gradient.

    Args:
        parameters: the same ones in the same order on every rank.

    Raises:
        PanoHeadError: when another rank is lost.
    """
    if ranks.world_size == 1:
        return
    for bucket in _buckets(parameters):
        _average_bucket(bucket, ranks)


def average(values: Mapping[str, float], ranks: Ranks) -> dict[str, float]:
    """Return the mean over the ranks of each number; the names are the same on every rank, in any order.

    Raises:
        PanoHeadError: when another rank is lost.
    """
    if ranks.world_size == 1 or not values:
        return dict(values)
    names = sorted(values)
    # One collective for all numbers, in float64 so that counts stay exact.
    sums = torch.tensor([values[name] for name in names], dtype=torch.float64, device=ranks.device)
    _all_reduce(sums, ranks)
    means = dict(zip(names, (sums / ranks.world_size).tolist(), strict=True))
    return {name: means[name] for name in values}


@torch.no_grad()
def average_tensors(tensors: Sequence[Tensor], ranks: Ranks) -> None:
    """Replace every tensor by its mean over the ranks, in place, without waiting for the device.

    Args:
        tensors: of one type; the same shapes in the same order on every rank.

    Raises:
        PanoHeadError: when another rank is lost.
    """
    if ranks.world_size == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    _all_reduce(flat, ranks)
    flat.div_(ranks.world_size)
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


@torch.no_grad()
def broadcast_module(module: nn.Module, ranks: Ranks) -> None:
    """Copy the parameters and buffers of rank 0 to every rank, bit for bit.

    Raises:
        PanoHeadError: when another rank is lost.
    """
    if ranks.world_size == 1:
        return
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        # As bytes: NaN payloads and every dtype arrive unchanged.
        sent = tensor.detach().contiguous()
        with _peers_answer(ranks):
            dist.broadcast(sent.view(-1).view(torch.uint8), src=0)
        tensor.copy_(sent)


def same_everywhere(modules: Mapping[str, nn.Module], ranks: Ranks) -> None:
    """Check that all ranks hold the same parameters and buffers, by a checksum of each.

    Args:
        modules: modules by the names that an error message uses.

    Raises:
        PanoHeadError: naming the first tensor that differs; when another rank is lost.
    """
    if ranks.world_size == 1:
        return
    sums: dict[str, Tensor] = {}
    for module_name, module in modules.items():
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
            sums[f"{module_name}.{name}"] = _bit_sum(tensor).to(ranks.device)
    if not _agrees(torch.tensor([len(sums)], device=ranks.device), ranks).all():
        raise PanoHeadError("the ranks hold different networks; start all of them with the same options and version")
    agreed = _agrees(torch.stack(list(sums.values())), ranks).tolist() if sums else []
    for name, agrees in zip(sums, agreed, strict=True):
        if not agrees:
            raise PanoHeadError(
                f"{name} differs between the ranks, so that they no longer train one network; start again with "
                "--resume RUN from the last state, on machines with the same versions"
            )


def barrier(ranks: Ranks) -> None:
    """Wait for all ranks.

    Raises:
        PanoHeadError: when another rank is lost.
    """
    average({"arrived": 1.0}, ranks)


def _ranks_of_environment() -> tuple[int, int, int]:
    """Return rank, world size and local rank from the environment."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    found = {name: os.environ[name] for name in names if name in os.environ}
    try:
        rank, world_size = int(found.get("RANK", 0)), int(found.get("WORLD_SIZE", 1))
        found_ranks = rank, world_size, int(found.get("LOCAL_RANK", rank))
    except ValueError as error:
        raise PanoHeadError(f"the environment variables {found} are not all numbers; start with torchrun") from error
    missing = [name for name in names if name not in found and name != "LOCAL_RANK"]
    if not 0 <= rank < world_size or (world_size > 1 and missing):
        raise PanoHeadError(
            f"rank {rank} of {world_size}: the environment is not that of one of several ranks"
            f"{' (without ' + ', '.join(missing) + ')' if missing else ''}; start with torchrun"
        )
    return found_ranks


def _connect(world_size: int, is_host: bool, join_s: float) -> "dist.Store":
    address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    timeout = timedelta(seconds=join_s)
    try:
        return dist.TCPStore(address, int(port), world_size, is_host, timeout, wait_for_workers=False)
    except (RuntimeError, ValueError) as error:
        remedy = "choose another --master-port" if is_host else "check that rank 0 runs and can be reached"
        raise PanoHeadError(
            f"the ranks cannot meet at {address}:{port} ({str(error).splitlines()[0]}); {remedy}"
        ) from error


@contextlib.contextmanager
def _peers_answer(ranks: Ranks) -> Iterator[None]:
    """Turn the error of a collective into a sentence about the lost rank, if one is lost."""
    try:
        yield
    except RuntimeError as error:
        sentence = ranks.heartbeat.explain() if ranks.heartbeat is not None else None
        if sentence is None:
            raise
        raise PanoHeadError(sentence) from error


def _all_reduce(tensor: Tensor, ranks: Ranks, *, largest: bool = False) -> None:
    """Replace a tensor by its sum, or its maximum, over the ranks."""
    with _peers_answer(ranks):
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM)


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Split parameters, in order, into buckets of one dtype and at most :data:`BUCKET_BYTES` each."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if bucket and (parameter.dtype != bucket[0].dtype or size + parameter.nbytes > BUCKET_BYTES):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.nbytes
    if bucket:
        yield bucket


@torch.no_grad()
def _average_bucket(bucket: list[nn.Parameter], ranks: Ranks) -> None:
    has_gradient = [parameter.grad is not None for parameter in bucket]
    gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in bucket]
    # The last numbers become the fraction of ranks that had each gradient.
    counts = torch.tensor(has_gradient, dtype=bucket[0].dtype).to(bucket[0].device, non_blocking=True)
    flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), counts])
    _all_reduce(flat, ranks)
    *means, counts = flat.div_(ranks.world_size).split([*(p.numel() for p in bucket), len(bucket)])
    # Reading the counts waits for the GPU, so only if a gradient is missing.
    anywhere = has_gradient if all(has_gradient) else (counts > 0).tolist()
    for parameter, gradient, mean, exists in zip(bucket, gradients, means, anywhere, strict=True):
        gradient.copy_(mean.view_as(gradient))
        parameter.grad = gradient if exists else None


def _bit_sum(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor's bits, read as integers of 32 (or 8) bits."""
    flat = tensor.detach().contiguous().view(-1)
    return flat.view(torch.int32 if tensor.element_size() >= 4 else torch.uint8).sum(dtype=torch.int64)


def _agrees(values: Tensor, ranks: Ranks) -> Tensor:
    """Return a mask of the integers that are the same on every rank: maximum equals minimum."""
    # One collective for both: the minimum is the negated maximum of the negated values.
    extremes = torch.cat([values, -values])
    _all_reduce(extremes, ranks, largest=True)
    largest, smallest_negated = extremes.chunk(2)
    return largest == -smallest_negated
