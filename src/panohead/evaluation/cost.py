"""Cost of a generator: parameters, operations and time by stage, memory."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from panohead.evaluation.results import Result
from panohead.geometry.camera import Camera
from panohead.head import Head
from panohead.models.generator import Generator
from panohead.ops import fast_paths
from panohead.randomness import RenderRandomness
from panohead.system.peak_memory import peak_memory_gb

Stage = Callable[[], Any]


@torch.no_grad()
def cost(generator: Generator, *, repeats: int = 5) -> list[Result]:
    """Measure one head, one view at a time, on the generator's device, with the fast paths available there.

    Operations are those of the plain formulation (a multiplication with addition counts as two). Look-ups in the
    tri-grid are not counted, because they multiply little and read much. Memory is the peak of the process (CPU) or of
    the allocator (CUDA).
    """
    device = next(generator.parameters()).device
    camera = Camera.orbit(30.0).to(device)
    z = torch.zeros(1, generator.config.z_dim, device=device)
    ws = generator.mapping(z, camera.expand(1).to_label())
    head = Head(generator, ws)
    stages = _stages(generator, ws, head, camera)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    milliseconds = {name: _milliseconds(work, repeats, device) for name, work in stages.items()}
    view = _milliseconds(lambda: head.render(camera), repeats, device)
    fresh = sum(milliseconds.values())
    settings = {"device": device.type, "threads": torch.get_num_threads(), "repeats": repeats}
    memory = peak_memory_gb(device) * 1e9 / 2**20
    operations = {name: _operations(work) for name, work in stages.items()}
    counts = {"parameters": sum(p.numel() for p in generator.parameters())}
    return [
        Result(metric="ms per view of a kept head", value=view, unit="ms", details=settings),
        Result(metric="new heads per second", value=1000 / fresh, unit="1/s", better="higher", details=settings),
        Result(metric="ms of a new head", value=fresh, unit="ms", details=milliseconds),
        Result(
            metric="operations of a new head", value=sum(operations.values()) / 1e9, unit="GFLOP", details=operations
        ),
        Result(metric="parameters", value=counts["parameters"] / 1e6, unit="million", details=_parameters(generator)),
        Result(
            metric="peak memory",
            value=memory,
            unit="MiB",
            details={"of": "process" if device.type == "cpu" else "allocator"},
        ),
    ]


def _stages(generator: Generator, ws: torch.Tensor, head: Head, camera: Camera) -> dict[str, Stage]:
    rays, randomness = generator.config.neural_rendering_resolution, RenderRandomness.even()
    batch = camera.expand(1)

    def volume() -> Any:
        field = head.field if fast_paths.allowed() else generator.field(ws)
        return generator.render(field, batch, rays, randomness)

    foreground = volume()
    z = torch.zeros(1, generator.config.z_dim, device=ws.device)
    stages: dict[str, Stage] = {
        "mapping": lambda: generator.mapping(z, batch.to_label()),
        "tri-grid" if generator.implicit is None else "field": lambda: generator.field(ws),
        "volume rendering": volume,
        "super-resolution": lambda: generator.finish(foreground, head.background, ws),
    }
    if generator.background is not None:
        stages["background"] = lambda: generator.background_features(ws)
    return stages


def _milliseconds(work: Stage, repeats: int, device: torch.device) -> float:
    """Return the median time of ``repeats`` runs after one warm-up run."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2] * 1000


def _operations(work: Stage) -> float:
    with fast_paths.plain_only(), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def _parameters(generator: Generator) -> dict[str, int]:
    def size(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    return {name: size(child) for name, child in generator.named_children() if size(child)}
