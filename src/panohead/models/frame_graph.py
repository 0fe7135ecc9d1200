"""Frames of one head as a CUDA graph: all kernels of a view recorded once and started together.

A frame of a known head is some three hundred small kernels of fixed shapes; starting them one by one takes a CPU longer
than computing them takes a GPU. Only the camera changes, in memory that the recorded kernels read.
"""

import warnings
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from panohead.geometry import Camera
from panohead.models.generator import Rendering
from panohead.ops import fast_paths

AFTER = 8
"""Views of one kind after which they are recorded: recording takes some more views' time, so only videos repay it."""

_WARMUPS = 3  # as PyTorch advises: libraries choose algorithms and take their memory before anything is recorded

Render = Callable[[Camera], Rendering]
Replay = Callable[[], None]
Record = Callable[[Callable[[], Rendering]], tuple[Rendering, Replay]]
"""Runs a function and returns its result and what repeats it into the same memory."""


class FrameGraph:
    """A recorded view of one head.

    Args:
        render: renders a camera on the device, always in the same shapes, without waiting for the device.
        camera: any camera on the device, batch of 1.
        record: see :data:`Record`.
    """

    def __init__(self, render: Render, camera: Camera, record: Record) -> None:
        self._camera = Camera(camera.cam2world.clone(), camera.intrinsics.clone())
        self._output, self._replay = record(lambda: render(self._camera))

    def __call__(self, camera: Camera) -> Rendering:
        """Return the view from a camera (batch of 1, on any device), in memory of its own."""
        self._camera.cam2world.copy_(camera.cam2world, non_blocking=True)
        self._camera.intrinsics.copy_(camera.intrinsics, non_blocking=True)
        self._replay()
        values = {f.name: getattr(self._output, f.name) for f in fields(Rendering)}
        return Rendering(**{name: v.clone() if isinstance(v, Tensor) else v for name, v in values.items()})


def record_cuda(function: Callable[[], Rendering]) -> tuple[Rendering, Replay]:
    """Record a function's kernels as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARMUPS):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = function()
    return output, graph.replay


class FrameGraphs:
    """The recorded views of one head, by kind; views that are not recorded yet, or cannot be, are rendered plainly.

    Args:
        record: see :data:`Record`.
        device_type: the kind of device that ``record`` serves.
    """

    def __init__(self, record: Record = record_cuda, device_type: str = "cuda") -> None:
        self._record, self._device_type = record, device_type
        self._views: dict[object, int] = {}
        self._graphs: dict[object, FrameGraph] = {}
        self._failed = False

    def render(self, kind: object, render: Render, camera: Camera) -> Rendering:
        """Render a camera (batch of 1, on the device); by a graph when there were enough views of its kind.

        Args:
            kind: whatever else than the camera decides about the view.
            render: see :class:`FrameGraph`.
        """
        if self._failed or camera.cam2world.device.type != self._device_type or not fast_paths.allowed():
            return render(camera)
        self._views[kind] = self._views.get(kind, 0) + 1
        if kind not in self._graphs and self._views[kind] > AFTER:
            try:
                self._graphs[kind] = FrameGraph(render, camera, self._record)
            except RuntimeError as error:
                self._failed = True
                warnings.warn(
                    f"frames cannot be recorded as a CUDA graph ({str(error).splitlines()[0]}); they are rendered "
                    "kernel by kernel",
                    RuntimeWarning,
                    stacklevel=2,
                )
        graph = self._graphs.get(kind)
        return render(camera) if graph is None else graph(camera)

    def __deepcopy__(self, memo: object) -> "FrameGraphs":
        return FrameGraphs()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return FrameGraphs, ()
