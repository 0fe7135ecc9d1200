"""One loop for a CPU, a GPU, many GPUs, many machines: what ``torchrun`` started runs the same code as a lone process.

Gradients are averaged by hand after the backward pass: DistributedDataParallel's hooks do not stand the double backward
of R1. Every function here does nothing in a world of one.

A rank that dies or hangs would leave the others waiting for ever. So every rank counts up a number in the store that
brought the ranks together, from a thread of its own: long work of rank 0 alone is no silence. A rank that finds another
one silent says so and ends its process.
"""

import contextlib
import itertools
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from panohead.errors import PanoHeadError

SILENCE_S = 40.0
"""A rank that was not heard of for so long is lost."""

JOIN_S = 300.0
"""How long the first rank waits for the last one at the start."""

BUCKET_BYTES = 64 << 20
"""Gradients travel in pieces of at most this size (a larger one of one parameter in a piece of its own)."""

_BEATS = 16  # in SILENCE_S
_SHORT_SILENCE_BEATS = 2.5  # suspicious, once a collective has failed
_LEFT = "left"
_ENDED = "ended: "
# The heartbeat finds lost ranks; a collective may take as long as rank 0's longest work alone.
_COLLECTIVE_LIMIT = timedelta(days=7)


class _Heartbeat:
    """Tells the other ranks that this one lives, and ends this process when another one does not.

    Two threads: one talks with the store and hangs when the machine that holds the store does; the other only looks at
    what was heard last, on a clock that stands still while this process is itself suspended.
    """

    def __init__(self, store: "dist.Store", prefix: str, rank: int, world_size: int, silence_s: float) -> None:
        self.lost: str | None = None
        self._store = store
        self._rank = rank
        self._keys = [f"{prefix}/beat/{other}" for other in range(world_size)]
        self._silence_s = silence_s
        self._beat_s = silence_s / _BEATS
        self._clock = self._answered = self._patient_until = 0.0
        self._heard = ["" for _ in self._keys]
        self._changed = [0.0 for _ in self._keys]
        self._mark = ""
        self._hurry, self._marked, self._store_is_gone, self._closed = (threading.Event() for _ in range(4))
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._beat, self._watch)]

    def start(self, join_s: float) -> None:
        """Wait until all ranks are there. Raises PanoHeadError naming those that did not come in ``join_s``."""
        self._store.set(self._keys[self._rank], "here")
        try:
            self._store.wait(self._keys, timedelta(seconds=join_s))
        except RuntimeError as error:
            raise PanoHeadError(
                f"{self._absent()} of {len(self._keys)} did not come within {join_s:.0f} s or ended; look at what it "
                "printed and start all of them again"
            ) from error
        self._store.set_timeout(timedelta(seconds=2 * self._silence_s))  # the watcher sees it earlier
        for thread in self._threads:
            thread.start()

    def _absent(self) -> str:
        try:
            missing = [str(rank) for rank, key in enumerate(self._keys) if not self._store.check([key])]
        except RuntimeError:
            missing = ["0"]  # the store went with it
        return f"rank {', '.join(missing)}"

    def explain(self) -> str | None:
        """Which rank is lost, asked by the main thread when a collective has failed; None when all are well."""
        patience_s = _SHORT_SILENCE_BEATS * self._beat_s
        self._patient_until = until = self._clock + 2 * patience_s
        while self.lost is None and self._clock < until:
            self.lost = self._verdict(patience_s)
            time.sleep(self._beat_s / 8)
        # The watcher leaves the main thread time to end the process in good order.
        self._patient_until = self._clock + 2 * patience_s
        return self.lost

    def leave(self, error: BaseException | None) -> None:
        """Tell the others that this rank ends, well or with an error."""
        own_failure = _sentence(f"rank {self._rank} of {len(self._keys)}", "failed")
        self._tell(_LEFT if error is None else _ENDED + (self.lost or own_failure))
        self._closed.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _tell(self, mark: str) -> None:
        """Write the last word of this rank; rank 0, with which the store may go, waits until the others had theirs.

        After a good end that takes as long as it takes, after a bad one at most two beats.
        """
        self._mark = mark
        self._hurry.set()
        until = math.inf if mark == _LEFT else time.monotonic() + 2 * self._beat_s
        tolerated_s = math.inf if mark == _LEFT else _SHORT_SILENCE_BEATS * self._beat_s
        while time.monotonic() < until and not self._store_is_gone.is_set():
            awaited = self._rank == 0 and any(silence_s <= tolerated_s for silence_s in self._silences().values())
            if self._marked.is_set() and not awaited:
                return
            time.sleep(0.02)

    def _silences(self) -> dict[int, float]:
        """Seconds since the last beat of every other rank that has not ended, as of the last answer of the store."""
        return {
            rank: self._answered - self._changed[rank]
            for rank, heard in enumerate(self._heard)
            if rank != self._rank and not heard.startswith((_LEFT, _ENDED))
        }

    def _beat(self) -> None:
        for count in itertools.count():
            mark = self._mark
            try:
                self._store.set(self._keys[self._rank], mark or str(count))
                heard = [value.decode() for value in self._store.multi_get(self._keys)]
            except dist.DistStoreError:
                pass  # it took too long: the next time, perhaps
            except RuntimeError:
                self._store_is_gone.set()
                return
            else:
                self._hear(heard)
                if mark:
                    self._marked.set()
            if self._closed.is_set():
                return
            self._hurry.wait(self._beat_s)
            if self._hurry.is_set():
                self._closed.wait(0.05)

    def _hear(self, heard: list[str]) -> None:
        now = self._clock
        for rank, (old, new) in enumerate(zip(self._heard, heard, strict=True)):
            if old != new:
                self._changed[rank] = now
        self._heard, self._answered = heard, now

    def _watch(self) -> None:
        tick_s = self._beat_s / 4
        while not self._closed.wait(tick_s):
            if self._mark.startswith(_ENDED):
                return
            self._clock += tick_s
            if self._clock >= self._patient_until and (sentence := self._verdict(self._silence_s)):
                self._end(sentence)

    def _verdict(self, patience_s: float) -> str | None:
        """The sentence about the rank that is lost; the one silent for longest where there are several."""
        world_size = len(self._keys)
        for heard in self._heard:
            if heard.startswith(_ENDED):
                return heard.removeprefix(_ENDED)
        if self._store_is_gone.is_set() or self._clock - self._answered > patience_s:
            host = "the launcher of the ranks" if _launcher_holds_store() else f"rank 0 of {world_size}"
            return _sentence(host, "stopped answering")
        rank, silence_s = max(self._silences().items(), key=lambda item: item[1], default=(0, 0.0))
        return _sentence(f"rank {rank} of {world_size}", "stopped answering") if silence_s > patience_s else None

    def _end(self, sentence: str) -> None:
        """From the watching thread: the main one may be stuck in a collective for ever."""
        with contextlib.suppress(OSError):
            os.write(2, f"{sentence}\n".encode())
        self._tell(_ENDED + sentence)
        os._exit(1)


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run.

    Attributes:
        rank: 0 to world_size - 1.
        local_rank: the same among those of this machine.
        device: its own device.
    """

    rank: int
    world_size: int
    local_rank: int
    device: torch.device
    heartbeat: _Heartbeat | None = field(default=None, repr=False, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes files and prints."""
        return self.rank == 0


def choose_device(device: str | None = None, *, world_size: int = 1, local_rank: int = 0) -> torch.device:
    """The device of one rank; a GPU also becomes the current one.

    Args:
        device: "cpu", "cuda" (the GPU with the number ``local_rank``), None for CUDA where there is some; a numbered
            GPU or another kind of device only in a world of one.

    Raises:
        PanoHeadError: for a device that is not there or cannot be shared.
    """
    try:
        own = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise PanoHeadError(f"there is no device called {device}; use cpu or cuda") from error
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
    """Meet the other ranks of the run, and leave them at the end: all together after a good one.

    Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as torchrun sets them; without them, and in a world
    of one, there is no process group. NCCL on CUDA, gloo on the CPU.

    Args:
        device: see :func:`choose_device`.
        silence_s: see :data:`SILENCE_S`; then the process ends with exit code 1 and one sentence on stderr.
        join_s: see :data:`JOIN_S`.

    Raises:
        PanoHeadError: for a device that is not there, an incomplete environment, ranks that do not come.
    """
    rank, world_size, local_rank = _place()
    own_device = choose_device(device, world_size=world_size, local_rank=local_rank)
    if world_size == 1:
        yield Ranks(rank, world_size, local_rank, own_device)
        return
    prefix = f"panohead/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    # Two connections: a beat must not wait for what the process group is asking.
    group_store = _connect(world_size, rank == 0 and not _launcher_holds_store(), join_s)
    heartbeat = _Heartbeat(_connect(world_size, False, join_s), prefix, rank, world_size, silence_s)
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

    A missing gradient counts as zeros, and becomes one where any rank has one.

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
    """The mean over the ranks of each number; the names are the same on every rank, in any order.

    Raises:
        PanoHeadError: when another rank is lost.
    """
    if ranks.world_size == 1 or not values:
        return dict(values)
    names = sorted(values)
    sums = torch.tensor([values[name] for name in names], dtype=torch.float64, device=ranks.device)
    _all_reduce(sums, ranks)
    means = dict(zip(names, (sums / ranks.world_size).tolist(), strict=True))
    return {name: means[name] for name in values}


@torch.no_grad()
def broadcast_module(module: nn.Module, ranks: Ranks) -> None:
    """Give every rank the parameters and buffers of rank 0, bit for bit.

    Raises:
        PanoHeadError: when another rank is lost.
    """
    if ranks.world_size == 1:
        return
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        sent = tensor.detach().contiguous()
        with _peers_answer(ranks):
            dist.broadcast(sent.view(-1).view(torch.uint8), src=0)
        tensor.copy_(sent)


def same_everywhere(modules: Mapping[str, nn.Module], ranks: Ranks) -> None:
    """Check that all ranks hold the same parameters and buffers, by the sum of the bits of each.

    Args:
        modules: by the name under which they are reported.

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
    """Wait for all ranks. Raises PanoHeadError when another one is lost."""
    average({"arrived": 1.0}, ranks)


def _sentence(who: str, what: str) -> str:
    return f"{who} {what}; the run stops; start it again with --resume RUN to go on from its last state"


def _place() -> tuple[int, int, int]:
    """rank, world size, local rank."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    found = {name: os.environ[name] for name in names if name in os.environ}
    try:
        rank, world_size = int(found.get("RANK", 0)), int(found.get("WORLD_SIZE", 1))
        place = rank, world_size, int(found.get("LOCAL_RANK", rank))
    except ValueError as error:
        raise PanoHeadError(f"the environment variables {found} are not all numbers; start with torchrun") from error
    missing = [name for name in names if name not in found and name != "LOCAL_RANK"]
    if not 0 <= rank < world_size or (world_size > 1 and missing):
        raise PanoHeadError(
            f"rank {rank} of {world_size}: the environment is not that of one of several ranks"
            f"{' (without ' + ', '.join(missing) + ')' if missing else ''}; start with torchrun"
        )
    return place


def _launcher_holds_store() -> bool:
    """Whether torchrun itself keeps the store; without it, that of rank 0 is used."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _connect(world_size: int, is_host: bool, join_s: float) -> "dist.Store":
    address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    timeout = timedelta(seconds=join_s)
    try:
        return dist.TCPStore(address, int(port), world_size, is_host, timeout, wait_for_workers=False)
    except (RuntimeError, ValueError) as error:
        remedy = "choose another --master-port" if is_host else "see whether rank 0 runs and can be reached"
        raise PanoHeadError(
            f"the ranks cannot meet at {address}:{port} ({str(error).splitlines()[0]}); {remedy}"
        ) from error


@contextlib.contextmanager
def _peers_answer(ranks: Ranks) -> Iterator[None]:
    """Turns the error of a collective into the sentence about the lost rank, where one is lost."""
    try:
        yield
    except RuntimeError as error:
        sentence = ranks.heartbeat.explain() if ranks.heartbeat is not None else None
        if sentence is None:
            raise
        raise PanoHeadError(sentence) from error


def _all_reduce(tensor: Tensor, ranks: Ranks, *, largest: bool = False) -> None:
    """The sum, or the largest, over the ranks, in place."""
    with _peers_answer(ranks):
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM)


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """In order, of one dtype and at most :data:`BUCKET_BYTES` each."""
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
    # The last numbers say how many ranks had each gradient.
    counts = torch.tensor(has_gradient, dtype=bucket[0].dtype, device=bucket[0].device)
    flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), counts])
    _all_reduce(flat, ranks)
    *means, counts = flat.div_(ranks.world_size).split([*(p.numel() for p in bucket), len(bucket)])
    # Reading the counts waits for the GPU, so only where a gradient is missing.
    anywhere = has_gradient if all(has_gradient) else (counts > 0).tolist()
    for parameter, gradient, mean, exists in zip(bucket, gradients, means, anywhere, strict=True):
        gradient.copy_(mean.view_as(gradient))
        parameter.grad = gradient if exists else None


def _bit_sum(tensor: Tensor) -> Tensor:
    """The sum of a tensor's bits, read as integers of 32 (or 8) of them."""
    flat = tensor.detach().contiguous().view(-1)
    return flat.view(torch.int32 if tensor.element_size() >= 4 else torch.uint8).sum(dtype=torch.int64)


def _agrees(values: Tensor, ranks: Ranks) -> Tensor:
    """Where integers are the same on every rank."""
    extremes = torch.cat([values, -values])
    _all_reduce(extremes, ranks, largest=True)
    largest, smallest_negated = extremes.chunk(2)
    return largest == -smallest_negated
