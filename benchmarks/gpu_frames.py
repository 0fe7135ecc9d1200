"""Measure a frame of a known head and a whole image at full size, against the device's ceilings.

    python benchmarks/gpu_frames.py [--device cuda] [--repeats 50] [--tiny] [--json FILE]

Variants: "parity" and "speed" (:mod:`panohead.ops.precision`; frames recorded as CUDA graphs on CUDA), "unrecorded"
(speed, kernel by kernel) and "reference" (plain formulations, parity). The copy ceiling is twice the bytes of a large
copy per second, the FMA ceiling a large matrix product in the variant's type, both measured here. "of copy" is the
bytes that the kernels read and write, at that ceiling, as a share of the measured time, "of FMA" the same for the
operations of convolutions and matrix products; the larger one is how near the variant is to its bound. The frames are
compared with the one of "parity". ``--tiny``
rehearses everything on a small network, on a CPU too.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import rows as rows_module  # its Row is another one
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from panohead.geometry import Camera
from panohead.head import Head
from panohead.models.frame_graph import AFTER
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.precision import use_half_precision
from panohead.models.superresolution import SuperResolutionConfig
from panohead.ops import fast_paths
from panohead.ops.precision import set_precision

FRAME_GOALS_MS = (3.0, 1.0)
"""A 512-pixel frame of a known head: first goal, second goal (H200, "speed")."""


@dataclass(frozen=True)
class Row:
    """One measurement: milliseconds (median, minimum), work, and shares of the ceilings."""

    name: str
    variant: str
    ms: float
    fastest_ms: float
    gflop: float
    gbyte: float
    of_fma: float
    of_copy: float


class _Traffic(TorchDispatchMode):
    """Bytes of the tensors that every kernel reads and writes; views are free."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)]
        written = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        storages = {x.untyped_storage().data_ptr() for x in read}
        in_place = func._schema.is_mutable
        if in_place or any(x.untyped_storage().data_ptr() not in storages for x in written):
            self.bytes += sum(x.nbytes for x in (*read, *written))
        return result


def milliseconds(work: Callable[[], Any], device: torch.device, repeats: int) -> tuple[float, float]:
    """Return median and minimum of the time of ``work``, from its call until the device is done."""
    times = []
    for _ in range(repeats + 5):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[5:]), min(times[5:])


def copy_ceiling(device: torch.device, size: int) -> float:
    """Return bytes read and written per second by a copy of ``size`` bytes."""
    source = torch.zeros(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / (milliseconds(lambda: target.copy_(source), device, 10)[1] / 1000)


def fma_ceiling(device: torch.device, side: int, dtype: torch.dtype) -> float:
    """Return operations per second of a product of two square matrices."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / (milliseconds(lambda: a @ b, device, 10)[1] / 1000)


def work_of(function: Callable[[], Any]) -> tuple[float, float]:
    """Return operations and bytes of one call."""
    with FlopCounterMode(display=False) as flops, _Traffic() as traffic:
        function()
    return float(flops.get_total_flops()), float(traffic.bytes)


def make_generator(tiny: bool) -> Generator:
    """Return the paper's network, or a small one, with random weights."""
    torch.manual_seed(0)
    small = GeneratorConfig(
        z_dim=16, w_dim=32, trigrid_resolution=32, channel_base=1024, channel_max=64, neural_rendering_resolution=16,
        superresolution=SuperResolutionConfig(kind="2x", channels=(16, 16)),
    )  # fmt: skip
    generator = Generator(small if tiny else GeneratorConfig()).eval().requires_grad_(False)
    generator.decoder.output.weight[0] *= 10
    return generator


@torch.no_grad()
def measure(variant: str, arguments: argparse.Namespace, copy: float) -> tuple[list[Row], Tensor]:
    """Return the rows of one variant, a frame and a whole image, and the frame itself."""
    device, fast = torch.device(arguments.device), variant in ("speed", "unrecorded")
    set_precision("speed" if fast else "parity", fixed_shapes=fast)
    generator = make_generator(arguments.tiny).to(device)
    if fast:
        use_half_precision(generator)
    peak = fma_ceiling(device, 512 if arguments.tiny else 8192, _type(fast, device))
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(0)).to(device)
    ws = generator.mapping(z, Camera.orbit().expand(1).to(device).to_label())
    head, camera = Head(generator, ws), Camera.orbit(30).to(device)

    def plain_frame() -> Any:
        return generator.render_view(head.field, ws, camera, background=head.background)

    def frame() -> Any:
        return plain_frame() if variant in ("unrecorded", "reference") else head.render(camera)

    def image() -> Any:
        return Head(generator, ws).render(camera)

    rows = []
    # The work of a recorded frame is that of the plain one: replayed kernels pass no dispatcher.
    for name, work, counted in (("frame of a known head", frame, plain_frame), ("whole image", image, image)):
        for _ in range(AFTER + 2):  # so that frames are recorded
            work()
        ms, fastest = milliseconds(work, device, arguments.repeats)
        flop, byte = work_of(counted)
        shares = flop / peak / (ms / 1000), byte / copy / (ms / 1000)
        rows.append(Row(name, variant, ms, fastest, flop / 1e9, byte / 1e9, *shares))
    return rows, frame().image.cpu()


def _type(fast: bool, device: torch.device) -> torch.dtype:
    return torch.float16 if fast and device.type == "cuda" else torch.float32


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Print a table, and whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    copy = copy_ceiling(device, 1 << (24 if arguments.tiny else 30))
    rows, images = [], {}
    for variant in ("parity", "speed", "unrecorded", "reference"):
        with fast_paths.plain_only() if variant == "reference" else nullcontext():
            measured, image = measure(variant, arguments, copy)
        rows += measured
        images[variant] = image.reshape(3, *image.shape[-2:])
    print(f"copy ceiling {copy / 1e9:.0f} GB/s")
    print(f"{'':24}{'variant':12}{'ms':>9}{'fastest':>9}{'GFLOP':>8}{'GB':>7}{'of FMA':>8}{'of copy':>9}")
    for r in rows:
        print(f"{r.name:24}{r.variant:12}{r.ms:9.3f}{r.fastest_ms:9.3f}{r.gflop:8.1f}{r.gbyte:7.2f}"
              f"{r.of_fma:8.1%}{r.of_copy:9.1%}")  # fmt: skip
    for variant in ("speed", "reference"):
        error = images[variant] - images["parity"]
        db = -10 * math.log10(max(float(error.square().mean()), 1e-20) / 4)
        print(f"{variant} against parity: largest difference {float(error.abs().max()):.2g}, PSNR {db:.1f} dB")
    frame = next(r for r in rows if r.variant == "speed" and r.name.startswith("frame"))
    for goal in FRAME_GOALS_MS:
        print(f"goal: a frame in at most {goal:g} ms: {'met' if frame.ms <= goal else 'not met'} ({frame.ms:.2f} ms)")
    if arguments.json:
        found = [rows_module.Row(f"{r.name}, {r.variant}", "ms", {r.variant: [r.ms]}) for r in rows]
        rows_module.write_rows(arguments.json, found, copy_bytes_per_s=copy, details=[asdict(r) for r in rows])


if __name__ == "__main__":
    main()
